//! The accepting end of tunnels: one connection with all its streams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{FORWARDED, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::stream::TunnelStream;
use super::{
    AFTER_EXPIRY, CONNECTION_WINDOW, FRAME, HANDSHAKE, HEADERS, PEER_IDLE, PEER_STREAMS, POLICY,
    SEND_BUFFER, STREAM_WINDOW,
};
use crate::mesh::inbound::{Call, Inbound, Refused};
use crate::net::drain::Drain;
use crate::net::{memory, task};
use crate::tls::spiffe::Id;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is, by its certificate.
    pub id: Id,
    /// Whence it comes.
    pub address: SocketAddr,
    /// When its certificate ends.
    pub ends: SystemTime,
}

/// When a certificate ends; at once if it cannot be read.
pub fn end_of(chain: &[CertificateDer<'_>]) -> SystemTime {
    let parsed = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let seconds = parsed.map(|(_, it)| it.validity().not_after.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Serves a connection whose peer is known to its end.
pub async fn serve<S>(
    stream: S,
    peer: Peer,
    inbound: Arc<Inbound>,
    mut drain: Drain,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shaking = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS)
        .max_concurrent_streams(PEER_STREAMS)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(stream);
    let shaken = tokio::time::timeout(HANDSHAKE, shaking).await?;
    let mut connection: Connection<S, Bytes> = shaken.map_err(io::Error::other)?;
    let left = peer.ends.duration_since(SystemTime::now()).unwrap_or_default();
    let over = tokio::time::sleep(left + AFTER_EXPIRY);
    tokio::pin!(over);
    let (streams, mut last) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut look = tokio::time::interval(PEER_IDLE / 4);
    let mut ending = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                None => return Ok(()),
                Some(accepted) => {
                    let (request, respond) = accepted.map_err(io::Error::other)?;
                    last = Instant::now();
                    begin(request, respond, &peer, &inbound, &streams);
                }
            },
            () = drain.begun(), if !ending => {
                ending = true;
                connection.graceful_shutdown();
            }
            _ = look.tick(), if !ending => {
                if streams.load(Relaxed) > 0 {
                    last = Instant::now();
                } else if last.elapsed() > PEER_IDLE {
                    ending = true;
                    connection.graceful_shutdown();
                }
            }
            () = &mut over => {
                let why = "the certificate of the peer has expired";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
        }
    }
}

/// Begins one stream, on a task of its own.
fn begin(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    peer: &Peer,
    inbound: &Arc<Inbound>,
    streams: &Arc<AtomicUsize>,
) {
    let counted = Counted::new(streams);
    let (peer, inbound) = (peer.clone(), Arc::clone(inbound));
    task::spawn(async move {
        let stream = Accepting { request, respond };
        stream.run(peer, inbound, counted).await;
    });
}

/// Counts a stream until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A stream that was asked for.
struct Accepting {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Accepting {
    async fn run(mut self, peer: Peer, inbound: Arc<Inbound>, counted: Counted) {
        let Some(admitted) = memory::admit() else {
            return self.answer(StatusCode::SERVICE_UNAVAILABLE, None);
        };
        let Some(call) = call(&self.request, peer) else {
            return self.answer(StatusCode::METHOD_NOT_ALLOWED, None);
        };
        // A peer that takes its wish back is not waited for.
        let accepted = tokio::select! {
            accepted = inbound.admit(call) => accepted,
            reason = std::future::poll_fn(|context| self.respond.poll_reset(context)) => {
                tracing::debug!(?reason, "a stream was taken back");
                return;
            }
        };
        match accepted {
            Ok(accepted) => {
                let ok = Response::new(());
                let Ok(send) = self.respond.send_response(ok, false) else { return };
                let held = (admitted, counted);
                let stream = TunnelStream::new(send, self.request.into_body(), held);
                accepted.serve(stream).await;
            }
            Err(Refused { status, policy }) => self.answer(status, policy.as_deref()),
        }
    }

    fn answer(&mut self, status: StatusCode, policy: Option<&str>) {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        if let Some(value) = policy.and_then(|name| HeaderValue::from_str(name).ok()) {
            answer.headers_mut().insert(POLICY, value);
        }
        if self.respond.send_response(answer, true).is_err() {
            self.respond.send_reset(Reason::CANCEL);
        }
    }
}

/// What a `CONNECT` asks for; nothing if it is none.
fn call(request: &Request<RecvStream>, peer: Peer) -> Option<Call> {
    if request.method() != Method::CONNECT {
        return None;
    }
    let authority = request.uri().authority()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Some(Call {
        source: peer.id,
        peer: peer.address,
        client: forwarded(request.headers()),
        host: host.into(),
        port: authority.port_u16()?,
        trace: trace_id(request.headers()),
    })
}

/// The address in `for=` of the first element (RFC 7239).
fn forwarded(headers: &HeaderMap) -> Option<std::net::IpAddr> {
    let text = headers.get(FORWARDED)?.to_str().ok()?;
    let first = text.split([',', ';']).map(str::trim);
    let mut values = first.filter_map(|pair| pair.split_once('='));
    let (_, value) = values.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    let value = value.trim_matches('"');
    match value.parse() {
        Ok(ip) => Some(ip),
        Err(_) => match value.parse::<SocketAddr>() {
            Ok(address) => Some(address.ip()),
            Err(_) => value.strip_prefix('[')?.strip_suffix(']')?.parse().ok(),
        },
    }
}

/// The id of the trace that a connection belongs to: the same on both sides, for logs.
fn trace_id(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let id = text.split('-').nth(1)?;
    let fits = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_caller_is_found() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED, text.parse().unwrap());
            forwarded(&headers).map(|ip| ip.to_string())
        };
        assert_eq!(of("for=10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(of("proto=http;For=\"[2001:db8::1]:80\"").as_deref(), Some("2001:db8::1"));
        assert_eq!(of("for=\"[2001:db8::1]\", for=10.0.0.1").as_deref(), Some("2001:db8::1"));
        assert_eq!(of("for=_hidden"), None);
        assert_eq!(of("by=10.0.0.1"), None);
    }
}
