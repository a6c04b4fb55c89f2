//! HTTP: routers, services, middlewares, servers transports.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::tls::ClientCertificate;
use crate::tree::{Node, Tree};
use crate::units::{Duration, FileOrContent};

/// The HTTP part of a routing configuration; maps keep the order of their source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// By name.
    pub routers: IndexMap<String, Router>,
    /// By name.
    pub services: IndexMap<String, Service>,
    /// By name.
    pub middlewares: IndexMap<String, Middleware>,
    /// By name.
    pub servers_transports: IndexMap<String, ServersTransport>,
}

/// What the user wrote to catch requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// Entry points it listens on; empty = all default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Middlewares in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The service that answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The rule text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Parents, if this is a child router.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<String>,
    /// `v2` or `v3`; empty = the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_syntax: String,
    /// Higher first; 0 = the length of the rule.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// Present = only TLS connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
    /// Per-router switches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observability: Option<Observability>,
    /// Set by providers that wrote the rule from a `defaultRule`: the recursion guard applies.
    #[serde(skip)]
    pub default_rule: DefaultRule,
}

/// Whether a router's rule came from a provider's `defaultRule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultRule {
    /// The user wrote the rule.
    #[default]
    No,
    /// The provider rendered it.
    Rendered,
}

/// TLS settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterTls {
    /// Name of TLS options; empty = `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// ACME resolver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_resolver: String,
    /// Names to request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A main name and its alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// The main name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub main: String,
    /// Alternative names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
}

/// Per-router switches of access log, metrics and traces; absent = the entry point's, then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Access log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_logs: Option<bool>,
    /// Metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// Traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// `minimal` or `detailed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_verbosity: String,
}

/// A configured middleware: its kind as the user spelled it and its settings, typed later by the middleware table.
///
/// In a tree it is a map with exactly one entry, `{ stripPrefix: { prefixes: [..] } }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Middleware {
    /// The kind as written, `stripPrefix` in any case.
    pub kind: String,
    /// The settings as they came.
    pub settings: Tree,
}

/// Exactly one of the kinds, and middlewares that wrap it for every router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Balances over servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Rendezvous hashing over services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_random_weight: Option<HighestRandomWeight>,
    /// Shares over services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
    /// One service answers, others see copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirroring: Option<Mirroring>,
    /// A second service for when the first is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// Applied for every router that uses the service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
}

/// Balances over servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// Stickiness by cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// `wrr`, `p2c`, `hrw`, `leasttime`.
    pub strategy: String,
    /// Active probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Health by the answers to real requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_health_check: Option<PassiveHealthCheck>,
    /// Whether the server sees the client's Host header.
    pub pass_host_header: bool,
    /// When response bytes are flushed.
    pub response_forwarding: ResponseForwarding,
    /// How servers are reached; empty = `default@internal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub servers_transport: String,
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            sticky: None,
            servers: Vec::new(),
            strategy: "wrr".to_owned(),
            health_check: None,
            passive_health_check: None,
            pass_host_header: true,
            response_forwarding: ResponseForwarding::default(),
            servers_transport: String::new(),
        }
    }
}

/// When response bytes are flushed. Portcullis always flushes at once; the setting is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseForwarding {
    /// Pause between flushes; negative = after each write.
    pub flush_interval: Duration,
}

impl Default for ResponseForwarding {
    fn default() -> Self {
        Self { flush_interval: Duration::milliseconds(100) }
    }
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// `http://`, `https://` or `h2c://` and an authority.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Share; absent = 1, 0 or less = not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// Joins the URL's path before the request path.
    #[serde(skip_serializing_if = "is_false")]
    pub preserve_path: bool,
    /// Labels only: port of the container.
    #[serde(skip_serializing)]
    pub port: String,
    /// Labels only: scheme of the container.
    #[serde(skip_serializing)]
    pub scheme: String,
}

/// Stickiness by cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    /// The cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// The sticky cookie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cookie {
    /// Empty = derived from the service's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Attribute.
    #[serde(skip_serializing_if = "is_false")]
    pub secure: bool,
    /// Attribute.
    #[serde(skip_serializing_if = "is_false")]
    pub http_only: bool,
    /// `none`, `lax`, `strict`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub same_site: String,
    /// Seconds; 0 = session, negative = delete now.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_age: i64,
    /// Attribute.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Attribute.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: String::new(),
            secure: false,
            http_only: false,
            same_site: String::new(),
            max_age: 0,
            path: "/".to_owned(),
            domain: String::new(),
        }
    }
}

/// Active probes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// Scheme of the probe; empty = the server's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    /// `http` or `grpc`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Path and query, resolved against the server URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Method; empty = GET.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Expected code; 0 = 200..399.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: i64,
    /// Port of the probe; 0 = the server's.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// Pace while up.
    pub interval: Duration,
    /// Pace while down; absent = interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// Limit of one probe.
    pub timeout: Duration,
    /// Host header of the probe.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Headers of the probe.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            scheme: String::new(),
            mode: "http".to_owned(),
            path: String::new(),
            method: String::new(),
            status: 0,
            port: 0,
            interval: Duration::seconds(30),
            unhealthy_interval: None,
            timeout: Duration::seconds(5),
            hostname: String::new(),
            follow_redirects: true,
            headers: IndexMap::new(),
        }
    }
}

