//! `prometheus@internal`: what there is to scrape.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, StatusCode};
use ::prometheus::proto::MetricFamily;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service};
use portcullis_providers::{Contact, State};

use super::Seen;
use super::aside::Aside;
use crate::observe::metrics::prometheus::{Label, counter, counters, gauge, gauges, text};
use crate::observe::{Observer, process, without_userinfo};
use crate::tcp::counts::Counts;

/// Answers with all metrics in the text format.
pub struct Scrape {
    sources: Arc<Sources>,
    aside: Aside,
}

/// What the metrics are read from.
pub struct Sources {
    /// Holds the counters.
    pub observer: Arc<Observer>,
    /// The newest snapshot.
    pub seen: Arc<OnceLock<Seen>>,
    /// The providers by name, once they run.
    pub providers: Arc<OnceLock<Vec<(String, State)>>>,
}

impl Scrape {
    /// Offers what `sources` hold.
    pub fn new(sources: Sources) -> Self {
        Self { sources: Arc::new(sources), aside: Aside::default() }
    }
}

impl Sources {
    fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.observer.families();
        families.extend(process::families());
        if let Some(seen) = self.seen.get() {
            families.push(servers(seen));
            families.extend(connections(seen));
            families.push(certificates(seen));
            families.extend(acme(seen));
            families.push(ocsp(seen));
            let extension = seen.context.extension.as_ref();
            families.extend(extension.map(|it| it.families()).unwrap_or_default());
            let help = "Hosts of routers whose clients get a certificate that is not for them.";
            let count = gauge(&[], seen.live.load().uncovered.len() as f64);
            families.push(gauges("portcullis_tls_hosts_without_certificate", help, vec![count]));
        }
        let providers = self.providers.get().into_iter().flatten().map(|(name, state)| {
            let is_up = state.contact() == Contact::Up;
            gauge(&[("provider", name)], f64::from(u8::from(is_up)))
        });
        let help = "Whether a provider is in touch with what it watches.";
        families.push(gauges("portcullis_provider_up", help, providers.collect()));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }
}

/// Traefik: servers show here once something has checked them.
fn servers(seen: &Seen) -> MetricFamily {
    let snapshot = seen.live.load();
    let mut samples = Vec::new();
    for (name, service) in &snapshot.report.compiled {
        let settings = snapshot.report.services.get(name);
        let settings = settings.and_then(|item| item.config.load_balancer.as_ref());
        let is_checked = settings
            .is_some_and(|it| it.health_check.is_some() || it.passive_health_check.is_some());
        let Some(balancer) = service.balancer().filter(|_| is_checked) else { continue };
        for (url, is_up) in balancer.server_up() {
            let url = without_userinfo(&url);
            let labels: [Label<'_>; 2] = [("service", name.as_str()), ("url", &url)];
            samples.push(gauge(&labels, f64::from(u8::from(is_up))));
        }
    }
    let tcp = snapshot.report.tcp.compiled.iter();
    for (name, balancer) in tcp.filter_map(|(name, it)| Some((name, it.balancer()?))) {
        for (address, is_up) in
            balancer.server_status().into_iter().filter(|_| balancer.is_checked())
        {
            let labels: [Label<'_>; 2] = [("service", name.as_str()), ("url", &address)];
            samples.push(gauge(&labels, f64::from(u8::from(is_up))));
        }
    }
    gauges("traefik_service_server_up", "Whether a server passes its health checks.", samples)
}

/// What TCP services count.
fn connections(seen: &Seen) -> [MetricFamily; 4] {
    let snapshot = seen.live.load();
    let family = |name: &str, help: &str, read: fn(&Counts) -> &AtomicU64| {
        let services = snapshot.report.tcp.compiled.iter();
        let samples = services.filter_map(|(service, it)| {
            let counts = &it.balancer()?.counts;
            Some(counter(&[("service", service.as_str())], read(counts).load(Relaxed)))
        });
        counters(name, help, samples.collect())
    };
    [
        family(
            "portcullis_tcp_connections_total",
            "Connections that reached a server of a TCP service.",
            |counts| &counts.connections,
        ),
        family(
            "portcullis_tcp_dial_failures_total",
            "Servers of a TCP service that could not be reached.",
            |counts| &counts.failures,
        ),
        family(
            "portcullis_tcp_received_bytes_total",
            "Bytes from clients to servers of a TCP service, of connections that have ended.",
            |counts| &counts.received,
        ),
        family(
            "portcullis_tcp_sent_bytes_total",
            "Bytes from servers of a TCP service to clients, of connections that have ended.",
            |counts| &counts.sent,
        ),
    ]
}

fn certificates(seen: &Seen) -> MetricFamily {
    let store = seen.context.tls.store();
    let samples = store.facts().map(|facts| {
        let labels: [Label<'_>; 3] = [
            ("cn", &facts.common_name),
            ("serial", &facts.serial_number),
            ("sans", &facts.dns_names),
        ];
        gauge(&labels, facts.expires as f64)
    });
    let help = "When a certificate ends to be valid, in seconds since 1970.";
    gauges("traefik_tls_certs_not_after", help, samples.collect())
}

/// What resolvers do: orders by result, and of each wanted certificate its failures in a row and its renewal.
fn acme(seen: &Seen) -> [MetricFamily; 3] {
    let acme = seen.context.tls.acme();
    let (mut orders, mut failures, mut renewals) = (Vec::new(), Vec::new(), Vec::new());
    for (resolver, count) in acme.orders() {
        for (result, value) in [("issued", count.issued), ("failed", count.failed)] {
            orders.push(counter(&[("resolver", &resolver), ("result", result)], value));
        }
    }
    for standing in acme.standings() {
        let names = standing.names.join(",");
        let labels: [Label<'_>; 2] = [("resolver", &standing.resolver), ("sans", &names)];
        failures.push(gauge(&labels, f64::from(standing.failures)));
        renewals.extend(standing.renewal.map(|renewal| gauge(&labels, renewal as f64)));
    }
    let of_orders = "Orders of certificates by resolver and result.";
    let of_failures = "Failed orders in a row for a wanted certificate.";
    let of_renewals = "When a certificate is to be renewed, in seconds since 1970.";
    [
        counters("portcullis_acme_orders_total", of_orders, orders),
        gauges("portcullis_acme_failures", of_failures, failures),
        gauges("portcullis_acme_renewal_timestamp_seconds", of_renewals, renewals),
    ]
}

/// What OCSP responders said of certificates.
fn ocsp(seen: &Seen) -> MetricFamily {
    let counts = seen.context.tls.ocsp().counts();
    let results = [("good", counts.good), ("revoked", counts.revoked), ("failed", counts.failed)];
    let samples = results.map(|(result, count)| counter(&[("result", result)], count)).into();
    let help = "Answers of OCSP responders about certificates: good, revoked, or none to believe.";
    counters("portcullis_tls_ocsp_answers_total", help, samples)
}

impl Service for Scrape {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        let sources = Arc::clone(&self.sources);
        let make = move || Response::new(StatusCode::OK, text(&sources.families()));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        self.aside.run(make).await.with(CONTENT_TYPE, kind)
    }
}
