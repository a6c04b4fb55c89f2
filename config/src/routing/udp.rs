//! UDP: routers and services.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::WeightedService;

/// The UDP part of a routing configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Udp {
    /// Routers by name: which datagrams go to which service.
    pub routers: IndexMap<String, Router>,
    /// Services by name: where datagrams go.
    pub services: IndexMap<String, Service>,
}

/// Catches all datagrams of its entry points; there are no rules. One router serves an entry point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// The entry points it listens on; all UDP ones without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// The service that datagrams go to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// Where datagrams go: exactly one of the kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Balances over servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Shares sessions out among services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
}

/// Balances sessions over servers. A session is one client address and port until it is idle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// The servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
}

/// One server of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Host and port, `10.0.0.1:53`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Labels only: the port of the container.
    #[serde(skip_serializing)]
    pub port: String,
}

/// Shares sessions out among services by their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Weighted {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
}
