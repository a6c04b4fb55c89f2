//! The OpenTelemetry exporter that metrics, logs, access log and traces share.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::units::{FileOrContent, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::zero;

/// Where and how logs are exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogExport {
    /// The name under which this instance reports.
    #[serde(skip_serializing_if = "zero")]
    pub service_name: String,
    /// Further attributes of this instance.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub resource_attributes: IndexMap<String, String>,
    /// Export over HTTP.
    #[serde(skip_serializing_if = "zero")]
    pub http: Option<OtlpHttp>,
    /// Export over gRPC.
    #[serde(skip_serializing_if = "zero")]
    pub grpc: Option<OtlpGrpc>,
}

impl Default for LogExport {
    fn default() -> Self {
        Self {
            service_name: super::REPORTED_NAME.to_owned(),
            resource_attributes: IndexMap::new(),
            http: None,
            grpc: None,
        }
    }
}

/// Export over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OtlpHttp {
    /// The collector's URL.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// TLS towards the collector.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Headers sent along, such as credentials.
    #[schemars(with = "BTreeMap<String, Secret>")]
    #[serde(skip_serializing_if = "zero")]
    pub headers: IndexMap<String, Secret>,
}

impl Default for OtlpHttp {
    fn default() -> Self {
        Self { endpoint: "https://localhost:4318".to_owned(), tls: None, headers: IndexMap::new() }
    }
}

/// Export over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OtlpGrpc {
    /// The collector's `host:port`.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// Without TLS.
    #[serde(skip_serializing_if = "zero")]
    pub insecure: bool,
    /// TLS towards the collector.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Headers sent along, such as credentials.
    #[schemars(with = "BTreeMap<String, Secret>")]
    #[serde(skip_serializing_if = "zero")]
    pub headers: IndexMap<String, Secret>,
}

impl Default for OtlpGrpc {
    fn default() -> Self {
        Self {
            endpoint: "localhost:4317".to_owned(),
            insecure: false,
            tls: None,
            headers: IndexMap::new(),
        }
    }
}

/// TLS towards a server of the operator's own, such as a collector or a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTls {
    /// Authorities: a file or PEM text.
    #[serde(skip_serializing_if = "zero")]
    pub ca: FileOrContent,
    /// The client certificate: a file or PEM text.
    #[serde(skip_serializing_if = "zero")]
    pub cert: FileOrContent,
    /// Its key: a file or PEM text.
    #[serde(skip_serializing_if = "zero")]
    pub key: FileOrContent,
    /// Accepts any certificate.
    #[serde(skip_serializing_if = "zero")]
    pub insecure_skip_verify: bool,
}
