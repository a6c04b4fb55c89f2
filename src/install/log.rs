//! The log of the process itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::otlp::LogExport;
use super::zero;

/// The log of the process itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    /// The least important messages that are still written: `TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR`, `FATAL`, `PANIC`.
    pub level: Level,
    /// `common` or `json`.
    pub format: Format,
    /// Without colours in the common format.
    #[serde(skip_serializing_if = "zero")]
    pub no_color: bool,
    /// The file to write to; empty = standard output.
    #[serde(skip_serializing_if = "zero")]
    pub file_path: String,
    /// Megabytes after which the file is rotated; 0 = 100.
    #[serde(skip_serializing_if = "zero")]
    pub max_size: i64,
    /// Days that rotated files are kept; 0 = for ever.
    #[serde(skip_serializing_if = "zero")]
    pub max_age: i64,
    /// Rotated files that are kept; 0 = all.
    #[serde(skip_serializing_if = "zero")]
    pub max_backups: i64,
    /// Compresses rotated files.
    #[serde(skip_serializing_if = "zero")]
    pub compress: bool,
    /// Exports the log to an OpenTelemetry collector.
    #[serde(skip_serializing_if = "zero")]
    pub otlp: Option<LogExport>,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Each request.
    Trace,
    /// Each object.
    Debug,
    /// The life of the process, with a line for each reload. (Traefik's default is `ERROR`.)
    #[default]
    Info,
    /// Degraded or retrying.
    #[serde(alias = "WARNING")]
    Warn,
    /// Someone must act.
    Error,
    /// As `ERROR`.
    Fatal,
    /// As `ERROR`.
    Panic,
}

/// How messages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// A line of text for people.
    #[default]
    Common,
    /// A JSON object a line.
    Json,
}
