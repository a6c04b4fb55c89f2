//! Time limits of an entry point's connections and its graceful end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::zero;
use portcullis_config::units::Duration;

/// Time limits and the graceful end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Transport {
    /// What happens when the process is told to stop.
    pub life_cycle: LifeCycle,
    /// How long a client may take.
    pub responding_timeouts: RespondingTimeouts,
    /// Age at which a kept connection is closed after its current request; 0 = none.
    #[serde(skip_serializing_if = "zero")]
    pub keep_alive_max_time: Duration,
    /// Requests after which a kept connection is closed; 0 = any number.
    #[serde(skip_serializing_if = "zero")]
    pub keep_alive_max_requests: i64,
}

/// What happens when the process is told to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LifeCycle {
    /// How long new requests are still accepted, while `/ping` already fails, so that load balancers notice.
    #[serde(skip_serializing_if = "zero")]
    pub request_accept_grace_timeout: Duration,
    /// How long active requests then may take before they are cut.
    #[serde(rename = "graceTimeOut", skip_serializing_if = "zero")]
    pub grace_time_out: Duration,
}

impl Default for LifeCycle {
    fn default() -> Self {
        Self {
            request_accept_grace_timeout: Duration::default(),
            grace_time_out: Duration::seconds(10),
        }
    }
}

/// How long a client may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RespondingTimeouts {
    /// To send a whole request with its body; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub read_timeout: Duration,
    /// To take the whole response; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub write_timeout: Duration,
    /// To send the next request on a kept connection; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub idle_timeout: Duration,
}

impl Default for RespondingTimeouts {
    fn default() -> Self {
        Self {
            read_timeout: Duration::seconds(60),
            write_timeout: Duration::default(),
            idle_timeout: Duration::seconds(180),
        }
    }
}
