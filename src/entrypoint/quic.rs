//! HTTP/3 on an entry point: one QUIC endpoint for each socket, on the UDP port of the same number.
//!
//! The kernel chooses the socket by the addresses of a packet, so the packets of a client that moves may come to another
//! worker, and after an upgrade to another process. Connection ids tell whose they are, and they are passed on there.

mod ids;
mod legacy;
mod limits;
mod socket;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use quinn::{Connecting, Endpoint, Incoming, Runtime as _, ServerConfig, TokioRuntime};
use tokio::sync::mpsc;

use super::tcp::Entrance;
use crate::http::serve::http3::Http3;
use crate::net::drain::Drainer;
use crate::net::handover::{Passage, Succession};
use crate::net::task;
use crate::tls::policy::{Chosen, Refused};
use crate::tls::quic::{self, Handshakes};
use ids::Process;
use legacy::Legacy;
use limits::{Admission, Permit};
use socket::{Inboxes, Own, Packet, Sorting, WAITING};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What all endpoints of an entry point share.
pub struct Quic {
    entrance: Arc<Entrance>,
    handshakes: Handshakes,
    config: ServerConfig,
    connections: usize,
    process: Process,
    legacy: Legacy,
    inboxes: Inboxes,
    /// Held by endpoints with connections, and for the process before: packets for one endpoint come by all of them.
    running: Drainer,
}

/// What one endpoint has to itself.
#[derive(Debug)]
pub struct Part {
    index: u16,
    inbox: mpsc::Receiver<Packet>,
}

impl Quic {
    /// For the routers of `entrance`, with this many workers and sockets; gives what the endpoint on each socket needs.
    pub fn new(
        entrance: Arc<Entrance>,
        workers: usize,
        sockets: usize,
    ) -> Result<(Arc<Self>, Vec<Part>), String> {
        let handshakes = Handshakes::refusing()?;
        let mut config = ServerConfig::with_crypto(Arc::new(handshakes.clone()));
        limits::apply(&mut config, &entrance.settings);
        let (inboxes, parts): (Vec<_>, Vec<Part>) = (0..=u16::MAX)
            .take(sockets)
            .map(|index| {
                let (put, inbox) = mpsc::channel(WAITING);
                (put, Part { index, inbox })
            })
            .unzip();
        let quic = Self {
            entrance,
            handshakes,
            config,
            connections: limits::connections(workers),
            process: Process::new()?,
            legacy: Legacy::new()?,
            inboxes: inboxes.into(),
            running: Drainer::new(),
        };
        Ok((Arc::new(quic), parts))
    }

    /// Accepts connections on `socket` from when the process before gives it until the drain begins or the process after
    /// has it; what was accepted by then goes on. Runs on the worker whose socket it is.
    pub async fn accept(self: Arc<Self>, part: Part, socket: UdpSocket, succession: Succession) {
        let running = self.running.drain().hold();
        let Succession { before, mut after } = succession;
        let opened = match self.take_over(before).await {
            Ok(before) => self.open(part, socket, before),
            Err(error) => Err(error),
        };
        let (endpoint, sorting, config) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(entry_point = %self.entrance.name, %error, "cannot use a UDP socket");
                return;
            }
        };
        let admission = Admission::new(self.connections);
        let mut drain = self.entrance.drain.clone();
        loop {
            tokio::select! {
                // The drain begins with the process after, which has to have the socket.
                biased;
                end = after.comes() => if let Err(error) = sorting.hand_over(end) {
                    tracing::warn!(entry_point = %self.entrance.name, %error, "a UDP socket cannot be handed over");
                },
                () = drain.begun() => break,
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => self.begin(incoming, &admission, &endpoint, &config),
                    None => break,
                },
            }
        }
        // Nothing new but what has come; what is open goes on through this endpoint.
        while let Some(Some(incoming)) = endpoint.accept().now_or_never() {
            self.begin(incoming, &admission, &endpoint, &config);
        }
        endpoint.set_server_config(None);
        let hold = self.entrance.drain.hold();
        endpoint.wait_idle().await;
        drop(running);
        self.running.ended().await;
        drop(hold);
    }

    /// Waits until the socket is this process's; gives the passage to the process before, if it still is there.
    async fn take_over(
        &self,
        before: Option<OwnedFd>,
    ) -> std::io::Result<Option<(Passage, Legacy)>> {
        let Some(end) = before else { return Ok(None) };
        let passage = Passage::new(end)?;
        let left = passage.until_given().await;
        Ok(left.and_then(|left| Legacy::read(&left)).map(|legacy| (passage, legacy)))
    }

    fn open(
        &self,
        part: Part,
        socket: UdpSocket,
        before: Option<(Passage, Legacy)>,
    ) -> std::io::Result<(Endpoint, Arc<Sorting>, ServerConfig)> {
        let (before, legacy) = match before {
            Some((passage, legacy)) => (Some(passage), legacy),
            None => (None, self.legacy.copy()),
        };
        let held = |passage| (passage, self.running.drain().hold(), self.entrance.drain.hold());
        let terms = legacy.endpoint(self.process, part.index);
        let config = legacy.server(&self.config);
        let own = Own {
            process: self.process,
            index: part.index,
            inbox: part.inbox,
            inboxes: Arc::clone(&self.inboxes),
            legacy,
        };
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        let sorting = Sorting::new(inner, own, before.map(held));
        let socket = Arc::clone(&sorting);
        let runtime = Arc::new(TokioRuntime);
        let endpoint =
            Endpoint::new_with_abstract_socket(terms, Some(config.clone()), socket, runtime)?;
        Ok((endpoint, sorting, config))
    }

    fn begin(
        self: &Arc<Self>,
        incoming: Incoming,
        admission: &Admission,
        endpoint: &Endpoint,
        config: &ServerConfig,
    ) {
        let Some((incoming, permit)) = admission.admit(incoming) else { return };
        let here = endpoint.local_addr().ok();
        let port = here.map_or(0, |address| address.port());
        let ip = incoming.local_ip().or(here.map(|address| address.ip()));
        let local = SocketAddr::new(ip.map_or([0; 4].into(), |ip| ip.to_canonical()), port);
        let mut config = config.clone();
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
