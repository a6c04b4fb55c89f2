//! What operators see: records of requests, metrics, access log, the log itself.

pub mod record;
pub mod series;

use std::sync::Arc;

/// Takes finished records: counts them and writes their log lines.
#[derive(Debug, Default)]
pub struct Observer {}

impl Observer {
    /// Whether records must carry what only the access log needs.
    pub fn wants_lines(&self) -> bool {
        false
    }

    /// Takes a finished record. Never blocks.
    pub fn finish(&self, record: &record::Record) {
        let _ = record;
    }

    /// An observer that nobody reads.
    pub fn silent() -> Arc<Self> {
        Arc::default()
    }
}
