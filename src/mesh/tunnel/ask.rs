//! Reaching nodes, and asking them for streams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use http::header::{FORWARDED, HeaderValue};
use http::{HeaderName, Method, Request, StatusCode, Version};
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stream::TunnelStream;
use super::{
    ANSWER, CONNECT, CONNECTION_WINDOW, FRAME, HANDSHAKE, HEADERS, POLICY, SEND_BUFFER,
    STREAM_WINDOW,
};
use crate::tls::spiffe::{self, Id, Refusal};

/// A node and whom it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its name, for messages.
    pub node: Box<str>,
    /// Host and port where its tunnels end.
    pub address: Box<str>,
    /// The identity that it must show.
    pub peer: Id,
}

/// A stream that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The workload, host and port.
    pub target: &'a str,
    /// The client, if it is one client only.
    pub client: Option<SocketAddr>,
    /// What the caller says of itself.
    pub baggage: &'a HeaderValue,
}

/// A connection to a node and what drives it.
pub struct Reached {
    /// Begins streams.
    pub sender: SendRequest<Bytes>,
    /// Must be polled.
    pub connection: Connection<TlsStream<TcpStream>, Bytes>,
    /// When the node's certificate ends.
    pub peer_ends: SystemTime,
}

/// Why a stream was not given.
#[derive(Debug)]
pub enum Unasked {
    /// The connection had ended before; nothing was sent.
    Gone(io::Error),
    /// The node does not answer.
    Silent(io::Error),
    /// The node, or the workload, refuses.
    Refused(io::Error),
}

impl Unasked {
    /// The reason.
    pub fn into_error(self) -> io::Error {
        match self {
            Self::Gone(error) | Self::Silent(error) | Self::Refused(error) => error,
        }
    }
}

/// Connects to a node and shakes hands. The errors say what to do.
pub async fn reach(place: &Place, config: Arc<ClientConfig>) -> Result<Reached, Unreached> {
    let tcp = connect(place).await?;
    let connecting = TlsConnector::from(config).connect(spiffe::server_name(&place.peer), tcp);
    let tls = match tokio::time::timeout(HANDSHAKE, connecting).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Err(Unreached::handshake(place, &error)),
        Err(_) => return Err(Unreached::slow(place)),
    };
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let peer_ends = super::serve::end_of(chain);
    // A resumed handshake verified nothing.
    let found = spiffe::peer_id(chain).map_err(|refusal| Unreached::refused(place, refusal))?;
    if found != place.peer {
        let expected = format!("`{}`", place.peer);
        return Err(Unreached::refused(place, Refusal::WrongId { expected, found }));
    }
    let shaking = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_push(false)
        .handshake(tls);
    match tokio::time::timeout(HANDSHAKE, shaking).await {
        Ok(Ok((sender, connection))) => Ok(Reached { sender, connection, peer_ends }),
        Ok(Err(error)) => Err(Unreached::other(place, "speaks no HTTP/2", &error)),
        Err(_) => Err(Unreached::slow(place)),
    }
}

async fn connect(place: &Place) -> Result<TcpStream, Unreached> {
    let Place { node, address, .. } = place;
    let no_route = |kind: io::ErrorKind, why: &dyn std::fmt::Display| {
        let hint = match kind {
            io::ErrorKind::ConnectionRefused => "does portcullis run there, and listen?",
            _ => "is the node up, and does a firewall let TCP through?",
        };
        Unreached::new(
            "connect",
            io::Error::new(kind, format!("no route to {node} at {address}: {why}; {hint}")),
        )
    };
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(&**address)).await;
    let tcp = match connected {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => return Err(no_route(error.kind(), &error)),
        Err(_) => return Err(no_route(io::ErrorKind::TimedOut, &"no answer")),
    };
    let settle = || {
        tcp.set_nodelay(true)?;
        let socket = SockRef::from(&tcp);
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(2))
            .with_retries(2);
        socket.set_tcp_keepalive(&probes)?;
        // What a node that vanished does not acknowledge must not wait for the kernel's quarter of an hour.
        socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))
    };
    settle().map_err(|error| no_route(error.kind(), &error))?;
    Ok(tcp)
}

/// Why a node was not reached.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// One word, for metrics.
    pub reason: &'static str,
    kind: io::ErrorKind,
    text: Arc<str>,
}

impl Unreached {
    fn new(reason: &'static str, error: io::Error) -> Self {
        Self { reason, kind: error.kind(), text: error.to_string().into() }
    }

    fn refused(place: &Place, refusal: Refusal) -> Self {
        let Place { node, address, peer } = place;
        let text = format!("{node} at {address} is not taken for `{peer}`: {refusal}");
        Self::new(refusal.reason(), io::Error::new(io::ErrorKind::InvalidData, text))
    }

    fn handshake(place: &Place, error: &io::Error) -> Self {
        match Refusal::of(error) {
            Some(refusal) => Self::refused(place, refusal),
            None => Self::other(place, "broke off the handshake", error),
        }
    }

