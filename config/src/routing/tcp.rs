//! TCP: routers, services, middlewares, servers transports.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::{
    Domain, Middleware, PropagateHealth, Spiffe, WeightedService, is_false, is_zero,
};
use super::mesh::Tunnel;
use super::tls::ClientCertificate;
use crate::units::{Duration, FileOrContent};

/// The TCP part of a routing configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tcp {
    /// Routers by name: which connections go through which middlewares to which service.
    pub routers: IndexMap<String, Router>,
    /// Services by name: where connections go.
    pub services: IndexMap<String, Service>,
    /// Middlewares by name, each of one kind.
    pub middlewares: IndexMap<String, Middleware>,
    /// Transports by name: how services reach their servers.
    pub servers_transports: IndexMap<String, ServersTransport>,
}

/// Catches connections by a rule and sends them through middlewares to a service.
///
/// ```yaml
/// tcp:
///   routers:
///     database:
///       rule: HostSNI(`db.example.com`)
///       service: database
///       tls: { passthrough: true }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// The entry points it listens on. Without any it listens on those that are default entry points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// The middlewares, in the order in which a connection meets them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The service that the connection goes to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Which connections it catches, for example ``HostSNI(`db.example.com`)``. Plain connections
    /// have no name: ``HostSNI(`*`)``.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The syntax of the rule, `v3` or the older `v2`. Without it the default of the installation applies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_syntax: String,
    /// Routers with a higher priority are asked first. 0 means the length of the rule.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// With it the router catches only TLS connections, without it only plain ones. `tls: {}` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
}

/// The TLS settings of a TCP router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterTls {
    /// Whether the server does TLS itself and receives the bytes as they came.
    pub passthrough: bool,
    /// The TLS options. Without a name those called `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// The resolver that obtains certificates for the names of the rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_resolver: String,
    /// The names to obtain certificates for. Without any they are taken from the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// Where connections go: exactly one of the kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Balances over servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Shares connections out among services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
}

/// Balances connections over servers. Without a usable one the connection is closed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// The servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// The transport to the servers. Without a name that of the installation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub servers_transport: String,
    /// Deprecated: belongs to the transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Deprecated: belongs to the transport. In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_delay: Option<i64>,
    /// Probes servers and leaves out those that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

/// One server of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Host and port, `10.0.0.1:5432`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Whether to connect with TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls: bool,
    /// Labels only: the port of the container.
    #[serde(skip_serializing)]
    pub port: String,
    /// How the mesh reaches it; never configured.
    #[serde(skip)]
    pub tunnel: Option<Arc<Tunnel>>,
}

/// Probes each server in turn by connecting and, if so set, by sending text and expecting text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// The port of the probe. Without one that of the server.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// The text to send.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub send: String,
    /// The text to expect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expect: String,
    /// How often a healthy server is probed, 30 s by default.
    pub interval: Duration,
    /// How often an unhealthy server is probed; `interval` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// How long a probe may take, 5 s by default.
    pub timeout: Duration,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            port: 0,
            send: String::new(),
            expect: String::new(),
            interval: Duration::seconds(30),
            unhealthy_interval: None,
            timeout: Duration::seconds(5),
        }
    }
}

/// Shares connections out among services by their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Weighted {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Leaves out children that are down and reports when all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// Tells servers the client's address by the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Version 1 (text) or 2 (binary, the default).
    pub version: i64,
}

impl Default for ProxyProtocol {
    fn default() -> Self {
        Self { version: 2 }
    }
}

/// How servers are reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersTransport {
    /// The pace of TCP keep-alive probes, 15 s by default; a negative one switches them off.
    pub dial_keep_alive: Duration,
    /// How long connecting may take, 30 s by default.
    pub dial_timeout: Duration,
    /// How long the other side may go on once one side has closed, 100 ms by default; a negative
    /// one sets no limit.
    pub termination_delay: Duration,
    /// Tells servers the client's address by the PROXY protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Connects with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TransportTls>,
    /// The SPIFFE id as which the mesh reaches servers; never configured. Empty = directly.
    #[serde(skip)]
    pub mesh_identity: String,
}

impl Default for ServersTransport {
    fn default() -> Self {
        Self {
            dial_keep_alive: Duration::seconds(15),
            dial_timeout: Duration::seconds(30),
            termination_delay: Duration::milliseconds(100),
            proxy_protocol: None,
            tls: None,
            mesh_identity: String::new(),
        }
    }
}

/// TLS towards servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TransportTls {
    /// The name for SNI and for checking the server's certificate. Without one the host of the
    /// server's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Accepts any certificate. For trials only.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// The authorities that may have signed the server's certificate, as files or PEM text, instead
    /// of the system's.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<FileOrContent>,
    /// Certificates to show to servers that ask for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<ClientCertificate>,
    /// The URI that the server's certificate must name.
    #[serde(rename = "peerCertURI", skip_serializing_if = "String::is_empty")]
    pub peer_cert_uri: String,
    /// The SPIFFE identities that the server may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}
