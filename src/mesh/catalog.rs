//! `Catalog`: what runs where in the mesh, who it is, and what it answers for. Immutable; made whole from configuration.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::routing::http::LoadBalancer;
use portcullis_config::routing::mesh::{self as config, Health, Protocol, Sides, Tunnel};

use super::node::Node;
use crate::install;
use crate::tls::spiffe::Id;
use crate::upstream::endpoint::host_and_port;

/// What runs where in the mesh.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Workloads by full name, `web-1@file`.
    pub workloads: IndexMap<Arc<str>, Arc<Workload>>,
    /// Services by name, `web.default`.
    pub services: IndexMap<Arc<str>, Arc<Service>>,
    /// Workloads of this node by the address and port at which they themselves listen, and the index of that port.
    local: HashMap<(Box<str>, u16), (Arc<Workload>, usize)>,
}

/// One running program.
#[derive(Debug)]
pub struct Workload {
    /// Its full name, `web-1@file`.
    pub name: Arc<str>,
    /// Who it is.
    pub id: Id,
    /// The namespace of its account.
    pub namespace: Arc<str>,
    /// Its account.
    pub account: Arc<str>,
    /// Its address as its node reaches it.
    pub address: Box<str>,
    /// The ports that it serves.
    pub ports: Vec<config::Port>,
    /// Its share of a service's calls; 0 or less takes it out.
    pub weight: Option<i64>,
    /// Where it runs.
    pub zone: Box<str>,
    /// See above.
    pub region: Box<str>,
    /// Whether it takes calls.
    pub health: Health,
    /// How it is reached; without the service that is called.
    pub tunnel: Tunnel,
    /// Whether it runs on this node.
    pub is_local: bool,
    /// The services that it answers for.
    pub services: Vec<Arc<str>>,
}

/// The workloads that answer for one name.
#[derive(Debug)]
pub struct Service {
    /// `web.default`.
    pub name: Arc<str>,
    /// Its ports and what all its workloads speak there.
    pub ports: Vec<(u16, Protocol)>,
    /// Its workloads, local or not.
    pub workloads: Vec<Arc<Workload>>,
    /// How one is chosen, kept and watched.
    pub load_balancer: LoadBalancer,
    /// Full names of its middlewares.
    pub middlewares: Sides,
}

impl Catalog {
    /// Compiles a merged configuration as `own` sees it; also gives what is wrong with objects that are left out.
    pub fn compile(mesh: &config::Mesh, own: &Node) -> (Self, Vec<Problem>) {
        let mut compiling = Compiling { mesh, own, problems: Vec::new() };
        let workloads = compiling.workloads();
        let services: IndexMap<_, _> = mesh
            .services
            .iter()
            .filter_map(|(name, service)| compiling.service(name, service, &workloads))
            .collect();
        let mut catalog = Self { workloads, services, local: HashMap::new() };
        compiling.index(&mut catalog);
        (catalog, compiling.problems)
    }

    /// The workload of this node that a call to `host` and `port` means, and the index of its port: by its own address and
    /// the port that it listens on or, where none is that, the port of its service; or by the name of a service.
    pub fn local(&self, host: &str, port: u16) -> Option<(&Arc<Workload>, usize)> {
        if let Some((workload, index)) = self.local.get(&(host.into(), port)) {
            return Some((workload, *index));
        }
        let by_port =
            |workload: &Arc<Workload>| workload.ports.iter().position(|known| known.port == port);
        let here = self.workloads.values().filter(|it| it.is_local && *it.address == *host);
        let mut found = here.filter_map(|it| Some((it, by_port(it)?)));
        let service = || {
            let service = self.services.get(host)?;
            let healthy = |it: &&Arc<Workload>| it.is_local && it.health == Health::Healthy;
            service.workloads.iter().filter(healthy).find_map(|it| Some((it, by_port(it)?)))
        };
        found.next().or_else(service)
    }
}

struct Compiling<'c> {
    mesh: &'c config::Mesh,
    own: &'c Node,
    problems: Vec<Problem>,
}

type Workloads = IndexMap<Arc<str>, Arc<Workload>>;

