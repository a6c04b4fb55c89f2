//! Metrics: where they are offered or sent, and with which labels.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::otlp::{OtlpGrpc, OtlpHttp};
use super::zero;

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Counts requests that internal services (API, ping, …) answer, too.
    #[serde(skip_serializing_if = "zero")]
    pub add_internals: bool,
    /// Offers metrics to Prometheus at `/metrics`.
    #[serde(skip_serializing_if = "zero")]
    pub prometheus: Option<Prometheus>,
    /// Sends metrics to Datadog.
    #[serde(skip_serializing_if = "zero")]
    pub datadog: Option<Datadog>,
    /// Sends metrics to StatsD.
    #[serde(rename = "statsD", skip_serializing_if = "zero")]
    pub stats_d: Option<StatsD>,
    /// Sends metrics to InfluxDB 2.
    #[serde(rename = "influxDB2", skip_serializing_if = "zero")]
    pub influx_db2: Option<InfluxDb2>,
    /// Sends metrics to an OpenTelemetry collector.
    #[serde(skip_serializing_if = "zero")]
    pub otlp: Option<Otlp>,
}

/// Offers metrics to Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Prometheus {
    /// Upper bounds of the duration histograms, in seconds.
    #[serde(skip_serializing_if = "zero")]
    pub buckets: Vec<f64>,
    /// Labels by entry point.
    #[serde(skip_serializing_if = "zero")]
    pub add_entry_points_labels: bool,
    /// Labels by router.
    #[serde(skip_serializing_if = "zero")]
    pub add_routers_labels: bool,
    /// Labels by service.
    #[serde(skip_serializing_if = "zero")]
    pub add_services_labels: bool,
    /// Where metrics are offered.
    #[serde(skip_serializing_if = "zero")]
    pub entry_point: String,
    /// Only creates the service `prometheus@internal`, for routers of yours.
    #[serde(skip_serializing_if = "zero")]
    pub manual_routing: bool,
    /// Further labels of the request counters: label name to request header.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub header_labels: IndexMap<String, String>,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            buckets: vec![0.1, 0.3, 1.2, 5.0],
            add_entry_points_labels: true,
            add_routers_labels: false,
            add_services_labels: true,
            entry_point: super::INTERNAL_ENTRY_POINT.to_owned(),
            manual_routing: false,
            header_labels: IndexMap::new(),
        }
    }
}

/// Sends metrics to Datadog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Datadog {
    /// The agent's address.
    #[serde(skip_serializing_if = "zero")]
    pub address: String,
    /// How often.
    #[serde(skip_serializing_if = "zero")]
    pub push_interval: Duration,
    /// Labels by entry point.
    #[serde(skip_serializing_if = "zero")]
    pub add_entry_points_labels: bool,
    /// Labels by router.
    #[serde(skip_serializing_if = "zero")]
    pub add_routers_labels: bool,
    /// Labels by service.
    #[serde(skip_serializing_if = "zero")]
    pub add_services_labels: bool,
    /// What every name begins with.
    #[serde(skip_serializing_if = "zero")]
    pub prefix: String,
}

impl Default for Datadog {
    fn default() -> Self {
        Self {
            address: "localhost:8125".to_owned(),
            push_interval: Duration::seconds(10),
            add_entry_points_labels: true,
            add_routers_labels: false,
            add_services_labels: true,
            prefix: super::REPORTED_NAME.to_owned(),
        }
    }
}

/// Sends metrics to StatsD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StatsD {
    /// The server's address.
    #[serde(skip_serializing_if = "zero")]
    pub address: String,
    /// How often.
    #[serde(skip_serializing_if = "zero")]
    pub push_interval: Duration,
    /// Labels by entry point.
    #[serde(skip_serializing_if = "zero")]
    pub add_entry_points_labels: bool,
    /// Labels by router.
    #[serde(skip_serializing_if = "zero")]
    pub add_routers_labels: bool,
    /// Labels by service.
    #[serde(skip_serializing_if = "zero")]
    pub add_services_labels: bool,
    /// What every name begins with.
    #[serde(skip_serializing_if = "zero")]
    pub prefix: String,
}

impl Default for StatsD {
    fn default() -> Self {
        Self {
            address: "localhost:8125".to_owned(),
            push_interval: Duration::seconds(10),
            add_entry_points_labels: true,
            add_routers_labels: false,
            add_services_labels: true,
            prefix: super::REPORTED_NAME.to_owned(),
        }
    }
}

/// Sends metrics to InfluxDB 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InfluxDb2 {
    /// The server's URL.
    #[serde(skip_serializing_if = "zero")]
    pub address: String,
    /// The access token.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// How often.
    #[serde(skip_serializing_if = "zero")]
    pub push_interval: Duration,
    /// The organisation.
    #[serde(skip_serializing_if = "zero")]
    pub org: String,
    /// The bucket.
    #[serde(skip_serializing_if = "zero")]
    pub bucket: String,
    /// Labels by entry point.
    #[serde(skip_serializing_if = "zero")]
    pub add_entry_points_labels: bool,
    /// Labels by router.
    #[serde(skip_serializing_if = "zero")]
    pub add_routers_labels: bool,
    /// Labels by service.
    #[serde(skip_serializing_if = "zero")]
    pub add_services_labels: bool,
    /// Further labels on everything.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub additional_labels: IndexMap<String, String>,
}

impl Default for InfluxDb2 {
    fn default() -> Self {
        Self {
            address: "http://localhost:8086".to_owned(),
            token: Secret::default(),
            push_interval: Duration::seconds(10),
            org: String::new(),
            bucket: String::new(),
            add_entry_points_labels: true,
            add_routers_labels: false,
            add_services_labels: true,
            additional_labels: IndexMap::new(),
        }
    }
}

/// Sends metrics to an OpenTelemetry collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Otlp {
    /// Export over gRPC.
    #[serde(skip_serializing_if = "zero")]
    pub grpc: Option<OtlpGrpc>,
    /// Export over HTTP.
    #[serde(skip_serializing_if = "zero")]
    pub http: Option<OtlpHttp>,
    /// Labels by entry point.
    #[serde(skip_serializing_if = "zero")]
    pub add_entry_points_labels: bool,
    /// Labels by router.
    #[serde(skip_serializing_if = "zero")]
    pub add_routers_labels: bool,
    /// Labels by service.
    #[serde(skip_serializing_if = "zero")]
    pub add_services_labels: bool,
    /// Upper bounds of the duration histograms, in seconds.
    #[serde(skip_serializing_if = "zero")]
    pub explicit_boundaries: Vec<f64>,
    /// How often.
    #[serde(skip_serializing_if = "zero")]
    pub push_interval: Duration,
    /// The name under which this instance reports.
    #[serde(skip_serializing_if = "zero")]
    pub service_name: String,
    /// Further attributes of this instance.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub resource_attributes: IndexMap<String, String>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            grpc: None,
            http: None,
            add_entry_points_labels: true,
            add_routers_labels: false,
            add_services_labels: true,
            explicit_boundaries: vec![
                0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
            ],
            push_interval: Duration::seconds(10),
            service_name: super::REPORTED_NAME.to_owned(),
            resource_attributes: IndexMap::new(),
        }
    }
}
