//! What middlewares and services count of their own, as families.

use std::collections::BTreeMap;

use portcullis_middlewares::metric::{self, Kind};
use prometheus::proto::MetricFamily;

use super::prometheus::{Label, counter, counters, gauge, gauges};

/// One family for each name. Of two metrics with equal labels, as there are while a reload is going on, the newer is
/// shown.
pub fn families() -> Vec<MetricFamily> {
    let mut newest = BTreeMap::new();
    for metric in metric::all() {
        let key = (metric.family().name, metric.labels().to_vec());
        newest.insert(key, metric);
    }
    let mut families = BTreeMap::new();
    for metric in newest.values() {
        let family = metric.family();
        let labels = metric.labels().iter().map(|(label, value)| (*label, &**value));
        let labels: Vec<Label<'_>> = labels.collect();
        let sample = match family.kind {
            Kind::Counter => counter(&labels, metric.value()),
            Kind::Gauge => gauge(&labels, metric.value() as f64),
        };
        families.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(sample);
    }
    let families = families.into_values().map(|(family, samples)| match family.kind {
        Kind::Counter => counters(family.name, family.help, samples),
        Kind::Gauge => gauges(family.name, family.help, samples),
    });
    families.collect()
}

#[cfg(test)]
mod tests {
    use portcullis_middlewares::metric::{Family, Metric};

    use super::*;
    use crate::observe::metrics::prometheus::text;

    static DOORS: Family =
        Family { name: "portcullis_test_doors", help: "Doors.", kind: Kind::Gauge };

    #[test]
    fn the_newer_of_two_equal_ones_is_shown() {
        let metric = |room: &str, value| {
            let metric = Metric::new(&DOORS, &[("room", room)]);
            metric.set(value);
            metric
        };
        let _held = [metric("hall", 1), metric("cellar", 2), metric("hall", 3)];
        let text = text(&families());
        let lines = text.lines().filter(|line| line.starts_with("portcullis_test_doors{"));
        let expected =
            ["portcullis_test_doors{room=\"cellar\"} 2", "portcullis_test_doors{room=\"hall\"} 3"];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