impl Compiling<'_> {
    fn workloads(&mut self) -> Workloads {
        let mut of: HashMap<&str, Vec<Arc<str>>> = HashMap::new();
        for (service, settings) in &self.mesh.services {
            let shared: Arc<str> = service.as_str().into();
            for (name, _) in self.mesh.workloads.iter().filter(|(n, w)| belongs(settings, n, w)) {
                of.entry(name).or_default().push(Arc::clone(&shared));
            }
        }
        let mut workloads = Workloads::new();
        for (name, settings) in &self.mesh.workloads {
            match self.workload(name, settings) {
                Ok(mut workload) => {
                    workload.services = of.remove(name.as_str()).unwrap_or_default();
                    workloads.insert(Arc::clone(&workload.name), Arc::new(workload));
                }
                Err(message) => {
                    self.problems.push(Problem::error(Kind::MeshWorkload, name, message));
                }
            }
        }
        workloads
    }

    fn workload(&self, name: &str, settings: &config::Workload) -> Result<Workload, String> {
        if settings.account.is_empty() {
            return Err("account: is missing; it says who the workload is".to_owned());
        }
        if settings.node.is_empty() {
            return Err("node: is missing; it says whose proxy speaks for the workload".to_owned());
        }
        if settings.address.is_empty() {
            return Err("address: is missing, expected an IP address or a name".to_owned());
        }
        if let Some(port) = settings.ports.iter().find(|it| it.port == 0 || it.target() == 0) {
            return Err(format!(
                "ports: {} is no port, expected 1 to 65535",
                port.port.min(port.target())
            ));
        }
        let id = Id::workload_of(&self.own.trust_domain, &settings.namespace, &settings.account);
        let id = id.map_err(|error| format!("namespace and account make no identity: {error}"))?;
        let is_local = settings.node == self.own.name;
        let address = match self.mesh.nodes.get(&settings.node) {
            Some(node) => with_port(&node.address)?,
            // A node knows where it is itself.
            None if is_local => String::new(),
            None => {
                return Err(format!("node: there is no node `{}` in mesh.nodes", settings.node));
            }
        };
        let tunnel = Tunnel {
            node: settings.node.clone(),
            address,
            identity: id.as_str().to_owned(),
            service: String::new(),
        };
        Ok(Workload {
            name: name.into(),
            id,
            namespace: settings.namespace.as_str().into(),
            account: settings.account.as_str().into(),
            address: settings.address.as_str().into(),
            ports: settings.ports.clone(),
            weight: settings.weight,
            zone: settings.zone.as_str().into(),
            region: settings.region.as_str().into(),
            health: settings.health,
            tunnel,
            is_local,
            services: Vec::new(),
        })
    }

    fn service(
        &mut self,
        name: &str,
        settings: &config::Service,
        workloads: &Workloads,
    ) -> Option<(Arc<str>, Arc<Service>)> {
        let problem = |message| Problem::error(Kind::MeshService, name, message);
        for reference in &settings.workloads {
            if !self.mesh.workloads.contains_key(reference) {
                let message =
                    format!("workloads: there is no workload `{reference}`; it is left out");
                self.problems.push(Problem::warning(Kind::MeshService, name, message));
            }
        }
        let balancer = settings.load_balancer.clone().unwrap_or_default();
        if !balancer.servers.is_empty() || !balancer.servers_transport.is_empty() {
            let message =
                "loadBalancer: servers and serversTransport are given by the mesh; remove them";
            self.problems.push(problem(message.to_owned()));
            return None;
        }
        let members = workloads.values().filter(|it| it.services.iter().any(|own| **own == *name));
        let members: Vec<_> = members.cloned().collect();
        let ports = match ports(settings, &members) {
            Ok(ports) => ports,
            Err(message) => {
                self.problems.push(problem(message));
                return None;
            }
        };
        let service = Service {
            name: name.into(),
            ports,
            workloads: members,
            load_balancer: balancer,
            middlewares: settings.middlewares.clone(),
        };
        Some((Arc::clone(&service.name), Arc::new(service)))
    }

    /// Notes where the workloads of this node listen. Two of them at one place could not be told apart.
    fn index(&mut self, catalog: &mut Catalog) {
        for workload in catalog.workloads.values().filter(|it| it.is_local) {
            for (index, port) in workload.ports.iter().enumerate() {
                let place = (workload.address.clone(), port.target());
                match catalog.local.get(&place) {
                    Some((other, _)) => {
                        let place = host_and_port(&place.0, place.1);
                        let message = format!(
                            "ports: `{}` listens on {place}, too; calls go there",
                            other.name
                        );
                        self.problems.push(Problem::warning(
                            Kind::MeshWorkload,
                            &*workload.name,
                            message,
                        ));
                    }
                    None => drop(catalog.local.insert(place, (Arc::clone(workload), index))),
                }
            }
        }
    }
}

/// Whether a workload answers for a service.
fn belongs(service: &config::Service, name: &str, workload: &config::Workload) -> bool {
    let chosen = service.selector.as_ref().is_some_and(|selector| {
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        (!selector.namespace.is_empty() || !selector.account.is_empty())
            && fits(&selector.namespace, &workload.namespace)
            && fits(&selector.account, &workload.account)
    });
    chosen || service.workloads.iter().any(|reference| reference == name)
}

/// The ports of a service and what is spoken there.
fn ports(
    settings: &config::Service,
    workloads: &[Arc<Workload>],
) -> Result<Vec<(u16, Protocol)>, String> {
    let mut ports: IndexMap<u16, (Protocol, &str)> = IndexMap::new();
    for workload in workloads {
        for port in &workload.ports {
            let (known, by) = *ports.entry(port.port).or_insert((port.protocol, &*workload.name));
            if known != port.protocol {
                return Err(format!(
                    "port {}: `{by}` declares {known:?} and `{}` {:?}; they must speak the same",
                    port.port, workload.name, port.protocol
                ));
            }
        }
    }
    if settings.ports.is_empty() {
        return Ok(ports.into_iter().map(|(port, (protocol, _))| (port, protocol)).collect());
    }
    let declared = |port: &u16| ports.get(port).map_or(Protocol::Undeclared, |(it, _)| *it);
    Ok(settings.ports.iter().map(|port| (*port, declared(port))).collect())
}

/// The address of a node with its port.
fn with_port(address: &str) -> Result<String, String> {
    let wrong =
        || format!("node: its address `{address}` is none, expected such as 10.77.0.12:15008");
    let has_port = match address.rsplit_once(':') {
        Some((host, _)) => !host.contains(':') || host.ends_with(']'),
        None => false,
    };
    if !has_port && address.contains(':') && address.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(wrong());
    }
    let address =
        if has_port { address.to_owned() } else { host_and_port(address, install::Mesh::PORT) };
    crate::tcp::server::parse(&address).map_err(|_| wrong())?;
    Ok(address)
}

#[cfg(test)]
mod tests;
