//! HTTP/3 on an entry point: one QUIC endpoint for each worker, on the UDP port of the same number.
//!
//! A client keeps its worker as long as its address stays, since the kernel chooses the socket by the addresses of a packet.
//! One that moves may come to another worker, which does not know its connection; it then connects anew. With one worker
//! it stays connected.

mod limits;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connecting, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime};

use super::tcp::Entrance;
use crate::http::serve::http3::Http3;
use crate::net::task;
use crate::tls::policy::{Chosen, Refused};
use crate::tls::quic::{self, Handshakes};
use limits::{Admission, Permit};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What all endpoints of an entry point share.
pub struct Quic {
    entrance: Arc<Entrance>,
    handshakes: Handshakes,
    config: ServerConfig,
    connections: usize,
}

impl Quic {
    /// For the routers of `entrance`, with this many workers.
    pub fn new(entrance: Arc<Entrance>, workers: usize) -> Result<Arc<Self>, String> {
        let handshakes = Handshakes::refusing()?;
        let mut config = ServerConfig::with_crypto(Arc::new(handshakes.clone()));
        limits::apply(&mut config, &entrance.settings);
        let connections = limits::connections(workers);
        Ok(Arc::new(Self { entrance, handshakes, config, connections }))
    }

    /// Accepts connections on `socket` until the drain begins; what was accepted by then goes on. Runs on the worker
    /// whose socket it is.
    pub async fn accept(self: Arc<Self>, socket: UdpSocket) {
        let config = (EndpointConfig::default(), Some(self.config.clone()));
        let endpoint = match Endpoint::new(config.0, config.1, socket, Arc::new(TokioRuntime)) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::error!(entry_point = %self.entrance.name, %error, "cannot use a UDP socket");
                return;
            }
        };
        let admission = Admission::new(self.connections);
        let mut drain = self.entrance.drain.clone();
        loop {
            tokio::select! {
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.begin(incoming, &admission, &endpoint),
                    None => break,
                },
                () = drain.begun() => break,
            }
        }
        // Nothing new; what is open goes on through this endpoint.
        endpoint.set_server_config(None);
        let hold = self.entrance.drain.hold();
        endpoint.wait_idle().await;
        drop(hold);
    }

    fn begin(self: &Arc<Self>, incoming: Incoming, admission: &Admission, endpoint: &Endpoint) {
        let Some((incoming, permit)) = admission.admit(incoming) else { return };
        let here = endpoint.local_addr().ok();
        let port = here.map_or(0, |address| address.port());
        let ip = incoming.local_ip().or(here.map(|address| address.ip()));
        let local = SocketAddr::new(ip.map_or([0; 4].into(), |ip| ip.to_canonical()), port);
        let mut config = self.config.clone();
        let this = Arc::clone(self);
        config.crypto =
            Arc::new(self.handshakes.choosing(move |name| this.choose(name, local.ip())));
        let peer = incoming.remote_address();
        match incoming.accept_with(Arc::new(config)) {
            Ok(connecting) => {
                let quic = Arc::clone(self);
                task::spawn(async move { quic.connection(connecting, permit, peer, local).await });
            }
            Err(error) => {
                tracing::debug!(entry_point = %self.entrance.name, %peer, %error, "connection ended");
            }
        }
    }

    fn choose(&self, name: Option<&str>, local: IpAddr) -> Result<Chosen, Refused> {
        self.entrance.handler.live.with(|snapshot| {
            let entry_point = snapshot.entry_points.get(self.entrance.handler.index);
            entry_point.ok_or(Refused::Options)?.policy.choose(name, local)
        })
    }

    async fn connection(
        self: Arc<Self>,
        connecting: Connecting,
        permit: Permit,
        peer: SocketAddr,
        local: SocketAddr,
    ) {
        let entrance = &self.entrance;
        let _hold = entrance.drain.hold();
        let limit = entrance.settings.read_timeout.unwrap_or(HANDSHAKE).min(HANDSHAKE);
        let ended = |why: &dyn std::fmt::Display| {
            tracing::debug!(entry_point = %entrance.name, %peer, error = %why, "connection ended");
        };
        let connection = match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return ended(&error),
            Err(_) => return ended(&"the handshake took too long"),
        };
        let Some(tls) = quic::facts(&connection) else {
            return ended(&"the terms of the handshake are not known");
        };
        let _permit = permit.connected();
        let _open = entrance.observer.connection_opened(&entrance.name);
        let sessions = Arc::clone(entrance);
        let session = move |peer| sessions.session((peer, local), Some(tls.clone()));
        Http3::new(connection, session).serve().await;
    }
}
