//! What became of every wanted certificate, for API, metrics and dashboard.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// What became of one wanted certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The resolver.
    pub resolver: Arc<str>,
    /// Its names, the main one first.
    pub names: Vec<String>,
    /// How it stands.
    pub state: State,
    /// When it is renewed.
    pub renewal: Option<i64>,
    /// When it ends.
    pub expires: Option<i64>,
    /// Failed orders in a row.
    pub failures: u32,
    /// Why the last order failed, or why there is none.
    pub error: Option<String>,
    /// When the next order is placed after a failure.
    pub next_attempt: Option<i64>,
    /// The routers that want it.
    pub used_by: Vec<String>,
}

/// How a wanted certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves.
    Valid,
    /// It serves and is being renewed.
    Renewing,
    /// It is being ordered.
    Ordering,
    /// It waits for its turn.
    Waiting,
    /// The last order failed; what there was before goes on serving.
    Failing,
}

/// Orders so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// That gave a certificate.
    pub issued: u64,
    /// That failed.
    pub failed: u64,
}

/// The standings of all resolvers.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<BTreeMap<Arc<str>, OfResolver>>);

/// What is known of one resolver.
type OfResolver = (Vec<Standing>, Orders);

impl Board {
    /// Replaces what is known of one resolver.
    pub(super) fn write(&self, resolver: &Arc<str>, standings: Vec<Standing>) {
        self.0.lock().entry(Arc::clone(resolver)).or_default().0 = standings;
    }

    /// Counts an order.
    pub(super) fn count(&self, resolver: &Arc<str>, issued: bool) {
        let mut all = self.0.lock();
        let (_, orders) = all.entry(Arc::clone(resolver)).or_default();
        if issued { orders.issued += 1 } else { orders.failed += 1 }
    }

    /// Everything, by resolver.
    pub(super) fn standings(&self) -> Vec<Standing> {
        self.0.lock().values().flat_map(|(standings, _)| standings.iter().cloned()).collect()
    }

    /// The orders of each resolver.
    pub(super) fn orders(&self) -> Vec<(Arc<str>, Orders)> {
        self.0.lock().iter().map(|(name, (_, orders))| (Arc::clone(name), *orders)).collect()
    }
}
