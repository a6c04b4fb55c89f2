//! TCP and UDP objects as objects of the API. This release reads them and does not serve them, and says so.

use portcullis_config::Name;
use portcullis_config::routing::tcp;
use serde::Serialize;
use serde_json::Value;

use super::View;
use super::http::{names, object, outcome, used_by};
use super::list::Row;
use crate::snapshot::report::Status;

pub(super) fn tcp_routers(view: &View<'_>) -> Vec<Row> {
    let routers = view.snapshot.report.tcp.routers.iter();
    let row = |(name, it): (&String, &tcp::Router)| {
        let mut row = router(name, it, "TCP", &it.service);
        row.tail.push(("priorityStr", it.priority.to_string().into()));
        row.searched.push(it.rule.clone());
        row
    };
    routers.map(row).collect()
}

pub(super) fn udp_routers(view: &View<'_>) -> Vec<Row> {
    let routers = view.snapshot.report.udp.routers.iter();
    routers.map(|(name, it)| router(name, it, "UDP", &it.service)).collect()
}

fn router(name: &str, config: &impl Serialize, layer: &str, service: &str) -> Row {
    let mut value = object(config);
    outcome(&mut value, Status::Disabled, &[unserved(layer)]);
    let mut row = Row::object(name, Value::Object(value));
    row.searched = vec![service.to_owned()];
    row.uses = vec![full(service, name)];
    row
}

pub(super) fn tcp_services(view: &View<'_>) -> Vec<Row> {
    let tcp = &view.snapshot.report.tcp;
    let routers: Vec<_> =
        tcp.routers.iter().map(|(name, it)| (name.as_str(), full(&it.service, name))).collect();
    tcp.services.iter().map(|(name, it)| service(name, it, "TCP", &routers)).collect()
}

pub(super) fn udp_services(view: &View<'_>) -> Vec<Row> {
    let udp = &view.snapshot.report.udp;
    let routers: Vec<_> =
        udp.routers.iter().map(|(name, it)| (name.as_str(), full(&it.service, name))).collect();
    udp.services.iter().map(|(name, it)| service(name, it, "UDP", &routers)).collect()
}

fn service(name: &str, config: &impl Serialize, layer: &str, routers: &[(&str, String)]) -> Row {
    let mut value = object(config);
    let kind = if value.contains_key("weighted") { "weighted" } else { "loadbalancer" };
    outcome(&mut value, Status::Disabled, &[unserved(layer)]);
    let users = routers.iter().filter(|(_, service)| service == name);
    used_by(&mut value, users.map(|(router, _)| *router));
    Row::object(name, Value::Object(value)).of_type(kind)
}

pub(super) fn tcp_middlewares(view: &View<'_>) -> Vec<Row> {
    let middlewares = view.snapshot.report.tcp.middlewares.iter();
    middlewares
        .map(|(name, it)| {
            let mut value = serde_json::Map::new();
            value.insert(it.kind.clone(), names(&it.settings));
            outcome(&mut value, Status::Disabled, &[unserved("TCP")]);
            Row::object(name, Value::Object(value)).of_type(&it.kind)
        })
        .collect()
}

fn unserved(layer: &str) -> String {
    format!("{layer} is not served by this release")
}

/// `service` in full, as its router means it.
fn full(service: &str, router: &str) -> String {
    Name::qualify(service, Name::verbatim(router).provider()).to_string()
}
