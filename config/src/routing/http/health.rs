//! How the health of servers is known.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{is_false, is_zero};
use crate::units::Duration;

/// Probes each server in turn. Until the first probe, one interval after the start, servers count as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    /// The scheme of the probe. Without one that of the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    /// `http` (the default) or `grpc`, which asks the standard gRPC health service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Path and query of the probe, resolved against the server's URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The method of the probe, GET by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The expected code; 0 expects any from 200 to 399.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: i64,
    /// The port of the probe. Without one that of the server.
    #[serde(skip_serializing_if = "is_zero")]
    pub port: i64,
    /// How often a healthy server is probed, 30 s by default.
    pub interval: Duration,
    /// How often an unhealthy server is probed; `interval` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_interval: Option<Duration>,
    /// How long a probe may take, 5 s by default.
    pub timeout: Duration,
    /// The `Host` header of the probe.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Whether redirects are followed; they are by default.
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

/// A server that fails too often is left out for a while. An answer from 500 up is a failure, as is
/// none at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PassiveHealthCheck {
    /// The window in which failures count together, and the while; 10 s by default.
    pub failure_window: Duration,
    /// How many failures take a server out, 1 by default.
    pub max_failed_attempts: i64,
    /// Portcullis's own, in place of the two above: ejects outliers, but never most servers at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<Ejection>,
}

impl Default for PassiveHealthCheck {
    fn default() -> Self {
        Self { failure_window: Duration::seconds(10), max_failed_attempts: 1, ejection: None }
    }
}

/// Ejects a server that fails while others do not. When its time is over, a single request tries it: if
/// that succeeds it is back, otherwise it is out for about twice as long. `ejection: {}` has the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ejection {
    /// So many failures in a row eject a server, 5 by default; 0 = none do.
    pub consecutive_failures: i64,
    /// A server with a smaller share of successes than this, in percent, is ejected; 0, the default = none is.
    pub success_rate: i64,
    /// The time over which the share of successes is taken, 10 s by default.
    pub window: Duration,
    /// A share of fewer answers than so many says nothing; 5 by default.
    pub min_requests: i64,
    /// How long the first ejection lasts, 1 s by default. Each one that follows soon lasts twice as long.
    pub base_time: Duration,
    /// How long an ejection lasts at most, 60 s by default.
    pub max_time: Duration,
    /// By how much more, at random, an ejection lasts, in percent; 50 by default.
    pub jitter: i64,
    /// No more than this share of the servers is out at a time, in percent; 50 by default.
    pub max_percent: i64,
    /// With fewer servers left than this, in percent, ejections are not heeded: too few could not bear what
    /// all did. 50 by default; 0 = they always are.
    pub panic_percent: i64,
    /// Whether an answer 429 is a failure, too, and one with `Retry-After` ejects the server for so long. Only
    /// for servers that mean themselves with it and not the client.
    #[serde(skip_serializing_if = "is_false")]
    pub too_many_requests: bool,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: 0,
            window: Duration::seconds(10),
            min_requests: 5,
            base_time: Duration::seconds(1),
            max_time: Duration::seconds(60),
            jitter: 50,
            max_percent: 50,
            panic_percent: 50,
            too_many_requests: false,
        }
    }
}
