//! HTTP services: load balancers over servers and the composites over services.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{is_false, is_zero};
use crate::units::Duration;

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