    /// We have nothing to show.
    pub fn no_identity(place: &Place, refusal: &Refusal) -> Self {
        let text = format!("no call to {}: {refusal}", place.node);
        Self::new(refusal.reason(), io::Error::new(io::ErrorKind::InvalidData, text))
    }

    fn slow(place: &Place) -> Self {
        let text = format!("{} at {} does not finish the handshake", place.node, place.address);
        Self::new("timeout", io::Error::new(io::ErrorKind::TimedOut, text))
    }

    fn other(place: &Place, what: &str, error: &dyn std::fmt::Display) -> Self {
        let text = format!("{} at {} {what}: {error}", place.node, place.address);
        Self::new("protocol", io::Error::new(io::ErrorKind::ConnectionReset, text))
    }
}

impl From<Unreached> for io::Error {
    fn from(unreached: Unreached) -> Self {
        Self::new(unreached.kind, &*unreached.text)
    }
}

/// Asks for a stream; `held` lives as long as that.
pub async fn ask<H: Send + Sync + 'static>(
    mut sender: SendRequest<Bytes>,
    place: &Place,
    wanted: &Wanted<'_>,
    held: H,
) -> Result<TunnelStream, Unasked> {
    let request = connect_request(wanted).map_err(Unasked::Refused)?;
    let gone = |error: h2::Error| {
        Unasked::Gone(io::Error::new(
            io::ErrorKind::ConnectionReset,
            format!("{}: {error}", place.node),
        ))
    };
    let asked = async {
        std::future::poll_fn(|context| sender.poll_ready(context)).await.map_err(gone)?;
        let (answer, send) = sender.send_request(request, false).map_err(gone)?;
        let answer = answer.await.map_err(|error| unanswered(place, error))?;
        Ok::<_, Unasked>((answer, send))
    };
    let Ok(answered) = tokio::time::timeout(ANSWER, asked).await else {
        let text = format!("{} does not answer the call to {}", place.node, wanted.target);
        return Err(Unasked::Silent(io::Error::new(io::ErrorKind::TimedOut, text)));
    };
    let (answer, send) = answered?;
    if answer.status() != StatusCode::OK {
        let policy = answer.headers().get(POLICY).and_then(|value| value.to_str().ok());
        return Err(Unasked::Refused(refusal(&place.node, wanted.target, answer.status(), policy)));
    }
    Ok(TunnelStream::new(send, answer.into_body(), held))
}

/// What was not looked at may be asked again on another connection.
fn unanswered(place: &Place, error: h2::Error) -> Unasked {
    let untouched = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let text = format!("{} broke off: {error}", place.node);
    let cause = io::Error::new(io::ErrorKind::ConnectionReset, text);
    if untouched || error.is_io() { Unasked::Gone(cause) } else { Unasked::Refused(cause) }
}

fn connect_request(wanted: &Wanted<'_>) -> io::Result<Request<()>> {
    let wrong = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{}`: {error}", wanted.target))
    };
    let authority: http::uri::Authority =
        wanted.target.parse().map_err(|e: http::uri::InvalidUri| wrong(&e))?;
    let mut parts = http::uri::Parts::default();
    parts.authority = Some(authority);
    let uri = http::Uri::from_parts(parts).map_err(|error| wrong(&error))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(BAGGAGE, wanted.baggage.clone());
    headers.insert(TRACEPARENT, trace());
    if let Some(client) = wanted.client {
        // RFC 7239 section 6: an IPv6 address stands in brackets and quotation marks.
        let text = match client.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => format!("for={ip}"),
            std::net::IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        headers.extend(HeaderValue::try_from(text).ok().map(|value| (FORWARDED, value)));
    }
    Ok(request)
}

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace of its own (W3C Trace Context, section 3.2), not sampled; both sides log its id as that of the connection.
fn trace() -> HeaderValue {
    let (high, low, span) = (fastrand::u64(..), fastrand::u64(1..), fastrand::u64(1..));
    let text = format!("00-{high:016x}{low:016x}-{span:016x}-00");
    HeaderValue::try_from(text).expect("digits and dashes make a header value")
}

/// What an answer other than 200 says.
pub fn refusal(node: &str, target: &str, status: StatusCode, policy: Option<&str>) -> io::Error {
    let (kind, text) = match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            let policy = policy.map(|name| format!(" by policy `{name}`")).unwrap_or_default();
            (
                io::ErrorKind::PermissionDenied,
                format!("{node} refuses the call to {target}{policy}"),
            )
        }
        StatusCode::NOT_FOUND => (
            io::ErrorKind::NotFound,
            format!("{node} has no workload at {target}; do the catalogs of the nodes agree?"),
        ),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            (
                io::ErrorKind::ConnectionRefused,
                format!("{target} cannot be reached from {node}; does it listen there?"),
            )
        }
        other => {
            (io::ErrorKind::Other, format!("{node} answers the call to {target} with {other}"))
        }
    };
    io::Error::new(kind, text)
}
