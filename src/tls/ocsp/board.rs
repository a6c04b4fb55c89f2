//! How each certificate stands with its responders, for API and metrics.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::Serialize;

/// How a certificate stands. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In a word.
    pub state: State,
    /// Until when clients get the answer; `None` = they get none.
    pub shown_until: Option<i64>,
    /// When the answer ends.
    pub ends: Option<i64>,
    /// When the responder is asked again.
    pub next_attempt: Option<i64>,
    /// Failures in a row.
    pub failures: u32,
    /// Why there is no newer answer, or why nobody is asked.
    pub error: Option<String>,
}

/// How a certificate stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The issuer vouches for it.
    Good,
    /// The issuer has revoked it.
    Revoked,
    /// There is no answer yet.
    Waiting,
    /// There is no answer, and the last attempt failed.
    Failing,
    /// Nobody can be asked.
    Unsupported,
}

/// What was answered so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The certificate is good.
    pub good: u64,
    /// It is revoked.
    pub revoked: u64,
    /// No answer, or none to believe.
    pub failed: u64,
}

/// The standings by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    standings: HashMap<String, Standing>,
    counts: Counts,
}

impl Board {
    pub(super) fn write(&self, fingerprint: &str, standing: Standing) {
        self.0.lock().standings.insert(fingerprint.to_owned(), standing);
    }

    /// Keeps those certificates only of which `is_there` holds.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().standings.retain(|fingerprint, _| is_there(fingerprint));
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.0.lock().counts);
    }

    pub(super) fn standing(&self, fingerprint: &str) -> Option<Standing> {
        self.0.lock().standings.get(fingerprint).cloned()
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.lock().counts
    }
}
