//! HTTP services: load balancers over servers and the composites over services.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::health::{HealthCheck, PassiveHealthCheck};
use super::{is_false, is_zero};
use crate::routing::mesh::Tunnel;
use crate::units::Duration;

/// Answers requests: exactly one of the kinds.
///
/// ```yaml
/// http:
///   services:
///     shop:
///       loadBalancer:
///         servers:
///         - url: http://10.0.0.1:8080
///         - url: http://10.0.0.2:8080
///         healthCheck: { path: /health }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Balances over servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Sends each client to one of several services, always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_random_weight: Option<HighestRandomWeight>,
    /// Shares requests out among services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighted: Option<Weighted>,
    /// One service answers, others see copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirroring: Option<Mirroring>,
    /// A second service answers while the first is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// Middlewares in front of the service, for every router that uses it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
}

/// Balances over servers. Without a usable one the answer is 503.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    /// Keeps each client at one server. `sticky: { cookie: {} }` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// How a server is chosen: `wrr` (by weight, the default), `p2c` (the less busy of two at
    /// random), `hrw` (by the client's address) or `leasttime` (by response time). Portcullis's own are
    /// `ewma` (of two at random the one that is quicker for what it has to do), `leastRequest` (the one
    /// with the fewest requests for its weight) and `hash` (by what `hash` says).
    pub strategy: String,
    /// With the strategy `hash`: what leads to a server, always to the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashBy>,
    /// Probes servers and leaves out those that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Watches the answers to real requests and leaves out servers that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive_health_check: Option<PassiveHealthCheck>,
    /// Whether the server sees the client's `Host` header (the default) or the host of its URL.
    pub pass_host_header: bool,
    /// When response bytes are flushed.
    pub response_forwarding: ResponseForwarding,
    /// The transport to the servers. Without a name that of the installation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub servers_transport: String,
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            sticky: None,
            servers: Vec::new(),
            strategy: "wrr".to_owned(),
            hash: None,
            health_check: None,
            passive_health_check: None,
            pass_host_header: true,
            response_forwarding: ResponseForwarding::default(),
            servers_transport: String::new(),
        }
    }
}

/// What leads to a server: a header, a cookie, or with neither (or where a request lacks it) the address of
/// the client. Servers that come, go or fail move few of the others' requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HashBy {
    /// The name of a header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub header: String,
    /// The name of a cookie.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cookie: String,
}

/// When response bytes are flushed. Portcullis always flushes at once; the setting is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResponseForwarding {
    /// The pause between flushes; negative means after each write.
    pub flush_interval: Duration,
}

impl Default for ResponseForwarding {
    fn default() -> Self {
        Self { flush_interval: Duration::milliseconds(100) }
    }
}

/// One server of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// `http://`, `https://` or `h2c://` with host and port. Path and query count only with `preservePath`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Its share relative to the other servers, 1 without; 0 or less takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// Whether the URL's path is put before the request's.
    #[serde(skip_serializing_if = "is_false")]
    pub preserve_path: bool,
    /// Labels only: the port of the container.
    #[serde(skip_serializing)]
    pub port: String,
    /// Labels only: the scheme of the container.
    #[serde(skip_serializing)]
    pub scheme: String,
    /// How the mesh reaches it; never configured.
    #[serde(skip)]
    pub tunnel: Option<Arc<Tunnel>>,
}

/// Keeps each client at one server, or at one child of a weighted service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    /// By a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// The cookie that names a client's server. It is set when a server is chosen anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cookie {
    /// Its name. Without one it is derived from the service's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether it has the attribute `Secure`.
    #[serde(skip_serializing_if = "is_false")]
    pub secure: bool,
    /// Whether it has the attribute `HttpOnly`.
    #[serde(skip_serializing_if = "is_false")]
    pub http_only: bool,
    /// The attribute `SameSite`: `none`, `lax` or `strict`. Other text leaves it out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub same_site: String,
    /// Its age in seconds: 0 ends it with the session, a negative one at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_age: i64,
    /// The path it is sent for, `/` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The domain it is sent for.
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

/// Present, it makes a service report its own health from that of its children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PropagateHealth {}

/// A child of a weighted service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightedService {
    /// The service. A name without `@` is one of the same provider.
    pub name: String,
    /// Its share relative to the other children, 1 without; 0 takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
}

/// Shares requests out among services by their weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Weighted {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Keeps each client at one child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Leaves out children that are down and reports when all are. Each child must check health itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// Sends each client, known by its address, always to the same of several services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HighestRandomWeight {
    /// The children.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<WeightedService>,
    /// Leaves out children that are down and reports when all are. Each child must check health itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
}

/// One service answers; others receive copies of the requests afterwards, and their answers are thrown away.
///
/// Copies never hold up what they copy: at most 1024 requests of a service are being copied at a time and
/// each copy may take a minute; requests beyond that are answered and not copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirroring {
    /// The service that answers.
    pub service: String,
    /// Whether copies carry the request's body (the default), for which it is kept in memory.
    pub mirror_body: bool,
    /// Requests with more bytes are answered and not copied; -1, the default, means 64 MiB.
    pub max_body_size: i64,
    /// The services that receive copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
    /// Reports the health of the service that answers.
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

/// A service that receives copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirror {
    /// The service. A name without `@` is one of the same provider.
    pub name: String,
    /// The share of requests that it receives, 0 to 100.
    #[serde(skip_serializing_if = "is_zero")]
    pub percent: i64,
}

/// A second service answers while the first is down or, with `errors`, when it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// The first service.
    pub service: String,
    /// The second service.
    pub fallback: String,
    /// Reports when both are down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<PropagateHealth>,
    /// Answers of the first service that make the second one answer instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<FailoverErrors>,
}

/// Answers that make a failover replay the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverErrors {
    /// Codes and ranges of codes, `404`, `500-504`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// Requests with a longer body are refused with 413, since the body is kept for the replay. With -1,
    /// the default, none is refused, and bodies above 64 MiB are sent to one service only.
    pub max_request_body_bytes: i64,
}

impl Default for FailoverErrors {
    fn default() -> Self {
        Self { status: Vec::new(), max_request_body_bytes: -1 }
    }
}
