//! TCP: routers, services, middlewares, servers transports. Decoded whole; served by a later release.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::{
    Domain, Middleware, PropagateHealth, Spiffe, WeightedService, is_false, is_zero,
};
use super::tls::ClientCertificate;
use crate::units::{Duration, FileOrContent};

/// The TCP part of a routing configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tcp {
    /// By name.
    pub routers: IndexMap<String, Router>,
    /// By name.
    pub services: IndexMap<String, Service>,
    /// By name.
    pub middlewares: IndexMap<String, Middleware>,
    /// By name.
    pub servers_transports: IndexMap<String, ServersTransport>,
}

/// What the user wrote to catch connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// Entry points; empty = all default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Middlewares in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The rule text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// `v2` or `v3`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_syntax: String,
    /// Higher first; 0 = by length.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// Present = TLS connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
}

/// TLS settings of a TCP router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterTls {
    /// Bytes go on encrypted.
    pub passthrough: bool,
    /// TLS options.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// ACME resolver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_resolver: String,
    /// Names to request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// One of the kinds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Balances over servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Shares over services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
}

/// Balances over servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// The servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// How servers are reached.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub servers_transport: String,
    /// Deprecated; see the transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Deprecated; see the transport. Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_delay: Option<i64>,
    /// Active probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// `host:port`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Connect with TLS.
    #[serde(skip_serializing_if = "is_false")]
    pub tls: bool,
    /// Labels only: port of the container.
    #[serde(skip_serializing)]
    pub port: String,
}

/// Active probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// Port; 0 = the server's.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// What to send.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub send: String,
    /// What to expect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expect: String,
    /// Pace while up.
    pub interval: Duration,
    /// Pace while down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// Limit of a probe.
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

/// Shares over services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Weighted {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Health propagation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// The PROXY protocol towards servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// 1 or 2.
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
    /// Pace of TCP keep-alive probes; negative = none.
    pub dial_keep_alive: Duration,
    /// To connect.
    pub dial_timeout: Duration,
    /// Deadline of the other half after one side closed; negative = none.
    pub termination_delay: Duration,
    /// PROXY header out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS to servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TransportTls>,
}

impl Default for ServersTransport {
    fn default() -> Self {
        Self {
            dial_keep_alive: Duration::seconds(15),
            dial_timeout: Duration::seconds(30),
            termination_delay: Duration::milliseconds(100),
            proxy_protocol: None,
            tls: None,
        }
    }
}

/// TLS to servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TransportTls {
    /// SNI and verified name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// Replace the system's roots.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<FileOrContent>,
    /// Client certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<ClientCertificate>,
    /// Required URI name.
    #[serde(rename = "peerCertURI", skip_serializing_if = "String::is_empty")]
    pub peer_cert_uri: String,
    /// SPIFFE identities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}
