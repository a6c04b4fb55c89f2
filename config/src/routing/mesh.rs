//! The mesh: workloads, the services over them, who may reach whom, and the nodes.

pub mod policy;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::LoadBalancer;
pub use policy::Policy;

/// The mesh part of a routing configuration.
///
/// ```yaml
/// mesh:
///   nodes:
///     n2: { address: 10.77.0.12:15008 }
///   workloads:
///     web-1: { account: web, node: n2, address: 10.77.2.2, ports: [{ port: 80, targetPort: 8080, protocol: http }] }
///   services:
///     web.default: { workloads: [web-1] }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mesh {
    /// Workloads by name: what runs where, and who it is.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub workloads: IndexMap<String, Workload>,
    /// Services by name, `web.default`: the workloads that answer for it. Names hold for the whole mesh.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub services: IndexMap<String, Service>,
    /// Policies by name: who may reach whom.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub policies: IndexMap<String, Policy>,
    /// Nodes by name: where their tunnels end. Names hold for the whole mesh.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub nodes: IndexMap<String, Node>,
}

impl Mesh {
    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty()
            && self.services.is_empty()
            && self.policies.is_empty()
            && self.nodes.is_empty()
    }
}

/// One running program: where it is, who it is, what it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Workload {
    /// The namespace of its account, `default` without one.
    pub namespace: String,
    /// Its account: together with the namespace its identity, `spiffe://…/ns/<namespace>/sa/<account>`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The node that it runs on, whose proxy speaks for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Its address as its node reaches it: an IP address or a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The ports that it serves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Its share relative to other workloads of a service, 1 without; 0 or less takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// The zone that it runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// The region that it runs in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Whether it takes traffic; a drained one is kept in the catalog and gets none.
    pub health: Health,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            account: String::new(),
            node: String::new(),
            address: String::new(),
            ports: Vec::new(),
            weight: None,
            zone: String::new(),
            region: String::new(),
            health: Health::Healthy,
        }
    }
}

/// Whether a workload takes traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// It does.
    #[default]
    Healthy,
    /// It does not.
    Unhealthy,
}

/// One port that a workload serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// The port of the service, which clients and policies name.
    pub port: u16,
    /// The port that the workload itself listens on; the same without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// What is spoken there.
    pub protocol: Protocol,
}

impl Port {
    /// The port that the workload itself listens on.
    pub fn target(&self) -> u16 {
        self.target_port.unwrap_or(self.port)
    }
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// Nobody says; bytes are passed on as they come.
    #[default]
    Undeclared,
    /// HTTP/1.1.
    Http,
    /// HTTP/2 in the clear, as gRPC uses it.
    H2c,
    /// Anything else; bytes are passed on as they come.
    Tcp,
}

impl Protocol {
    /// Whether requests are spoken there.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::H2c)
    }
}

/// The workloads that answer for one name, and how they are used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// The workloads by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// All workloads of an account, beside those that are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The ports of the service; without any those of its workloads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// How a workload is chosen, kept and watched, as of every load balancer; `servers` and `serversTransport` are given
    /// by the mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// The middlewares of its HTTP ports.
    pub middlewares: Sides,
}

/// Which workloads belong to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Those of this namespace, of all without one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Those of this account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
}

/// The middlewares of a service by the side on which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sides {
    /// Where requests begin: at the node of the workload that asks, or at the edge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<String>,
    /// Where requests end: at the node of the workload that answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<String>,
}

/// One node of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// Where its tunnels end, `10.77.0.12:15008`; without a port it is 15008.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// How a server of a load balancer is reached through the mesh. Never configured: the mesh adds it to servers that it
/// makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// The node that the server is on.
    pub node: String,
    /// Where the tunnels of the node end: host and port.
    pub address: String,
    /// The SPIFFE id that the node must show for the server.
    pub identity: String,
    /// The service that is called; for figures.
    pub service: String,
}
