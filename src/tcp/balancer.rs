//! `Balancer`: picks a server for each connection of a TCP service.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::tcp::{HealthCheck, LoadBalancer};

use super::counts::Counts;
use super::probe::Probe;
use super::server::{self, Place, Security, Server};
use super::service::Tried;
use super::transport::Transport;
use crate::upstream::balance::wrr::Wrr;
use crate::upstream::health::active::{Active, Target};
use crate::upstream::resolve::Host;
use crate::upstream::standing::Standing;

/// Picks a server for each connection of a TCP service, in turn.
#[derive(Debug)]
pub struct Balancer {
    servers: Vec<Arc<Server>>,
    turns: Arc<Wrr>,
    active: Option<Arc<Active<Probe>>>,
    /// Of the service.
    pub counts: Arc<Counts>,
}

/// What a balancer is made of besides its settings.
pub struct Parts<'p> {
    /// How its servers are reached.
    pub transport: &'p Arc<Transport>,
    /// The balancer of the same name in the snapshot before: its position, health and counts live on.
    pub previous: Option<&'p Balancer>,
    /// Finds or makes hosts.
    pub host: &'p mut dyn FnMut(&str) -> Arc<Host>,
}

impl Balancer {
    /// Compiles the settings of service `name`; also gives what is wrong with servers that are left out.
    pub fn compile(
        name: &Name,
        settings: &LoadBalancer,
        parts: Parts<'_>,
    ) -> Result<(Self, Vec<String>), String> {
        let Parts { transport, previous, host } = parts;
        let counts = previous.map(|it| Arc::clone(&it.counts)).unwrap_or_default();
        let (mut servers, mut left_out): (Vec<Arc<Server>>, _) = (Vec::new(), Vec::new());
        for config in &settings.servers {
            // Traefik: a server without a usable address is left out, the others serve.
            let (bare, port) = match server::parse(&config.address) {
                Ok(parsed) => parsed,
                Err(message) => {
                    left_out.push(message);
                    continue;
                }
            };
            let known = servers.iter().find(|server| *server.address == *config.address);
            servers.push(Arc::new(Server {
                address: config.address.as_str().into(),
                place: Place {
                    host: bare.into(),
                    name: host(bare),
                    port,
                    tunnel: config.tunnel.clone(),
                },
                security: if config.tls { Security::Tls } else { Security::Plain },
                transport: Arc::clone(transport),
                standing: match known {
                    Some(known) => Arc::clone(&known.standing),
                    None => standing(previous, &config.address),
                },
                counts: Arc::clone(&counts),
                service: name.shared(),
            }));
        }
        let check = settings.health_check.as_ref();
        let active = check.map(|check| active(name, check, &servers, previous)).transpose()?;
        if active.is_none() {
            // Nothing would bring a server back that a check found down before.
            for server in &servers {
                server.standing.set_up(true);
            }
        }
        let turns = turns(&servers, previous);
        Ok((Self { servers, turns, active, counts }, left_out))
    }

    /// Whether a server is up that was not tried.
    pub fn has(&self, tried: &Tried) -> bool {
        self.servers.iter().any(|server| is_open(server, tried))
    }

    /// The server whose turn it is, of those that are up and were not tried.
    pub fn pick(&self, tried: &Tried) -> Option<Arc<Server>> {
        let is_open = |index: usize| self.servers.get(index).is_some_and(|it| is_open(it, tried));
        self.turns.pick(is_open).and_then(|index| self.servers.get(index)).map(Arc::clone)
    }

    /// Whether it tells of its health.
    pub fn is_checked(&self) -> bool {
        self.active.is_some()
    }

    /// Whether the health check has each server up, by address.
    pub fn server_status(&self) -> Vec<(Arc<str>, bool)> {
        let status = |it: &Arc<Server>| (Arc::clone(&it.address), it.standing.is_checked_up());
        self.servers.iter().map(status).collect()
    }
}

fn is_open(server: &Arc<Server>, tried: &Tried) -> bool {
    server.standing.is_up() && !tried.iter().any(|other| Arc::ptr_eq(other, server))
}

/// What is known of the server at `address`.
fn standing(previous: Option<&Balancer>, address: &str) -> Arc<Standing> {
    let mut known = previous.into_iter().flat_map(|previous| &previous.servers);
    let known = known.find(|server| *server.address == *address);
    known.map(|server| Arc::clone(&server.standing)).unwrap_or_default()
}

fn active(
    name: &Name,
    check: &HealthCheck,
    servers: &[Arc<Server>],
    previous: Option<&Balancer>,
) -> Result<Arc<Active<Probe>>, String> {
    let mut targets: Vec<Arc<Target<Probe>>> = Vec::new();
    for server in servers {
        if targets.iter().all(|target| target.url != server.address) {
            let (url, standing) = (Arc::clone(&server.address), Arc::clone(&server.standing));
            targets.push(Arc::new(Target { url, probe: Probe::new(check, server)?, standing }));
        }
    }
    let previous = previous.and_then(|previous| previous.active.as_ref());
    Ok(Active::begin(name, check, targets, previous))
}

/// The turns of `servers`: those of `previous` if it has the same ones, otherwise beginning where those are.
fn turns(servers: &[Arc<Server>], previous: Option<&Balancer>) -> Arc<Wrr> {
    let weights = vec![1.0; servers.len()];
    let Some(previous) = previous else { return Arc::new(Wrr::new(&weights)) };
    let addresses = |servers: &[Arc<Server>]| -> Vec<Arc<str>> {
        servers.iter().map(|server| Arc::clone(&server.address)).collect()
    };
    let (now, before) = (addresses(servers), addresses(&previous.servers));
    if now == before {
        return Arc::clone(&previous.turns);
    }
    let known: HashMap<_, _> = before.iter().enumerate().map(|(index, it)| (it, index)).collect();
    let earlier: Vec<_> = now.iter().map(|address| known.get(address).copied()).collect();
    Arc::new(Wrr::after(&previous.turns, &weights, &earlier))
}
