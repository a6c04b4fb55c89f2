//! TCP and UDP objects as objects of the API.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_middlewares::tcp as middlewares;
use serde_json::{Map, Value};

use super::View;
use super::http::{name_weights, names, object, outcome, texts, used_by};
use super::list::Row;
use crate::snapshot::report::Item;
use crate::tcp;

pub(super) fn tcp_routers(view: &View<'_>) -> Vec<Row> {
    let routers = view.snapshot.report.tcp.routers.iter();
    routers
        .map(|(name, item)| {
            let qualified = |text: &String| Name::qualify(text, name.provider()).to_string();
            let mut shown = (*item.config).clone();
            shown.middlewares = shown.middlewares.iter().map(qualified).collect();
            shown.priority = item.priority;
            let uses = shown.middlewares.clone();
            let mut row = router(name, item, object(&shown), &shown.service);
            row.tail.push(("priorityStr", item.priority.to_string().into()));
            row.searched.push(shown.rule);
            row.uses.extend(uses);
            row
        })
        .collect()
}

pub(super) fn udp_routers(view: &View<'_>) -> Vec<Row> {
    let routers = view.snapshot.report.udp.routers.iter();
    let row = |(name, item): (&Name, &Item<_>)| {
        let config: &portcullis_config::routing::udp::Router = &item.config;
        router(name, item, object(config), &config.service)
    };
    routers.map(row).collect()
}

fn router<T>(name: &Name, item: &Item<T>, mut value: Map<String, Value>, service: &str) -> Row {
    outcome(&mut value, item.status, &item.errors);
    if !item.used.is_empty() {
        value.insert("using".to_owned(), texts(item.used.iter().map(|name| &**name)));
    }
    let mut row = Row::object(name.as_str(), Value::Object(value));
    row.searched = vec![service.to_owned()];
    row.uses = vec![Name::qualify(service, name.provider()).to_string()];
    row
}

pub(super) fn tcp_services(view: &View<'_>) -> Vec<Row> {
    let report = &view.snapshot.report.tcp;
    let service = |(name, item): (&Name, &Item<_>)| {
        let config: &portcullis_config::routing::tcp::Service = &item.config;
        let mut value = service(item, object(config));
        if let Some(states) = report.compiled.get(name).and_then(server_status) {
            value.insert("serverStatus".to_owned(), states);
        }
        of_kind(name, value)
    };
    report.services.iter().map(service).collect()
}

pub(super) fn udp_services(view: &View<'_>) -> Vec<Row> {
    let services = view.snapshot.report.udp.services.iter();
    services.map(|(name, item)| of_kind(name, service(item, object(&item.config)))).collect()
}

fn service<T>(item: &Item<T>, mut value: Map<String, Value>) -> Map<String, Value> {
    outcome(&mut value, item.status, &item.errors);
    used_by(&mut value, item.used.iter().map(|name| &**name));
    name_weights(&mut value);
    value
}

fn of_kind(name: &Name, value: Map<String, Value>) -> Row {
    let kinds = ["loadBalancer", "weighted"];
    let kind = kinds.into_iter().find(|kind| value.contains_key(*kind)).unwrap_or_default();
    Row::object(name.as_str(), Value::Object(value)).of_type(kind)
}

/// `UP` or `DOWN` by server address, if the service is a load balancer.
fn server_status(service: &Arc<tcp::service::Service>) -> Option<Value> {
    let states = service.balancer()?.server_status();
    let text = |is_up: bool| Value::from(if is_up { "UP" } else { "DOWN" });
    Some(states.into_iter().map(|(address, is_up)| (address.to_string(), text(is_up))).collect())
}

pub(super) fn tcp_middlewares(view: &View<'_>) -> Vec<Row> {
    let middlewares = view.snapshot.report.tcp.middlewares.iter();
    middlewares
        .map(|(name, item)| {
            let known = middlewares::kind(&item.config.kind);
            let kind = known.map_or(item.config.kind.as_str(), |known| known.name);
            let settings = known.and_then(|known| (known.show)(&item.config.settings).ok());
            let mut value = Map::new();
            let settings = settings.unwrap_or_else(|| names(&item.config.settings));
            value.insert(kind.to_owned(), settings);
            outcome(&mut value, item.status, &item.errors);
            used_by(&mut value, item.used.iter().map(|name| &**name));
            Row::object(name.as_str(), Value::Object(value)).of_type(kind)
        })
        .collect()
}
