//! The access log: one line for each request.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::otlp::LogExport;
use super::zero;

/// The access log. Present = it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLog {
    /// The file to write to; empty = standard output.
    #[serde(skip_serializing_if = "zero")]
    pub file_path: String,
    /// `common`, `genericCLF` or `json`.
    pub format: Format,
    /// Which requests are written; all if no filter is set.
    pub filters: Filters,
    /// What is written of each request.
    pub fields: Fields,
    /// Accepted for compatibility. Lines always wait in memory for a moment and are written together; a request never
    /// waits for the disk. Traefik writes each line at once unless this is above 0.
    #[serde(skip_serializing_if = "zero")]
    pub buffering_size: i64,
    /// Writes requests that internal services (API, ping, …) answer, too.
    #[serde(skip_serializing_if = "zero")]
    pub add_internals: bool,
    /// Writes to the file although lines are exported, too.
    #[serde(skip_serializing_if = "zero")]
    pub dual_output: bool,
    /// Exports lines to an OpenTelemetry collector.
    #[serde(skip_serializing_if = "zero")]
    pub otlp: Option<LogExport>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// The Common Log Format with router, server and duration at its end.
    #[default]
    Common,
    /// The Combined Log Format as other servers write it.
    #[serde(rename = "genericCLF")]
    GenericClf,
    /// A JSON object a line.
    Json,
}

/// Which requests are written: those that pass any of the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Filters {
    /// Status codes and ranges, `200` or `400-499`.
    #[serde(skip_serializing_if = "zero")]
    pub status_codes: Vec<String>,
    /// Requests that were sent more than once.
    #[serde(skip_serializing_if = "zero")]
    pub retry_attempts: bool,
    /// Requests that took longer.
    #[serde(skip_serializing_if = "zero")]
    pub min_duration: Duration,
}

/// What is written of each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Fields {
    /// For fields that are not named: `keep` or `drop`.
    pub default_mode: Mode,
    /// By name of the field: `keep`, `drop` or `redact`.
    #[schemars(with = "BTreeMap<String, Mode>")]
    #[serde(skip_serializing_if = "zero")]
    pub names: IndexMap<String, Mode>,
    /// Header fields.
    pub headers: Headers,
    /// Query parameters in the request path.
    pub query_parameters: QueryParameters,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            default_mode: Mode::Keep,
            names: IndexMap::new(),
            headers: Headers::default(),
            query_parameters: QueryParameters::default(),
        }
    }
}

/// Which header fields are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// For headers that are not named: `keep`, `drop` or `redact`.
    pub default_mode: Mode,
    /// By name of the header: `keep`, `drop` or `redact`.
    #[schemars(with = "BTreeMap<String, Mode>")]
    #[serde(skip_serializing_if = "zero")]
    pub names: IndexMap<String, Mode>,
}

impl Default for Headers {
    fn default() -> Self {
        Self { default_mode: Mode::Drop, names: IndexMap::new() }
    }
}

/// Which query parameters are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueryParameters {
    /// `keep`, `drop` or `redact`.
    pub default_mode: Mode,
}

impl Default for QueryParameters {
    fn default() -> Self {
        Self { default_mode: Mode::Keep }
    }
}

/// What is written of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// All.
    Keep,
    /// Nothing.
    Drop,
    /// `REDACTED`.
    Redact,
}
