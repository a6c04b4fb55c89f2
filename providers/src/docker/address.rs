//! Where a container answers: which port, which network, and the detours of host and shared networks.

use std::net::{IpAddr, SocketAddr};

use super::container::Container;
use super::translate::Fleet;
use crate::labels::Locate;

/// Everything that the address of one container depends on.
pub(super) struct Place<'a> {
    pub(super) container: &'a Container,
    pub(super) fleet: &'a Fleet,
    /// The network that its labels or the provider's options name; empty if none.
    pub(super) network: &'a str,
    pub(super) host_ports: HostPorts,
}

/// Which address and port of a container are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostPorts {
    /// Its own.
    Ignored,
    /// Those that the engine published on the host, if it did so on one address.
    Preferred,
}

/// A container may share the network of one that shares the network of another; the engine allows no circles.
const SHARED_DEPTH: usize = 4;

impl Locate for Place<'_> {
    fn locate(&self, port: Option<u16>) -> Result<String, String> {
        let exposed = || self.container.ports.keys().next().copied();
        let port = port.or_else(exposed).ok_or(
            "port is missing: the container exposes none; \
             expose one, or name it with the label `…loadbalancer.server.port`",
        )?;
        if self.host_ports == HostPorts::Preferred
            && let Some(address) = self.binding(port)
        {
            return Ok(address.to_string());
        }
        let ip = self.ip(self.container, SHARED_DEPTH)?;
        Ok(SocketAddr::new(ip, port).to_string())
    }
}

impl Place<'_> {
    /// The first address of the host that leads to `port`. A port published on all addresses does not say where.
    fn binding(&self, port: u16) -> Option<SocketAddr> {
        let bindings = self.container.ports.get(&port)?;
        bindings.iter().find_map(|bound| Some(SocketAddr::new(bound.host?, bound.port)))
    }

    fn ip(&self, container: &Container, depth: usize) -> Result<IpAddr, String> {
        if let Some(Some(ip)) = container.networks.get(self.network) {
            return Ok(*ip);
        }
        if container.network_mode == "host" {
            return Ok(self.fleet.host());
        }
        if let Some(id) = container.network_mode.strip_prefix("container:") {
            let other = self.fleet.find(id).filter(|_| depth > 0);
            let other = other.ok_or_else(|| {
                format!("it shares the network of container {id}, which the engine does not list")
            })?;
            return self.ip(other, depth - 1);
        }
        let ip = container.networks.values().flatten().next();
        ip.copied()
            .ok_or_else(|| "no IP address: it is attached to no network that has one".to_owned())
    }
}
