//! `Metric`: what a middleware counts for operators, beside the figures of requests that the gateway itself keeps.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// What metrics of one name have in common.
#[derive(Debug)]
pub struct Family {
    /// The name as it is shown, `portcullis_…`.
    pub name: &'static str,
    /// What it means, a full sentence.
    pub help: &'static str,
    /// How it is read.
    pub kind: Kind,
}

/// How a metric is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value with its labels. It is shown for as long as somebody holds it.
#[derive(Debug)]
pub struct Metric {
    family: &'static Family,
    labels: Box<[(&'static str, Box<str>)]>,
    value: AtomicU64,
}

/// Every metric that was made; those that nobody holds any more are dropped as new ones come.
static ALL: Mutex<Vec<Weak<Metric>>> = Mutex::new(Vec::new());

impl Metric {
    /// A metric at 0. Labels come from the configuration, never from requests.
    pub fn new(family: &'static Family, labels: &[(&'static str, &str)]) -> Arc<Self> {
        let labels = labels.iter().map(|(label, value)| (*label, Box::from(*value))).collect();
        let metric = Arc::new(Self { family, labels, value: AtomicU64::new(0) });
        let mut all = ALL.lock();
        if all.len() == all.capacity() {
            all.retain(|metric| metric.strong_count() > 0);
        }
        all.push(Arc::downgrade(&metric));
        metric
    }

    /// Adds 1.
    pub fn add(&self) {
        self.value.fetch_add(1, Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.value.store(value, Relaxed);
    }

    /// What it is now.
    pub fn value(&self) -> u64 {
        self.value.load(Relaxed)
    }

    /// What it has in common with others.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// Its labels.
    pub fn labels(&self) -> &[(&'static str, Box<str>)] {
        &self.labels
    }
}

/// Every metric that somebody holds.
pub fn all() -> Vec<Arc<Metric>> {
    ALL.lock().iter().filter_map(Weak::upgrade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TURNS: Family =
        Family { name: "portcullis_turns_total", help: "Turns.", kind: Kind::Counter };

    #[test]
    fn a_metric_is_shown_while_it_is_held() {
        let shown = || {
            let mut all = all();
            all.retain(|metric| metric.family().name == TURNS.name);
            all.iter().map(|metric| (metric.labels().to_vec(), metric.value())).collect::<Vec<_>>()
        };
        let metric = Metric::new(&TURNS, &[("side", "left")]);
        metric.add();
        metric.add();
        assert_eq!(shown(), [(vec![("side", Box::from("left"))], 2)]);
        drop(metric);
        assert_eq!(shown(), []);
    }
}
