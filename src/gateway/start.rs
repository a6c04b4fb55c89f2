//! Opens the sockets of the entry points and starts the workers on them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;

use super::sockets::{Place, Sockets};
use crate::entrypoint::tcp::Entrance;
use crate::install::{EntryPoint, Install};
use crate::net::handover::Succession;
use crate::net::task;
use crate::udp::relay::Relay;
use crate::worker::{Duty, Worker};

/// Begins something on a worker.
pub(super) type Start = Box<dyn FnOnce() + Send>;

/// Opens what an entry point serves beside TCP: gives what the workers have to begin, in turn. Takes the address of the TCP
/// sockets.
pub(super) type Beside =
    fn(&Arc<Entrance>, &EntryPoint, SocketAddr, &mut Opening<'_>) -> anyhow::Result<Vec<Start>>;

/// All that entry points serve beside TCP.
const BESIDE: &[Beside] = &[
    #[cfg(feature = "http3")]
    super::quic::OPEN,
];

/// What is needed to open entry points.
pub(super) struct Opening<'a> {
    pub(super) install: &'a Install,
    /// The number of workers.
    pub(super) count: usize,
    pub(super) sockets: &'a mut Sockets,
}

impl Opening<'_> {
    /// Opens the sockets and starts the workers on them.
    pub(super) fn start(
        mut self,
        entrances: &[Arc<Entrance>],
        relays: &[Arc<Relay>],
    ) -> anyhow::Result<Vec<Worker>> {
        let install = self.install;
        let mut duties: Vec<Vec<Start>> = (0..self.count).map(|_| Vec::new()).collect();
        for entrance in entrances {
            let Some(entry_point) = install.entry_points.get(&*entrance.name) else { continue };
            self.enter(entrance, entry_point, &mut duties)?;
        }
        for relay in relays {
            let Some(entry_point) = install.entry_points.get(&*relay.name) else { continue };
            share_out(self.relay(relay, entry_point)?, &mut duties);
        }
        let start = |(index, starts): (usize, Vec<_>)| Worker::start(index, duty(starts));
        let workers: std::io::Result<Vec<Worker>> =
            duties.into_iter().enumerate().map(start).collect();
        workers.context("cannot start a worker")
    }

    fn enter(
        &mut self,
        entrance: &Arc<Entrance>,
        entry_point: &EntryPoint,
        duties: &mut [Vec<Start>],
    ) -> anyhow::Result<()> {
        let name = &entrance.name;
        let listeners = self.sockets.open(name, entry_point, self.count).with_context(|| {
            format!("entry point `{name}`: cannot listen on {}", entry_point.address)
        })?;
        if let Some(address) = listeners.first().and_then(|it| it.local_addr().ok()) {
            tracing::info!(entry_point = %name, "listening on {address}");
            for open in BESIDE {
                let starts = open(entrance, entry_point, address, self)
                    .with_context(|| format!("entry point `{name}`"))?;
                share_out(starts, duties);
            }
        }
        share_out(listeners.into_iter().map(|it| accept(Arc::clone(entrance), it)), duties);
        Ok(())
    }

    fn relay(
        &mut self,
        relay: &Arc<Relay>,
        entry_point: &EntryPoint,
    ) -> anyhow::Result<Vec<Start>> {
        let (name, count) = (&relay.name, self.count);
        let opened = Place::of(entry_point)
            .and_then(|place| self.sockets.open_udp(name, place, count))
            .with_context(|| {
                format!("entry point `{name}`: cannot listen on {}", entry_point.address)
            })?;
        if let Some(address) = opened.first().and_then(|(it, _)| it.local_addr().ok()) {
            tracing::info!(entry_point = %name, "listening on {address}, UDP");
        }
        let receive = |(socket, succession)| receive(Arc::clone(relay), socket, succession);
        Ok(opened.into_iter().map(receive).collect())
    }
}

/// Gives each worker its share; there may be more or less than one for each.
fn share_out(starts: impl IntoIterator<Item = Start>, duties: &mut [Vec<Start>]) {
    let count = duties.len();
    for (index, start) in starts.into_iter().enumerate() {
        duties[index % count].push(start);
    }
}

fn duty(starts: Vec<Start>) -> Duty {
    Box::new(move || {
        Box::pin(async move {
            for start in starts {
                start();
            }
        })
    })
}

/// Accepts connections of an entry point on a worker.
fn accept(entrance: Arc<Entrance>, listener: std::net::TcpListener) -> Start {
    Box::new(move || match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => drop(task::spawn(entrance.accept(listener))),
        Err(error) => tracing::error!(%error, "cannot use a listening socket"),
    })
}

fn receive(relay: Arc<Relay>, socket: std::net::UdpSocket, succession: Succession) -> Start {
    Box::new(move || {
        task::spawn(async move {
            if let Err(error) = relay.run(socket, succession).await {
                tracing::error!(%error, "cannot use a UDP socket");
            }
        });
    })
}