/// Health by the answers to real requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PassiveHealthCheck {
    /// Window in which failures count together.
    pub failure_window: Duration,
    /// Failures that take a server down.
    pub max_failed_attempts: i64,
}

impl Default for PassiveHealthCheck {
    fn default() -> Self {
        Self { failure_window: Duration::seconds(10), max_failed_attempts: 1 }
    }
}

/// Present = takes part in health propagation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PropagateHealth {}

/// A service with a share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightedService {
    /// Name of the service.
    pub name: String,
    /// Share; absent = 1, 0 = not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}

/// Shares over services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Weighted {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Stickiness by cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Health propagation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// Rendezvous hashing over services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HighestRandomWeight {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Health propagation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// One service answers, others see copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirroring {
    /// The service that answers.
    pub service: String,
    /// Whether copies carry the body.
    pub mirror_body: bool,
    /// Largest body to copy, bytes; -1 = no limit.
    pub max_body_size: i64,
    /// The copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
    /// Health propagation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

impl Default for Mirroring {
    fn default() -> Self {
        Self {
            service: String::new(),
            mirror_body: true,
            max_body_size: -1,
            mirrors: Vec::new(),
            health_check: None,
        }
    }
}

/// A service that sees copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirror {
    /// Name of the service.
    pub name: String,
    /// Share of requests copied, 0..100.
    #[serde(skip_serializing_if = "is_zero")]
    pub percent: i64,
}

/// A second service for when the first is down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// The main service.
    pub service: String,
    /// The second.
    pub fallback: String,
    /// Health propagation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
    /// Answers of the main service that count as failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<FailoverErrors>,
}

/// Answers that make a failover replay the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverErrors {
    /// Codes and ranges, `500-504`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// Largest request body kept for the replay; -1 = no limit.
    pub max_request_body_bytes: i64,
}

impl Default for FailoverErrors {
    fn default() -> Self {
        Self { status: Vec::new(), max_request_body_bytes: -1 }
    }
}

/// How servers are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersTransport {
    /// SNI and verified name; empty = the URL's host.
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
    /// Names as in TLS options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// `VersionTLS12`, `VersionTLS13`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_version: String,
    /// As above.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_version: String,
    /// Idle connections kept for each server; 0 = 2, negative = no reuse.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_idle_conns_per_host: i64,
    /// Time limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding_timeouts: Option<ForwardingTimeouts>,
    /// HTTP/1.1 only.
    #[serde(rename = "disableHTTP2", skip_serializing_if = "is_false")]
    pub disable_http2: bool,
    /// Required URI name of the server certificate.
    #[serde(rename = "peerCertURI", skip_serializing_if = "String::is_empty")]
    pub peer_cert_uri: String,
    /// SPIFFE identities to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}

/// Time limits towards servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardingTimeouts {
    /// To connect; 0 = none.
    pub dial_timeout: Duration,
    /// From the request's end to the response head; 0 = none.
    pub response_header_timeout: Duration,
    /// Idle connections are closed after it.
    pub idle_conn_timeout: Duration,
    /// HTTP/2: silence before a ping; 0 = no pings.
    pub read_idle_timeout: Duration,
    /// HTTP/2: how long a ping may take.
    pub ping_timeout: Duration,
}

impl Default for ForwardingTimeouts {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::seconds(30),
            response_header_timeout: Duration(0),
            idle_conn_timeout: Duration::seconds(90),
            read_idle_timeout: Duration(0),
            ping_timeout: Duration::seconds(15),
        }
    }
}

/// SPIFFE identities to accept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spiffe {
    /// Exact identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// A whole trust domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

/// Written as it is read, the settings as they came.
impl Serialize for Middleware {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.kind, &self.settings)])
    }
}

impl<'de> Deserialize<'de> for Middleware {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Tree::deserialize(deserializer)?;
        Self::from_tree(tree).map_err(serde::de::Error::custom)
    }
}

impl Middleware {
    /// Takes the one entry of the map.
    fn from_tree(tree: Tree) -> Result<Self, String> {
        let Node::Map(map) = tree.node else {
            return Err("expected a map of one middleware kind and its settings".to_owned());
        };
        let kinds: Vec<String> = map.keys().map(|kind| format!("`{kind}`")).collect();
        let mut entries = map.into_iter();
        match (entries.next(), entries.next()) {
            (Some((kind, settings)), None) => Ok(Self { kind, settings }),
            (None, _) => Err("expected one middleware kind, found none".to_owned()),
            _ => Err(format!(
                "expected one middleware kind, found {}; give each a middleware of its own",
                kinds.join(" and ")
            )),
        }
    }
}
