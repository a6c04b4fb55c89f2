//! What operators see: records of requests, metrics, access log, the log itself.

pub mod access_log;
pub mod log;
pub mod metrics;
pub mod panics;
pub mod process;
pub mod record;
pub mod series;
pub mod sink;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use ::prometheus::proto::MetricFamily;
use portcullis_middlewares::exchange::Facts;

use self::access_log::AccessLog;
use self::metrics::{Key, Metrics, Sample, prometheus};
use self::record::Record;
use self::series::Switch;
use self::sink::Sink;
use crate::net::memory;

/// How long the end of the process may wait for logs to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes finished records: counts them and writes their log lines.
#[derive(Debug, Default)]
pub struct Observer {
    metrics: Option<Metrics>,
    lines: Option<AccessLog>,
    /// The sink of the process's own log, to reopen it.
    log: Option<Arc<Sink>>,
    /// Open connections by entry point.
    open: HashMap<Arc<str>, Arc<AtomicI64>>,
    /// Open UDP sessions by entry point.
    sessions: HashMap<Arc<str>, Arc<AtomicI64>>,
    stopping: AtomicBool,
}

impl Observer {
    /// An observer that counts nothing and writes nothing, for entry points with these names.
    pub fn new(entry_points: impl IntoIterator<Item = Arc<str>>) -> Self {
        let open = entry_points.into_iter().map(|name| (name, Arc::default())).collect();
        Self { open, ..Self::default() }
    }

    /// The same observer, for UDP entry points with these names, too.
    pub fn with_sessions(self, entry_points: impl IntoIterator<Item = Arc<str>>) -> Self {
        let sessions = entry_points.into_iter().map(|name| (name, Arc::default())).collect();
        Self { sessions, ..self }
    }

    /// The same observer, which counts.
    pub fn counting(self, settings: metrics::Settings) -> Self {
        Self { metrics: Some(Metrics::new(settings)), ..self }
    }

    /// The same observer, which reopens the log of the process, too.
    pub fn with_log(self, sink: Arc<Sink>) -> Self {
        Self { log: Some(sink), ..self }
    }

    /// The same observer, which writes an access log.
    pub fn writing(self, lines: AccessLog) -> Self {
        Self { lines: Some(lines), ..self }
    }

    /// The access log, if there is one.
    pub(crate) fn lines(&self) -> Option<&AccessLog> {
        self.lines.as_ref()
    }

    /// The counters, if there are any.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Takes a finished record. Never blocks.
    pub fn finish(&self, record: &Record) {
        let took = record.exchange.start.elapsed();
        record.exchange.facts(|facts| {
            if let Some(metrics) = &self.metrics {
                count(metrics, record, facts, took);
            }
            if let Some(lines) = &self.lines {
                lines.write(record, facts, took);
            }
        });
    }

    /// A connection was opened on an entry point; it is open until the guard is dropped.
    pub fn connection_opened(&self, entry_point: &Arc<str>) -> Open {
        let count = self.open.get(entry_point).cloned().unwrap_or_default();
        count.fetch_add(1, Relaxed);
        Open { count }
    }

    /// A UDP session was opened on an entry point; it is open until the guard is dropped.
    pub fn session_opened(&self, entry_point: &Arc<str>) -> Open {
        let count = self.sessions.get(entry_point).cloned().unwrap_or_default();
        count.fetch_add(1, Relaxed);
        Open { count }
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
        if let Some(lines) = &self.lines {
            lines.reopen();
        }
    }

    /// The gateway is about to stop: health checks fail from now on.
    pub fn stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Whether the gateway is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Writes what is still in memory.
    pub fn flush(&self) {
        if let Some(log) = &self.log {
            log.flush(PATIENCE);
        }
        if let Some(lines) = &self.lines {
            lines.flush(PATIENCE);
        }
    }

    /// A snapshot with these routers and services was swapped in.
    pub fn reloaded(&self, routers: &HashSet<Arc<str>>, services: &HashSet<Arc<str>>) {
        if let Some(metrics) = &self.metrics {
            metrics.reloaded(routers, services);
        }
    }

