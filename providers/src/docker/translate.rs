//! From what the engine said of its containers to a routing configuration; pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use portcullis_config::problem::Kind;
use portcullis_config::template::Template;
use portcullis_config::{Problem, Routing};
use serde::Deserialize;

use super::Docker;
use super::address::{HostPorts, Place};
use super::container::{Container, Standing};
use crate::constraints::Constraints;
use crate::labels::{Contribution, Instance, Labels, Servers, merge, normalize};

/// All containers that the engine told us of, by id.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    containers: BTreeMap<String, Container>,
    host: Option<IpAddr>,
    /// What containers contribute that have not changed since; a start among thousands is then quick.
    kept: BTreeMap<String, Option<Contribution>>,
}

impl Fleet {
    /// Takes in the newest facts of a container; says whether they differ from what was known.
    pub(super) fn put(&mut self, container: Container) -> Change {
        if self.containers.get(&container.id) == Some(&container) {
            return Change::None;
        }
        self.kept.remove(&container.id);
        self.containers.insert(container.id.clone(), container);
        Change::Some
    }

    /// Forgets a container.
    pub(super) fn remove(&mut self, id: &str) -> Change {
        self.kept.remove(id);
        if self.containers.remove(id).is_some() { Change::Some } else { Change::None }
    }

    /// Whether a container shares the network of the host, whose address nobody has told yet.
    pub(super) fn needs_host(&self) -> bool {
        self.host.is_none() && self.containers.values().any(|it| it.network_mode == "host")
    }

    /// Says where containers answer that share the network of the host.
    pub(super) fn set_host(&mut self, host: IpAddr) {
        self.host = Some(host);
        self.kept.clear();
    }

    pub(super) fn host(&self) -> IpAddr {
        self.host.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    /// By id or name.
    pub(super) fn find(&self, id: &str) -> Option<&Container> {
        let by_name = || self.containers.values().find(|container| container.name == id);
        self.containers.get(id).or_else(by_name)
    }
}

/// Whether something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Some,
}

/// The options that translation depends on.
pub(super) struct Translator {
    rule: Template,
    constraints: Constraints,
    network: String,
    exposed: bool,
    empty_services: bool,
    host_ports: HostPorts,
}

/// The labels that are about the container rather than about routing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Switches {
    enable: Option<bool>,
    docker: DockerSwitches,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerSwitches {
    network: String,
    allow_non_running: bool,
    /// Of Swarm; accepted here since one set of labels may serve both.
    #[allow(dead_code, reason = "accepted and ignored")]
    lbswarm: bool,
}

impl Translator {
    pub(super) fn new(options: &Docker, rule: Template, constraints: Constraints) -> Self {
        Self {
            rule,
            constraints,
            network: options.network.clone(),
            exposed: options.exposed_by_default,
            empty_services: options.allow_empty_services,
            host_ports: if options.use_bind_port_ip {
                HostPorts::Preferred
            } else {
                HostPorts::Ignored
            },
        }
    }

    /// The whole configuration.
    pub(super) fn translate(&self, fleet: &mut Fleet) -> (Routing, Vec<Problem>) {
        let mut kept = std::mem::take(&mut fleet.kept);
        for (id, container) in &fleet.containers {
            // Who shares a network changes with the container that it belongs to.
            if !kept.contains_key(id) || container.network_mode.starts_with("container:") {
                kept.insert(id.clone(), self.contribution(container, fleet));
            }
        }
        fleet.kept = kept;
        merge(fleet.kept.values().flatten())
    }

    /// What one container contributes; `None` if it does not count.
    fn contribution(&self, container: &Container, fleet: &Fleet) -> Option<Contribution> {
        let labels = Labels::read(&container.name, &container.labels);
        let switches: Switches = match labels.options(&["enable", "docker"]) {
            Ok(switches) => switches,
            Err(problem) => return Some(Contribution::refused(&container.name, vec![problem])),
        };
        if !switches.enable.unwrap_or(self.exposed) || !self.constraints.allow(&container.labels) {
            return None;
        }
        let empty = match container.standing {
            Standing::Ready => false,
            Standing::Unhealthy if self.empty_services => true,
            Standing::Stopped | Standing::Unhealthy if switches.docker.allow_non_running => true,
            Standing::Stopped | Standing::Unhealthy => return None,
        };
        let network = match switches.docker.network.as_str() {
            "" => self.network.as_str(),
            named => named,
        };
        let place = Place { container, fleet, network, host_ports: self.host_ports };
        let service = service_name(container);
        let instance = Instance {
            name: &container.name,
            order: format!("{service}-{}", container.id),
            service: &service,
            labels: &container.labels,
            servers: if empty { Servers::Nowhere } else { Servers::At(&place) },
        };
        let mut contribution = Contribution::of(&instance, labels, &self.rule);
        if let Some(problem) = missing_network(container, network) {
            contribution.note(problem);
        }
        Some(contribution)
    }
}

/// A project's container is named for its service, so that replicas share one name.
fn service_name(container: &Container) -> String {
    let label = |name: &str| container.labels.get(name);
    let compose = (label("com.docker.compose.service"), label("com.docker.compose.project"));
    match compose {
        (Some(service), Some(project)) => normalize(&format!("{service}_{project}")),
        _ => normalize(&container.name),
    }
}

fn missing_network(container: &Container, network: &str) -> Option<Problem> {
    let shared =
        container.network_mode == "host" || container.network_mode.starts_with("container:");
    if network.is_empty() || shared || container.networks.contains_key(network) {
        return None;
    }
    let attached: Vec<&str> = container.networks.keys().map(String::as_str).collect();
    let message = format!(
        "not attached to the network `{network}`, only to {}; one of these is used",
        attached.join(", ")
    );
    Some(Problem::warning(Kind::Container, &container.name, message))
}
