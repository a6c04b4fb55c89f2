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

    /// A connection was opened on an entry point; it is open until the guard is dropped.
    pub fn connection_opened(&self, entry_point: &Arc<str>) -> Open {
        Open { _entry_point: Arc::clone(entry_point) }
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen(&self) {}

    /// The gateway is about to stop: health checks fail from now on.
    pub fn stopping(&self) {}

    /// Writes what is still in memory.
    pub fn flush(&self) {}

    /// A snapshot was swapped in.
    pub fn reloaded(&self, problems: usize) {
        let _ = problems;
    }

    /// An observer that nobody reads.
    pub fn silent() -> Arc<Self> {
        Arc::default()
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open {
    _entry_point: Arc<str>,
}
