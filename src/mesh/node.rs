//! `Node`: what this process is in the mesh.

use std::sync::Arc;

use crate::install::{self, MeshRole};
use crate::tls::spiffe::Id;

/// What this process is in the mesh.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name of this node, `n1`.
    pub name: String,
    /// The first part of every identity.
    pub trust_domain: String,
    /// Who the node itself is.
    pub id: Id,
    /// Who it is towards workloads, for requests from outside; `None` = it is no edge.
    pub edge: Option<Id>,
    /// Whether it speaks for workloads.
    pub speaks_for_workloads: bool,
    /// The addresses that lead into the mesh.
    pub upstreams: Vec<Upstream>,
}

/// A local address that leads to a service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The name of its entry point.
    pub entry_point: Arc<str>,
    /// The service.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Who calls.
    pub caller: Id,
}

impl Node {
    /// Compiles the section. The error names the field.
    pub fn new(settings: &install::Mesh) -> Result<Self, String> {
        let name = match settings.node.as_str() {
            "" => nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .ok_or("mesh.node: the host has no name; give one")?,
            name => name.to_owned(),
        };
        let domain = settings.trust_domain.as_str();
        let about = |field: &str, error| format!("mesh.{field}: {error}");
        let id = Id::node(domain, &name).map_err(|error| about("node", error))?;
        let edge = Id::edge(domain, &name).map_err(|error| about("node", error))?;
        let upstreams = settings.upstreams.iter().map(|upstream| {
            let caller = match upstream.caller() {
                None => Ok(id.clone()),
                Some((namespace, account)) => Id::workload_of(domain, namespace, account),
            };
            Ok(Upstream {
                entry_point: upstream.entry_point().into(),
                service: upstream.service.clone(),
                port: upstream.port,
                caller: caller.map_err(|error| about("upstreams", error))?,
            })
        });
        let upstreams = upstreams.collect::<Result<_, String>>()?;
        Ok(Self {
            trust_domain: domain.to_owned(),
            edge: settings.has(MeshRole::Edge).then_some(edge),
            speaks_for_workloads: settings.has(MeshRole::Node),
            upstreams,
            name,
            id,
        })
    }
}
