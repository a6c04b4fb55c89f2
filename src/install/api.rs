//! The API and the dashboard, the ping answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::zero;

/// The API and the dashboard. Present = the service `api@internal` exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Api {
    /// The path under which API and dashboard live.
    #[serde(skip_serializing_if = "zero")]
    pub base_path: String,
    /// Serves the API without authentication on the entry point `traefik`.
    #[serde(skip_serializing_if = "zero")]
    pub insecure: bool,
    /// Serves the dashboard.
    #[serde(skip_serializing_if = "zero")]
    pub dashboard: bool,
    /// Serves the debugging endpoints under `/debug`.
    #[serde(skip_serializing_if = "zero")]
    pub debug: bool,
    /// Accepted for compatibility; there is no advertisement.
    #[serde(skip_serializing_if = "zero")]
    pub disable_dashboard_ad: bool,
    /// A name for this instance, shown by the dashboard.
    #[serde(skip_serializing_if = "zero")]
    pub dashboard_name: String,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            base_path: "/".to_owned(),
            insecure: false,
            dashboard: true,
            debug: false,
            disable_dashboard_ad: false,
            dashboard_name: String::new(),
        }
    }
}

/// The answer to health checks, `/ping`. Present = it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ping {
    /// Where it answers.
    #[serde(skip_serializing_if = "zero")]
    pub entry_point: String,
    /// Only creates the service `ping@internal`, for routers of yours.
    #[serde(skip_serializing_if = "zero")]
    pub manual_routing: bool,
    /// The status while the process is about to stop.
    pub terminating_status_code: u16,
}

impl Default for Ping {
    fn default() -> Self {
        Self {
            entry_point: super::INTERNAL_ENTRY_POINT.to_owned(),
            manual_routing: false,
            terminating_status_code: 503,
        }
    }
}
