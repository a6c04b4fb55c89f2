//! The figures as families of metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::{Metric, MetricFamily};

use super::{BUCKETS, Ends, Figures, Reporter, Requests, Series};
use crate::observe::metrics::prometheus::{Label, counter, counters, histogram, histograms};
use crate::tls::spiffe::Id;

/// The labels of two ends.
struct Labels {
    values: [(&'static str, String); 9],
}

impl Labels {
    fn new(ends: &Ends) -> Self {
        let (source, destination) = (parts(&ends.source), parts(&ends.destination));
        let reporter = match ends.reporter {
            Reporter::Source => "source",
            Reporter::Destination => "destination",
        };
        let values = [
            ("reporter", reporter.to_owned()),
            ("security", "mutual_tls".to_owned()),
            ("source_namespace", source.0),
            ("source_workload", source.1),
            ("source_principal", ends.source.to_string()),
            ("destination_namespace", destination.0),
            ("destination_workload", destination.1),
            ("destination_principal", ends.destination.to_string()),
            ("destination_service", ends.service.to_string()),
        ];
        Self { values }
    }

    fn with<'a>(&'a self, more: &[Label<'a>]) -> Vec<Label<'a>> {
        let own = self.values.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain(more.iter().copied()).collect()
    }
}

fn parts(id: &Id) -> (String, String) {
    let (namespace, account) = id.workload().unwrap_or_default();
    (namespace.to_owned(), account.to_owned())
}

impl Figures {
    /// All families.
    pub fn families(&self) -> Vec<MetricFamily> {
        let all: Vec<(Ends, Arc<Series>)> = {
            let series = self.series.lock();
            series.iter().map(|(ends, series)| (ends.clone(), Arc::clone(series))).collect()
        };
        let all: Vec<(Labels, Arc<Series>)> =
            all.into_iter().map(|(ends, series)| (Labels::new(&ends), series)).collect();
        let connections = |read: fn(&Series) -> u64| -> Vec<Metric> {
            all.iter().map(|(labels, series)| counter(&labels.with(&[]), read(series))).collect()
        };
        let (mut bytes, mut requests, mut durations) = (Vec::new(), Vec::new(), Vec::new());
        for (labels, series) in &all {
            for (direction, count) in [("received", &series.received), ("sent", &series.sent)] {
                bytes.push(counter(&labels.with(&[("direction", direction)]), count.load(Relaxed)));
            }
            for (status, of) in &*series.requests.lock() {
                let code = status.to_string();
                let labels = labels.with(&[("code", &*code)]);
                requests.push(counter(&labels, of.count));
                durations.push(duration(&labels, of));
            }
        }
        let failures: Vec<Metric> =
            self.failures.lock().iter().map(|(it, n)| counter(&[("reason", *it)], *n)).collect();
        vec![
            self.decisions(),
            counters("portcullis_mesh_requests_total", "Requests of the mesh.", requests),
            histograms(
                "portcullis_mesh_request_duration_seconds",
                "How long requests of the mesh took, until the head of the answer.",
                durations,
            ),
            counters(
                "portcullis_mesh_tcp_connections_opened_total",
                "Connections of the mesh that were opened.",
                connections(|series| series.opened.load(Relaxed)),
            ),
            counters(
                "portcullis_mesh_tcp_connections_closed_total",
                "Connections of the mesh that were closed.",
                connections(|series| series.closed.load(Relaxed)),
            ),
            counters(
                "portcullis_mesh_bytes_total",
                "Bytes of the mesh: received from callers, sent to them.",
                bytes,
            ),
            counters(
                "portcullis_mesh_handshake_failures_total",
                "Tunnels that were not accepted, by reason.",
                failures,
            ),
        ]
    }
}

impl Figures {
    /// What policies decided; those in audit mode would have denied.
    fn decisions(&self) -> MetricFamily {
        let mut samples = Vec::new();
        for (name, counts) in &*self.policies.lock() {
            let policy = if name.is_empty() { "default" } else { name };
            for (decision, mode, count) in [
                ("allow", "enforce", &counts.allowed),
                ("deny", "enforce", &counts.denied),
                ("deny", "audit", &counts.audited),
            ] {
                let labels = [("policy", policy), ("decision", decision), ("mode", mode)];
                samples.push(counter(&labels, count.load(Relaxed)));
            }
        }
        let help = "Calls and requests that policies of the mesh decided about.";
        counters("portcullis_mesh_authz_total", help, samples)
    }
}

fn duration(labels: &[Label<'_>], of: &Requests) -> Metric {
    let mut below = 0;
    let buckets = BUCKETS.iter().zip(of.buckets).map(|(bound, count)| {
        below += count;
        (*bound, below)
    });
    histogram(labels, buckets, (of.count, of.seconds))
}