    /// What the observer itself knows, as metrics.
    pub fn families(&self) -> Vec<MetricFamily> {
        let kinds = [(&self.open, "TCP"), (&self.sessions, "UDP")];
        let open = kinds.into_iter().flat_map(|(counts, protocol)| {
            counts.iter().map(move |(name, count)| {
                let labels = [("entrypoint", &**name), ("protocol", protocol)];
                prometheus::gauge(&labels, count.load(Relaxed) as f64)
            })
        });
        let mut families = vec![
            prometheus::gauges("traefik_open_connections", "Open connections.", open.collect()),
            prometheus::counters(
                "portcullis_panics_total",
                "Panics: defects of the gateway, each of which ended a request or a connection at most.",
                vec![prometheus::counter(&[], panics::count())],
            ),
            prometheus::counters(
                "portcullis_memory_refused_total",
                "Connections refused or ended because memory was near the limit of the control group.",
                vec![prometheus::counter(&[], memory::refused())],
            ),
            prometheus::gauges(
                "portcullis_build_info",
                "The version that runs; always 1.",
                vec![prometheus::gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
            ),
        ];
        if let Some(lines) = &self.lines {
            families.push(prometheus::counters(
                "portcullis_access_log_dropped_total",
                "Lines of the access log that nobody took in time.",
                vec![prometheus::counter(&[], lines.dropped())],
            ));
        }
        families.extend(metrics::middlewares::families());
        families.extend(self.metrics.as_ref().map(Metrics::families).unwrap_or_default());
        families
    }

    /// An observer that nobody reads.
    pub fn silent() -> Arc<Self> {
        Arc::default()
    }
}

fn count(metrics: &Metrics, record: &Record, facts: &Facts, took: Duration) {
    let router = record.router.as_deref();
    let switch = router.map_or(record.entry_point.metrics, |router| router.metrics);
    let internal = router.is_some_and(series::RouterSeries::is_internal);
    if switch == Switch::Off || internal && !metrics.settings().internals {
        return;
    }
    metrics.count(&Sample {
        entry_point: &record.entry_point.name,
        router: router.map(|router| (&router.name, &router.service)),
        child: facts.router.as_ref(),
        service: facts.service.as_ref(),
        key: Key::new(
            record.grpc_status.unwrap_or(record.status.as_u16()),
            &record.method,
            record.protocol,
        ),
        took,
        request_bytes: record.request_bytes(),
        response_bytes: record.response_bytes,
        tls: record.exchange.connection.tls.as_ref().map(|tls| (tls.version, tls.cipher)),
        retries: facts.retries,
        labels: record.labels.as_deref(),
    });
}

/// A URL without the user and the password that it may hold.
pub fn without_userinfo(url: &str) -> Cow<'_, str> {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.split_at(end) {
        (authority, rest) if authority.contains('@') => {
            let host = authority.rsplit_once('@').map_or("", |(_, host)| host);
            Cow::Owned(format!("{scheme}://REDACTED@{host}{rest}"))
        }
        _ => Cow::Borrowed(url),
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open {
    count: Arc<AtomicI64>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_hidden() {
        assert_eq!(without_userinfo("http://u:p@h:1/a@b"), "http://REDACTED@h:1/a@b");
        assert_eq!(without_userinfo("http://h:1/a@b"), "http://h:1/a@b");
    }

    #[test]
    fn a_connection_is_open_until_its_guard_is_dropped() {
        let web: Arc<str> = "web".into();
        let observer = Observer::new([Arc::clone(&web)]);
        let open = observer.connection_opened(&web);
        let shown = || prometheus::text(&observer.families());
        let line = |count| {
            format!("traefik_open_connections{{entrypoint=\"web\",protocol=\"TCP\"}} {count}\n")
        };
        assert!(shown().contains(&line(1)));
        drop(open);
        assert!(shown().contains(&line(0)));
    }
}
