//! Accepting connections of a TCP entry point, and telling TCP routers, TLS and plain HTTP apart.

mod layer4;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use bytes::{Bytes, BytesMut};
use portcullis_middlewares::message::{Connection, Tls};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::http::Http;
use crate::http::serve::preface::{self, H2_PREFACE};
use crate::http::serve::{Protocol, Session};
use crate::http::settings::{Append, Settings};
use crate::net::drain::{Drain, Hold};
use crate::net::memory::{self, Admitted, Bounded};
use crate::net::proxy_protocol::{self, Trust};
use crate::net::{pace, task};
use crate::observe::Observer;
use crate::snapshot::extension::Extension;
use crate::tls::accept;
use crate::tls::acme::challenges::Challenges;

/// A TCP entry point.
pub struct Entrance {
    /// Its name.
    pub name: Arc<str>,
    /// How it speaks HTTP.
    pub settings: Arc<Settings>,
    /// Answers its requests.
    pub handler: Arc<Http>,
    /// Whose PROXY headers are believed; `None` = the protocol is off.
    pub proxy_protocol: Option<Trust>,
    /// Told when the gateway ends.
    pub drain: Drain,
    /// Counts connections.
    pub observer: Arc<Observer>,
    /// Proofs that authorities may ask for in handshakes.
    pub challenges: Option<Arc<Challenges>>,
    /// Serves the connections instead, where it is not HTTP or TCP routers for whom they are.
    pub taker: Option<Arc<dyn Extension>>,
}

/// How long a first byte may take where reading has no limit: nobody may wait for ever in silence.
const FIRST_BYTE: Duration = Duration::from_secs(60);

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

