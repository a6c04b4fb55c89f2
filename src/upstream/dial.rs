//! Dialling: name to addresses to a connected, and for `https` encrypted, byte stream.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use portcullis_config::routing::mesh::Tunnel;
use portcullis_middlewares::{Exchange, Later};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::endpoint::{Endpoint, Scheme};
use super::resolve::Host;
pub use crate::tls::client::Offer;
use crate::tls::client::{self, Alpn, TlsStream};

/// A connected byte stream to a server.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
    /// By a [`Dial`], which knows what is below.
    Tunnel(Box<dyn Duplex>),
}

/// Bytes both ways, whatever carries them.
pub trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> Duplex for S {}

/// Another way to servers than a connection of their own.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Reaches `target`, host and port, by the tunnel `to`; `client` is for whom, if that is one client only. The error
    /// says what to do.
    fn dial<'a>(
        &'a self,
        to: &'a Tunnel,
        target: &'a str,
        client: Option<SocketAddr>,
    ) -> Later<'a, io::Result<Box<dyn Duplex>>>;

    /// A request that went by the tunnel `to` came to `status` in this time, the gateway's own answer where there was none.
    fn answered(&self, to: &Arc<Tunnel>, status: StatusCode, took: Duration, exchange: &Exchange);
}

/// Reaches `target` by `dialer`. Both that one and `tunnel` must be there: a server behind a tunnel is never reached
/// directly, and a transport that makes tunnels leads nowhere else.
pub fn tunnelled<'a>(
    dialer: Option<&'a Arc<dyn Dial>>,
    tunnel: Option<&'a Arc<Tunnel>>,
    target: &'a str,
    client: Option<SocketAddr>,
) -> Later<'a, io::Result<Box<dyn Duplex>>> {
    match (dialer, tunnel) {
        (Some(dialer), Some(tunnel)) => dialer.dial(tunnel, target, client),
        (Some(_), None) => refuse("the mesh does not lead there"),
        (None, _) => refuse("it is reached through the mesh only, by a transport of the mesh"),
    }
}

fn refuse(why: &'static str) -> Later<'static, io::Result<Box<dyn Duplex>>> {
    Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, why)) })
}

/// Why a server could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The limit passed.
    #[error("connection to {0} timed out; does the service listen there?")]
    Timeout(String),
    /// The name has no address, or no address took the connection.
    #[error("connection to {0} failed: {1}")]
    Connect(String, #[source] io::Error),
    /// The TLS handshake failed.
    #[error("tls handshake with {0} failed: {1}")]
    Tls(String, #[source] io::Error),
}

/// Connects to `endpoint`; all its addresses are tried in turn within the dial timeout.
pub async fn dial(endpoint: &Endpoint, offer: Offer) -> Result<(Stream, Alpn), DialError> {
    let attempt = connect(endpoint, offer);
    match endpoint.transport.dial_timeout {
        None => attempt.await,
        Some(limit) => tokio::time::timeout(limit, attempt)
            .await
            .unwrap_or_else(|_| Err(DialError::Timeout(endpoint.authority().to_owned()))),
    }
}

async fn connect(endpoint: &Endpoint, offer: Offer) -> Result<(Stream, Alpn), DialError> {
    let place = || endpoint.authority().to_owned();
    let (dialer, tunnel) = (endpoint.transport.dialer.as_ref(), endpoint.tunnel());
    if dialer.is_some() || tunnel.is_some() {
        let target = endpoint.host_and_port();
        let stream = tunnelled(dialer, tunnel, &target, None).await;
        let stream = stream.map_err(|error| DialError::Connect(place(), error))?;
        return Ok((Stream::Tunnel(stream), Alpn::Http1));
    }
    let tcp = tcp(endpoint.name(), endpoint.port(), Some(KEEP_ALIVE)).await;
    let tcp = tcp.map_err(|error| DialError::Connect(place(), error))?;
    if endpoint.scheme != Scheme::Https {
        return Ok((Stream::Plain(tcp), Alpn::Http1));
    }
    let tls = &endpoint.transport.tls;
    let connected =
        tokio::time::timeout(TLS_LIMIT, client::connect(tcp, tls, endpoint.host(), offer))
            .await
            .map_err(|_| DialError::Timeout(place()))?;
    let (stream, alpn) = connected.map_err(|error| DialError::Tls(place(), error))?;
    Ok((Stream::Tls(Box::new(stream)), alpn))
}

/// Traefik: the TLS handshake with a server is limited to 10 s.
pub const TLS_LIMIT: Duration = Duration::from_secs(10);

/// Pause before the next address is tried beside one that does not answer (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A server that vanished without a word is found within 15 s: silence before the first probe.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Connects to the first address of `host` that takes the connection. After `keep_alive` of silence the kernel asks whether
/// the server still lives. The caller limits the time.
pub async fn tcp(
    host: &Arc<Host>,
    port: u16,
    keep_alive: Option<Duration>,
) -> io::Result<TcpStream> {
    let addresses = host.addresses().await?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let count = addresses.len();
    for (index, address) in addresses.iter().enumerate() {
        let attempt = TcpStream::connect((*address, port));
        let connected = if index + 1 == count {
            attempt.await
        } else {
            let slow = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
            tokio::time::timeout(NEXT_ADDRESS * 4, attempt).await.unwrap_or_else(|_| Err(slow()))
        };
        match connected {
            Ok(stream) => {
                // Small writes such as chunked ends must not wait for acknowledgements.
                stream.set_nodelay(true)?;
                if let Some(silence) = keep_alive {
                    let probes = TcpKeepalive::new()
                        .with_time(silence)
                        .with_interval(Duration::from_secs(2))
                        .with_retries(2);
                    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
                }
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tunnel(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tunnel(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tunnel(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Tunnel(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Tunnel(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tunnel(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
