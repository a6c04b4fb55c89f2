//! Connections to servers that wait for the next request.

pub mod h1;
pub mod h2;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::endpoint::Endpoint;

static WATCHED: Mutex<Vec<Weak<Endpoint>>> = Mutex::new(Vec::new());

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Has the idle connections of `endpoint` looked after for as long as it lives.
pub(super) fn watch(endpoint: &Arc<Endpoint>) {
    let mut watched = WATCHED.lock();
    if watched.len() == watched.capacity() {
        watched.retain(|endpoint| endpoint.strong_count() > 0);
    }
    watched.push(Arc::downgrade(endpoint));
}

/// Closes idle connections as their time comes. Runs for ever, on the control runtime.
pub async fn sweep_forever() {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        let endpoints: Vec<_> = WATCHED.lock().iter().filter_map(Weak::upgrade).collect();
        let now = Instant::now();
        for endpoint in endpoints {
            endpoint.sweep(now);
        }
    }
}