impl Entrance {
    /// Accepts connections until the drain begins; what was accepted by then goes on.
    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut drain = self.drain.clone();
        // Accepted connections inherit it, which saves a call for each.
        if let Err(error) = socket2::SockRef::from(&listener).set_tcp_nodelay(true) {
            tracing::warn!(entry_point = %self.name, %error, "small writes may wait for acknowledgements");
        }
        loop {
            tokio::select! {
                accepted = listener.accept() => self.accepted(accepted).await,
                () = drain.begun() => break,
            }
        }
        crate::net::listen::empty(listener, |stream, peer| self.begin(stream, peer)).await;
    }

    async fn accepted(self: &Arc<Self>, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => self.begin(stream, peer),
            Err(error) => crate::net::listen::refused(&self.name, &error).await,
        }
    }

    fn begin(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Closed at once where memory is short: a client that is refused can ask elsewhere.
        let Some(admitted) = memory::admit() else { return };
        pace::busy();
        let held = (self.drain.hold(), admitted);
        task::spawn(Arc::clone(self).run(stream, peer, held));
    }

    /// The task of a connection.
    async fn run(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _held: (Hold, Admitted)) {
        let _open = self.observer.connection_opened(&self.name);
        if let Err(error) = self.connection(stream, peer).await {
            tracing::debug!(entry_point = %self.name, %peer, %error, "connection ended");
        }
    }

    async fn connection(
        self: &Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> io::Result<()> {
        if let Some(taker) = &self.taker {
            return Arc::clone(taker).take(stream, peer).await;
        }
        let limit = self.settings.read_timeout.unwrap_or(FIRST_BYTE);
        let mut addresses = (peer, stream.local_addr()?);
        // One limit for all that is waited for before the connection has found its taker.
        let deadline = Instant::now() + limit;
        if let Some(trust) = &self.proxy_protocol {
            let read = proxy_protocol::read(&mut stream, peer.ip(), trust);
            if let Some(told) = Box::pin(tokio::time::timeout(limit, read)).await?? {
                addresses = told;
            }
        }
        // Boxed, as TLS is: the task of a connection must not have room for what it does not do.
        let stream = if self.has_tcp_routers() {
            Box::pin(self.layer4(stream, addresses, deadline)).await?
        } else {
            Some(stream)
        };
        match stream {
            Some(stream) => self.http(stream, addresses, deadline).await,
            None => Ok(()),
        }
    }

    /// HTTP, in the clear or not, as the first bytes tell.
    async fn http(
        self: &Arc<Self>,
        stream: TcpStream,
        addresses: (SocketAddr, SocketAddr),
        deadline: Instant,
    ) -> io::Result<()> {
        let mut first = [0; 24];
        // Boxed, as its timer is large and gone before HTTP begins.
        let peek = Box::pin(tokio::time::timeout_at(deadline, stream.peek(&mut first)));
        let seen = peek.await??;
        match first.get(..seen) {
            None | Some([]) => Ok(()),
            Some([HANDSHAKE_RECORD, ..]) => Box::pin(self.secure(stream, addresses)).await,
            Some(bytes) => {
                let begun = H2_PREFACE.starts_with(bytes) || bytes.starts_with(H2_PREFACE);
                Box::pin(self.plain(stream, addresses, begun)).await
            }
        }
    }

    async fn secure(
        self: &Arc<Self>,
        stream: TcpStream,
        addresses: (SocketAddr, SocketAddr),
    ) -> io::Result<()> {
        let snapshot = self.handler.live.load();
        let local = addresses.1.ip().to_canonical();
        let index = self.handler.index;
        let limit = self.settings.read_timeout.unwrap_or(HANDSHAKE).min(HANDSHAKE);
        // Both boxed: the stream is large and moves through several futures, and the task of a connection would have
        // room for the larger of plain and secure.
        let (stream, tls, protocol) = {
            let challenges = self.challenges.as_deref();
            let accepted =
                accept::accept_or_prove(Bounded::new(stream), limit, challenges, move |name| {
                    let entry_point = snapshot.entry_points.get(index);
                    let entry_point = entry_point.ok_or(crate::tls::policy::Refused::Options)?;
                    entry_point.policy.choose(name, local)
                });
            let accepted = accepted.await.map_err(io::Error::other)?;
            let http2 = accepted.is_http2();
            let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
            (Box::new(accepted.stream), accepted.tls, protocol)
        };
        let session = self.session(addresses, Some(tls));
        Box::pin(session.serve(stream, Bytes::new(), protocol)).await;
        Ok(())
    }

    /// Plain HTTP; `may_be_h2` if the first bytes look like the preface of h2.
    async fn plain(
        self: &Arc<Self>,
        mut stream: TcpStream,
        addresses: (SocketAddr, SocketAddr),
        may_be_h2: bool,
    ) -> io::Result<()> {
        let mut prefix = BytesMut::new();
        let mut protocol = Protocol::Http1;
        if may_be_h2 {
            let limit = self.settings.read_timeout.unwrap_or(FIRST_BYTE);
            protocol =
                tokio::time::timeout(limit, preface::read(&mut stream, &mut prefix)).await??;
        }
        let session = self.session(addresses, None);
        session.serve(Bounded::new(stream), prefix.freeze(), protocol).await;
        Ok(())
    }

    pub(super) fn session(
        &self,
        (peer, local): (SocketAddr, SocketAddr),
        tls: Option<Tls>,
    ) -> Arc<Session<Http>> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let forwarded_for = match self.settings.forwarded.append {
            Append::Peer => address_header(peer.ip()),
            Append::Nothing => None,
        };
        let entry_point = Arc::clone(&self.name);
        let connection = Connection { peer, local, entry_point, tls, forwarded_for };
        let (settings, drain) = (Arc::clone(&self.settings), self.drain.clone());
        Session::new(Arc::clone(&self.handler), Arc::new(connection), settings, drain)
    }
}

/// First byte of a TLS connection: a handshake record.
const HANDSHAKE_RECORD: u8 = 0x16;

fn address_header(ip: IpAddr) -> Option<HeaderValue> {
    HeaderValue::from_str(&ip.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use tokio_rustls::server::TlsStream;

    use super::*;
    use crate::net::future_size::{assert_within, of_3, of_4};

    #[test]
    fn a_connection_takes_little_memory() {
        assert_within("the task of a connection", of_4(Entrance::run), 300..=1024);
        let plain = of_4(Session::<Http>::serve::<Bounded<TcpStream>>);
        assert_within("HTTP on a connection", plain, 1000..=4096);
        let secure = of_4(Session::<Http>::serve::<Box<TlsStream<Bounded<TcpStream>>>>);
        assert_within("HTTP on TLS", secure, 1000..=4096);
        assert_within("a TLS stream", size_of::<TlsStream<TcpStream>>(), 500..=2048);
        assert_within("TLS until HTTP begins", of_3(Entrance::secure), 100..=1024);
    }
}
