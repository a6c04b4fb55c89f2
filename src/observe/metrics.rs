//! Metrics of requests: cells of each worker, summed only when somebody asks.
//!
//! A finished request takes its worker's lock once, which nobody else wants, and finds its cells by the addresses of the
//! names that it carries: no text is compared and nothing is allocated but the first time. A reload makes new names; the
//! counts of those that go on are kept by text, the others disappear.

mod cells;
mod key;
pub mod middlewares;
pub mod prometheus;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use self::cells::{Counts, Names, Series};
pub use self::key::{Key, Protocol};
use crate::net::per_worker::PerWorker;

/// Characters of a header that a label shows.
const LABEL_LENGTH: usize = 64;

/// What is counted and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Upper bounds of the duration histograms in seconds, ascending.
    pub buckets: Vec<f64>,
    /// Which sorts of objects are counted by name.
    pub entry_points: bool,
    /// See above.
    pub routers: bool,
    /// See above.
    pub services: bool,
    /// Whether requests to internal services count.
    pub internals: bool,
    /// Further labels of the request counters: label and request header.
    pub header_labels: Vec<(String, HeaderName)>,
}

/// One finished request.
#[derive(Debug)]
pub struct Sample<'a> {
    /// Its entry point.
    pub entry_point: &'a Arc<str>,
    /// Its router and the service that this names.
    pub router: Option<(&'a Arc<str>, &'a Arc<str>)>,
    /// The child router that took over.
    pub child: Option<&'a Arc<str>>,
    /// The service that was called last.
    pub service: Option<&'a Arc<str>>,
    /// Code, method, protocol.
    pub key: Key,
    /// From its head to the end of its response.
    pub took: Duration,
    /// Of its body.
    pub request_bytes: u64,
    /// Of the response's body.
    pub response_bytes: u64,
    /// Version and cipher suite of its connection.
    pub tls: Option<(&'static str, &'static str)>,
    /// Tries beyond the first.
    pub retries: u32,
    /// The values of the header labels.
    pub labels: Option<&'a [Box<str>]>,
}

/// The counters of the process.
#[derive(Debug)]
pub struct Metrics {
    settings: Settings,
    /// The bounds of the histograms in nanoseconds.
    bounds: Box<[u64]>,
    workers: PerWorker<Mutex<Local>>,
    /// What was counted under names of earlier snapshots.
    earlier: Mutex<Local>,
    reloads: AtomicU64,
    reloaded: AtomicI64,
}

/// Counts of one worker.
#[derive(Debug, Default)]
struct Local {
    entry_points: Series,
    routers: Series,
    services: Series,
}

/// Sums over all workers by name, in alphabetical order.
type Sums = BTreeMap<(Arc<str>, Arc<str>), Counts>;

impl Metrics {
    /// Counters at zero.
    pub fn new(settings: Settings) -> Self {
        let nanoseconds = |seconds: &f64| (seconds * 1e9) as u64;
        Self {
            bounds: settings.buckets.iter().map(nanoseconds).collect(),
            settings,
            workers: PerWorker::default(),
            earlier: Mutex::default(),
            reloads: AtomicU64::new(0),
            reloaded: AtomicI64::new(0),
        }
    }

    /// How it counts.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The values of the header labels of a request; nothing if there are no such labels.
    pub fn labels(&self, headers: &HeaderMap) -> Option<Box<[Box<str>]>> {
        if self.settings.header_labels.is_empty() {
            return None;
        }
        let value = |(_, name): &(String, HeaderName)| {
            let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            text.chars().take(LABEL_LENGTH).collect::<String>().into()
        };
        Some(self.settings.header_labels.iter().map(value).collect())
    }

    /// Counts a finished request.
    pub fn count(&self, sample: &Sample<'_>) {
        let nobody = || Arc::from("");
        let mut local = self.workers.here().lock();
        let Local { entry_points, routers, services } = &mut *local;
        if self.settings.entry_points {
            let counts = entry_points.find(sample.entry_point, nobody);
            counts.add(sample, &self.bounds);
        }
        if self.settings.routers {
            if let Some((router, service)) = sample.router {
                routers.find(router, || Arc::clone(service)).add(sample, &self.bounds);
            }
            if let Some(child) = sample.child {
                let service = || sample.service.map_or_else(nobody, Arc::clone);
                routers.find(child, service).add(sample, &self.bounds);
            }
        }
        if self.settings.services
            && let Some(service) = sample.service
        {
            let counts = services.find(service, nobody);
            counts.add(sample, &self.bounds);
            counts.retries += u64::from(sample.retries);
        }
    }

    /// A snapshot was swapped in, with these routers and services: the counts of others are forgotten.
    pub fn reloaded(&self, routers: &HashSet<Arc<str>>, services: &HashSet<Arc<str>>) {
        self.reloads.fetch_add(1, Relaxed);
        self.reloaded.store(jiff::Timestamp::now().as_second(), Relaxed);
        let mut earlier = self.earlier.lock();
        for worker in self.workers.iter() {
            let mut local = worker.lock();
            let (old_routers, old_services) =
                (std::mem::take(&mut local.routers), std::mem::take(&mut local.services));
            drop(local);
            earlier.routers.take(old_routers);
            earlier.services.take(old_services);
        }
        earlier.routers.retain(|names| routers.contains(names.own()));
        earlier.services.retain(|names| services.contains(names.own()));
    }

    fn sums(&self, choose: impl Fn(&Local) -> &Series) -> Sums {
        let mut sums = Sums::new();
        let mut add = |local: &Mutex<Local>| {
            // Copied under the lock, summed without it.
            let copy = choose(&local.lock()).clone();
            for (Names { name, service }, counts) in copy.into_counts() {
                sums.entry((name, service)).or_default().merge(counts);
            }
        };
        add(&self.earlier);
        self.workers.iter().for_each(add);
        sums
    }
}
