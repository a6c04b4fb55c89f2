//! Accepting tunnels: mutual TLS, and who the peer is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::inbound::Inbound;
use super::tunnel::serve::{self, Peer, end_of};
use crate::net::drain::Drain;
use crate::tls::spiffe::{self, Holder, Refusal};

/// Accepts tunnels.
pub(super) struct Acceptor {
    config: Arc<ServerConfig>,
    inbound: Arc<Inbound>,
    drain: Drain,
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

impl Acceptor {
    /// Shows the identities of `holder`; what arrives is for `inbound`.
    pub(super) fn new(holder: &Arc<Holder>, inbound: Arc<Inbound>, drain: Drain) -> Self {
        Self { config: spiffe::server_config(holder), inbound, drain }
    }

    /// Serves a connection to its end.
    pub(super) async fn take(&self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        let accepting = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let stream = match tokio::time::timeout(HANDSHAKE, accepting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.refuse(address, Refusal::of(&error), &error)),
            Err(_) => {
                let late = io::Error::new(io::ErrorKind::TimedOut, "no handshake in time");
                return Err(self.refuse(address, None, &late));
            }
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = match spiffe::peer_id(chain) {
            Ok(id) => Peer { id, address, ends: end_of(chain) },
            Err(refusal) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, refusal.to_string());
                return Err(self.refuse(address, Some(refusal), &error));
            }
        };
        serve::serve(stream, peer, Arc::clone(&self.inbound), self.drain.clone()).await
    }

    /// Counts and logs a tunnel that is not accepted.
    fn refuse(&self, peer: SocketAddr, refusal: Option<Refusal>, error: &io::Error) -> io::Error {
        let reason = match (&refusal, error.kind()) {
            (Some(refusal), _) => refusal.reason(),
            (None, io::ErrorKind::TimedOut) => "timeout",
            (None, io::ErrorKind::InvalidData) => "protocol",
            (None, _) => "broken_off",
        };
        self.inbound.figures.failed(reason);
        let text = refusal.map_or_else(|| error.to_string(), |refusal| refusal.to_string());
        tracing::warn!(%peer, reason, "a tunnel is not accepted: {text}");
        io::Error::new(error.kind(), text)
    }
}
