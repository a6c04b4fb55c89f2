//! Connections that TCP routers take, told by what the client says first. What it says stays in the stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{Entrance, HANDSHAKE, HANDSHAKE_RECORD};
use crate::net::peek;
use crate::tcp::forward::{Arrived, Prelude, forward};
use crate::tcp::postgres;
use crate::tcp::route::Route;
use crate::tcp::routes::Seen;
use crate::tcp::table::{Table, Taker};
use crate::tls::hello::{self, Beginning};

/// What a connection begins with.
enum First {
    /// The client ended without a word.
    Nothing,
    /// TLS.
    Tls,
    /// PostgreSQL's wish for TLS.
    Postgres,
    /// Something else.
    Plain,
}

/// Who takes a connection.
enum Found {
    Tcp(Arc<Route>, Prelude),
    Http,
    /// Nobody: it is closed.
    Nobody,
}

impl Entrance {
    /// Whether a TCP router may take a connection.
    pub(super) fn has_tcp_routers(&self) -> bool {
        self.handler.live.with(|snapshot| {
            snapshot.entry_points.get(self.handler.index).is_some_and(|it| !it.tcp.is_empty())
        })
    }

    /// Serves the connection to its end if a TCP router takes it; gives it back if HTTP does.
    pub(super) async fn layer4(
        self: &Arc<Self>,
        mut stream: TcpStream,
        addresses: (SocketAddr, SocketAddr),
        deadline: Instant,
    ) -> io::Result<Option<TcpStream>> {
        let snapshot = self.handler.live.load();
        let Some(entry_point) = snapshot.entry_points.get(self.handler.index) else {
            return Ok(None);
        };
        let proves = self.challenges.is_some();
        let found = find(&entry_point.tcp, &mut stream, addresses.0, proves, deadline).await?;
        // The route keeps what it needs; the rest of the snapshot may go.
        drop(snapshot);
        match found {
            Found::Http => return Ok(Some(stream)),
            Found::Nobody => {}
            Found::Tcp(route, prelude) => {
                let (peer, local) = addresses;
                let limit = self.settings.read_timeout.unwrap_or(HANDSHAKE).min(HANDSHAKE);
                let arrived = Arrived { stream, peer, local, prelude };
                if let Err(error) = forward(&route, arrived, limit).await {
                    let (entry_point, router) = (&self.name, &route.name);
                    tracing::debug!(%entry_point, %router, %peer, %error, "connection closed");
                }
            }
        }
        Ok(None)
    }
}

/// Who takes a connection, by Traefik's order.
async fn find(
    table: &Table,
    stream: &mut TcpStream,
    peer: SocketAddr,
    proves: bool,
    deadline: Instant,
) -> io::Result<Found> {
    let client_ip = peer.ip().to_canonical();
    let plain = Seen { server_name: "", protocols: &[], client_ip };
    if table.may_answer_first()
        && let Taker::Tcp(route) = table.plain(&plain)
    {
        return Ok(Found::Tcp(Arc::clone(route), Prelude::Nothing));
    }
    match timeout_at(deadline, first(table, stream)).await?? {
        First::Nothing => Ok(Found::Nobody),
        First::Plain => Ok(match table.plain(&plain) {
            Taker::Tcp(route) => Found::Tcp(Arc::clone(route), Prelude::Nothing),
            Taker::Http => Found::Http,
        }),
        First::Tls => secure(table, stream, plain, (Prelude::Nothing, proves), deadline).await,
        First::Postgres => {
            timeout_at(deadline, postgres::accept(stream)).await??;
            secure(table, stream, plain, (Prelude::Postgres, false), deadline).await
        }
    }
}

/// What a connection begins with. PostgreSQL's prelude counts where a TCP router wants TLS; elsewhere it is like any other
/// beginning, and the server answers it.
async fn first(table: &Table, stream: &TcpStream) -> io::Result<First> {
    let mut byte = [0];
    if peek::beyond(stream, 0, &mut byte).await? == 0 {
        return Ok(First::Nothing);
    }
    if byte == [HANDSHAKE_RECORD] {
        return Ok(First::Tls);
    }
    if !table.secure.is_empty() && postgres::begins(stream).await? {
        return Ok(First::Postgres);
    }
    Ok(First::Plain)
}

/// Who takes a connection that goes on with TLS. With `proves` authorities that ask for a proof of ACME get to where
/// proofs are given, whatever router the name has; Traefik does so, too.
async fn secure(
    table: &Table,
    stream: &TcpStream,
    plain: Seen<'_>,
    (prelude, proves): (Prelude, bool),
    deadline: Instant,
) -> io::Result<Found> {
    if table.secure.is_empty() && prelude == Prelude::Nothing {
        return Ok(Found::Http);
    }
    let beginning = timeout_at(deadline, hello::peek(stream)).await??;
    let Some(beginning) = beginning else { return Ok(Found::Nobody) };
    let taker = match &beginning {
        // HTTP shakes hands, which fails, and so the client is told.
        Beginning::Unusable => Taker::Http,
        Beginning::Hello(wishes) if proves && asks_for_proof(&wishes.protocols) => Taker::Http,
        Beginning::Hello(wishes) => table.secure(&Seen {
            server_name: &wishes.server_name,
            protocols: &wishes.protocols,
            ..plain
        }),
    };
    Ok(match (taker, prelude) {
        (Taker::Tcp(route), prelude) => Found::Tcp(Arc::clone(route), prelude),
        (Taker::Http, Prelude::Nothing) => Found::Http,
        // Traefik: HTTP never follows PostgreSQL's prelude.
        (Taker::Http, Prelude::Postgres) => Found::Nobody,
    })
}

/// RFC 8737 section 6.2.
fn asks_for_proof(protocols: &[Box<[u8]>]) -> bool {
    protocols.iter().any(|protocol| **protocol == *b"acme-tls/1")
}
