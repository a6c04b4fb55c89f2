//! Metrics in the text format of Prometheus, under Traefik's names.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::cells::{Cell, Counts};
use super::{Metrics, Sums};

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// The families of `metrics` in the text format; families without samples are left out.
pub fn text(families: &[MetricFamily]) -> String {
    let filled: Vec<MetricFamily> =
        families.iter().filter(|it| !it.get_metric().is_empty()).cloned().collect();
    prometheus::TextEncoder::new().encode_to_string(&filled).unwrap_or_default()
}

/// A family of counters.
pub fn counters(name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    family(name, help, MetricType::COUNTER, samples)
}

/// A family of gauges.
pub fn gauges(name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    family(name, help, MetricType::GAUGE, samples)
}

fn family(name: &str, help: &str, kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

/// One counter.
pub fn counter(labels: &[Label<'_>], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_counter(counter);
    metric
}

/// One gauge.
pub fn gauge(labels: &[Label<'_>], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_gauge(gauge);
    metric
}

/// A family of histograms.
pub fn histograms(name: &str, help: &str, samples: Vec<Metric>) -> MetricFamily {
    family(name, help, MetricType::HISTOGRAM, samples)
}

/// One histogram: how many were at or below each bound, and how many there were in all with their sum.
pub fn histogram(
    labels: &[Label<'_>],
    below: impl IntoIterator<Item = (f64, u64)>,
    (count, sum): (u64, f64),
) -> Metric {
    let buckets = below.into_iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    let mut metric = Metric::from_label(pairs(labels));
    metric.set_histogram(histogram);
    metric
}

/// Labels in alphabetical order.
fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    labels.into_iter().map(pair).collect()
}

/// What differs between the families of entry points, routers and services.
struct Sort {
    /// Middle of the names.
    noun: &'static str,
    /// What the help says about where the requests are.
    place: &'static str,
    /// Of the object's own name.
    label: &'static str,
}

const ENTRY_POINT: Sort = Sort { noun: "entrypoint", place: "an entry point", label: "entrypoint" };
const ROUTER: Sort = Sort { noun: "router", place: "a router", label: "router" };
const SERVICE: Sort = Sort { noun: "service", place: "a service", label: "service" };

impl Metrics {
    /// All families of this process's requests and reloads.
    pub fn families(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        let reloads = counter(&[], self.reloads.load(Relaxed));
        let reloaded = gauge(&[], self.reloaded.load(Relaxed) as f64);
        families.push(counters(
            "traefik_config_reloads_total",
            "Configurations that were applied.",
            vec![reloads],
        ));
        families.push(gauges(
            "traefik_config_last_reload_success",
            "When a configuration was applied last, in seconds since 1970.",
            vec![reloaded],
        ));
        let sorts = [
            (self.sums(|local| &local.entry_points), ENTRY_POINT),
            (self.sums(|local| &local.routers), ROUTER),
            (self.sums(|local| &local.services), SERVICE),
        ];
        for (sums, sort) in sorts {
            if sort.noun == SERVICE.noun {
                families.push(retries(&sums));
            }
            families.extend(self.requests(&sums, &sort));
        }
        families
    }

    fn requests(&self, sums: &Sums, sort: &Sort) -> Vec<MetricFamily> {
        let name = |what: &str| format!("traefik_{}_{what}", sort.noun);
        let help = |what: &str| format!("{what} at {}.", sort.place);
        let by_tls: Vec<Metric> = sums.iter().flat_map(|sum| tls(sum, sort)).collect();
        let requests = if self.settings.header_labels.is_empty() {
            cells(sums, sort, |labels, cell| counter(labels, cell.requests))
        } else {
            self.labelled(sums, sort)
        };
        vec![
            counters(&name("requests_total"), &help("HTTP requests"), requests),
            counters(&name("requests_tls_total"), &help("HTTP requests over TLS"), by_tls),
            family(
                &name("request_duration_seconds"),
                &help("How long requests took"),
                MetricType::HISTOGRAM,
                cells(sums, sort, |labels, cell| self.histogram(labels, cell)),
            ),
            counters(
                &name("requests_bytes_total"),
                &help("Bytes of request bodies"),
                cells(sums, sort, |labels, cell| counter(labels, cell.request_bytes)),
            ),
            counters(
                &name("responses_bytes_total"),
                &help("Bytes of response bodies"),
                cells(sums, sort, |labels, cell| counter(labels, cell.response_bytes)),
            ),
        ]
    }

    fn histogram(&self, labels: &[Label<'_>], cell: &Cell) -> Metric {
        let mut below = 0;
        let buckets = self.settings.buckets.iter().zip(&cell.buckets).map(|(bound, count)| {
            below += count;
            (*bound, below)
        });
        histogram(labels, buckets, (cell.requests, cell.nanoseconds as f64 / 1e9))
    }

    /// The request counters with the values of header labels.
    fn labelled(&self, sums: &Sums, sort: &Sort) -> Vec<Metric> {
        let mut samples = Vec::new();
        for (names, counts) in sums {
            for ((key, values), count) in &counts.labelled {
                let code = key.code().to_string();
                let mut labels = names_of(names, sort);
                labels.extend([
                    ("code", &*code),
                    ("method", key.method()),
                    ("protocol", key.protocol()),
                ]);
                let extra = self.settings.header_labels.iter().zip(values);
                labels.extend(extra.map(|((label, _), value)| (label.as_str(), &**value)));
                samples.push(counter(&labels, *count));
            }
        }
        samples
    }
}

/// Traefik: services that never needed one do not show.
fn retries(sums: &Sums) -> MetricFamily {
    let some = sums.iter().filter(|(_, counts)| counts.retries > 0);
    let samples = some.map(|((name, _), it)| counter(&[(SERVICE.label, name)], it.retries));
    let help = "Tries of requests beyond the first.";
    counters("traefik_service_retries_total", help, samples.collect())
}

fn cells(
    sums: &Sums,
    sort: &Sort,
    mut sample: impl FnMut(&[Label<'_>], &Cell) -> Metric,
) -> Vec<Metric> {
    let mut samples = Vec::new();
    for (names, counts) in sums {
        let mut sorted: Vec<_> = counts.requests.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| **key);
        for (key, cell) in sorted {
            let code = key.code().to_string();
            let mut labels = names_of(names, sort);
            labels.extend([
                ("code", &*code),
                ("method", key.method()),
                ("protocol", key.protocol()),
            ]);
            samples.push(sample(&labels, cell));
        }
    }
    samples
}

fn tls<'a>(
    (names, counts): (&'a (Arc<str>, Arc<str>), &'a Counts),
    sort: &'a Sort,
) -> impl Iterator<Item = Metric> + 'a {
    counts.tls.iter().map(move |(version, cipher, count)| {
        let mut labels = names_of(names, sort);
        labels.extend([("tls_version", *version), ("tls_cipher", *cipher)]);
        counter(&labels, *count)
    })
}

/// A child router is `parent -> child` in the access log and itself here.
fn names_of<'a>((name, service): &'a (Arc<str>, Arc<str>), sort: &Sort) -> Vec<Label<'a>> {
    let own = name.rsplit_once(" -> ").map_or(&**name, |(_, own)| own);
    let mut labels = vec![(sort.label, own)];
    if sort.noun == ROUTER.noun {
        labels.push(("service", service));
    }
    labels
}
