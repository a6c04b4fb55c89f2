//! Dialling a TCP server: connected, told who the client is, encrypted if the server wants that.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::server::{Place, Security, Server};
use super::transport::Transport;
use crate::net::proxy_protocol::write;
use crate::tls::client::{self, Offer};
pub use crate::upstream::dial::{DialError, Stream};
use crate::upstream::dial::{TLS_LIMIT, tcp, tunnelled};
use crate::upstream::endpoint::host_and_port;

/// For whom a server is dialled.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// A client, who came from the first address to the second.
    Client(SocketAddr, SocketAddr),
    /// The gateway itself: a health check.
    Gateway,
}

/// Connects to `server`, within the dial timeout and, for TLS, 10 s.
pub async fn dial(server: &Server, from: From) -> Result<Stream, DialError> {
    dial_place(&server.place, &server.address, server.security, &server.transport, from).await
}

/// As [`dial`], for another place than the server's own; `shown` names it in errors.
pub(super) async fn dial_place(
    place: &Place,
    shown: &str,
    security: Security,
    transport: &Transport,
    from: From,
) -> Result<Stream, DialError> {
    let name = || shown.to_owned();
    if transport.dialer.is_some() || place.tunnel.is_some() {
        return Box::pin(through_tunnel(place, shown, transport, from)).await;
    }
    let connect = async {
        let mut stream = tcp(&place.name, place.port, transport.keep_alive).await?;
        if let Some(version) = transport.proxy_protocol {
            let header = match from {
                From::Client(source, target) => write::header(version, source, target),
                From::Gateway => write::local(version),
            };
            stream.write_all(&header).await?;
        }
        io::Result::Ok(stream)
    };
    let connected = within(transport.dial_timeout, connect).await;
    let connected = connected.ok_or_else(|| DialError::Timeout(name()))?;
    let stream = connected.map_err(|error| DialError::Connect(name(), error))?;
    if security == Security::Plain {
        return Ok(Stream::Plain(stream));
    }
    let handshake = client::connect(stream, &transport.tls, &place.host, Offer::Unnamed);
    let shaken = within(Some(TLS_LIMIT), handshake).await;
    let shaken = shaken.ok_or_else(|| DialError::Timeout(name()))?;
    let (stream, _) = shaken.map_err(|error| DialError::Tls(name(), error))?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// The mesh tells the other end who the client is; there is no PROXY header and no TLS of the server's own.
async fn through_tunnel(
    place: &Place,
    shown: &str,
    transport: &Transport,
    from: From,
) -> Result<Stream, DialError> {
    let client = match from {
        From::Client(source, _) => Some(source),
        From::Gateway => None,
    };
    let target = host_and_port(&place.host, place.port);
    let dial = tunnelled(transport.dialer.as_ref(), place.tunnel.as_ref(), &target, client);
    match within(transport.dial_timeout, dial).await {
        Some(Ok(stream)) => Ok(Stream::Tunnel(stream)),
        Some(Err(error)) => Err(DialError::Connect(shown.to_owned(), error)),
        None => Err(DialError::Timeout(shown.to_owned())),
    }
}

/// What `work` comes to, or `None` if it takes longer than `limit`.
async fn within<F: Future>(limit: Option<Duration>, work: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}
