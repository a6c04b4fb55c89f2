//! The way of one connection: gates, TLS, server, bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::dial::{DialError, From, Stream, dial};
use super::postgres;
use super::route::{Leaf, Mode, Route};
use super::server::Server;
use super::service::{Service, Tried};
use crate::net::copy::{self, Copied};
use crate::tls::accept::{self, AcceptError};

/// A connection that a route takes.
#[derive(Debug)]
pub struct Arrived {
    /// All its bytes are still in it, except the prelude.
    pub stream: TcpStream,
    /// Whence it comes.
    pub peer: SocketAddr,
    /// Whither.
    pub local: SocketAddr,
    /// What the client said and was answered before.
    pub prelude: Prelude,
}

/// What a client said before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prelude {
    /// Nothing.
    Nothing,
    /// PostgreSQL's wish for TLS, which was granted.
    Postgres,
}

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// The router has a broken part.
    #[error("the router is broken")]
    Broken,
    /// A middleware refused it.
    #[error("a middleware refused the connection")]
    Refused,
    /// The handshake with the client failed.
    #[error(transparent)]
    Accept(#[from] AcceptError),
    /// The service has no server that is up.
    #[error("no server is up")]
    NoServer,
    /// No server could be reached; the last one's reason.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server does not do TLS as PostgreSQL's do.
    #[error("the server refused: {0}")]
    Postgres(#[source] io::Error),
}

/// Serves a connection to its end. `handshake` limits the TLS handshake with the client.
pub async fn forward(route: &Route, arrived: Arrived, handshake: Duration) -> Result<(), Closed> {
    let Leaf::Service(service) = &route.leaf else { return Err(Closed::Broken) };
    let Arrived { mut stream, peer, local, prelude } = arrived;
    let _permits = route.admit(peer.ip().to_canonical()).ok_or(Closed::Refused)?;
    let from = From::Client(peer, local);
    match &route.mode {
        Mode::Terminate(policy) => {
            let ip = local.ip().to_canonical();
            let accepted = accept::accept(stream, handshake, |name| policy.choose(name, ip));
            let mut stream = accepted.await?.stream;
            let (server, reached) = connect(service, from).await?;
            join(&mut stream, reached, &server).await;
        }
        Mode::Plain | Mode::Passthrough => {
            let (server, mut reached) = connect(service, from).await?;
            if prelude == Prelude::Postgres {
                postgres::ask(&mut reached).await.map_err(Closed::Postgres)?;
            }
            join(&mut stream, reached, &server).await;
        }
    }
    Ok(())
}

/// Connects to a server; to the next one if it cannot be reached, since nothing was sent yet. Begins no new try once the
/// dial timeout has passed.
async fn connect(service: &Service, from: From) -> Result<(Arc<Server>, Stream), Closed> {
    let begun = Instant::now();
    let mut tried = Tried::new();
    let mut last = Closed::NoServer;
    while let Some(server) = service.pick(&tried) {
        match dial(&server, from).await {
            Ok(stream) => {
                server.counts.connections.fetch_add(1, Relaxed);
                return Ok((server, stream));
            }
            Err(error) => last = Closed::Dial(error),
        }
        server.counts.failures.fetch_add(1, Relaxed);
        if server.transport.dial_timeout.is_some_and(|limit| begun.elapsed() >= limit) {
            break;
        }
        tried.push(server);
    }
    Err(last)
}

/// Copies until both have ended, and counts what went.
async fn join<C>(client: &mut C, mut reached: Stream, server: &Server)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut copied = Counting { server, copied: Copied::default() };
    let linger = server.transport.linger;
    match &mut reached {
        Stream::Plain(stream) => copy::both(client, stream, linger, &mut copied.copied).await,
        Stream::Tls(stream) => copy::both(client, &mut **stream, linger, &mut copied.copied).await,
        // Boxed: every connection would have room for it.
        Stream::Tunnel(stream) => {
            Box::pin(copy::both(client, stream, linger, &mut copied.copied)).await;
        }
    }
}

/// Counts also what a connection copied that is cut off.
struct Counting<'s> {
    server: &'s Server,
    copied: Copied,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.server.counts.add(self.copied);
    }
}
