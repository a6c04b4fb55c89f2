//! Traces of requests.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::otlp::{OtlpGrpc, OtlpHttp};
use super::zero;

/// Traces of requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tracing {
    /// The name under which this instance reports.
    #[serde(skip_serializing_if = "zero")]
    pub service_name: String,
    /// Further attributes of this instance.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub resource_attributes: IndexMap<String, String>,
    /// Deprecated name of `resourceAttributes`.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub global_attributes: IndexMap<String, String>,
    /// Request headers that become attributes.
    #[serde(skip_serializing_if = "zero")]
    pub captured_request_headers: Vec<String>,
    /// Response headers that become attributes.
    #[serde(skip_serializing_if = "zero")]
    pub captured_response_headers: Vec<String>,
    /// Query parameters that are not redacted.
    #[serde(skip_serializing_if = "zero")]
    pub safe_query_params: Vec<String>,
    /// The share of requests that are traced, 0.0 to 1.0.
    #[serde(skip_serializing_if = "zero")]
    pub sample_rate: f64,
    /// Traces requests that internal services (API, ping, …) answer, too.
    #[serde(skip_serializing_if = "zero")]
    pub add_internals: bool,
    /// Sends traces to an OpenTelemetry collector.
    #[serde(skip_serializing_if = "zero")]
    pub otlp: Option<Otlp>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            service_name: super::REPORTED_NAME.to_owned(),
            resource_attributes: IndexMap::new(),
            global_attributes: IndexMap::new(),
            captured_request_headers: Vec::new(),
            captured_response_headers: Vec::new(),
            safe_query_params: Vec::new(),
            sample_rate: 1.0,
            add_internals: false,
            otlp: None,
        }
    }
}

/// Sends traces to an OpenTelemetry collector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Otlp {
    /// Export over gRPC.
    #[serde(skip_serializing_if = "zero")]
    pub grpc: Option<OtlpGrpc>,
    /// Export over HTTP.
    #[serde(skip_serializing_if = "zero")]
    pub http: Option<OtlpHttp>,
}
