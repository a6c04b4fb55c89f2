//! HTTP routers, services and middlewares as objects of the API.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::http::{Router, Service};
use portcullis_config::tree::{Node, Tree};
use portcullis_middlewares::headers::CustomHeaders;
use serde_json::{Map, Value};

use super::View;
use super::list::Row;
use crate::observe::without_userinfo;
use crate::snapshot::report::{Item, Report, Status};
use crate::upstream;

/// HTTP routers, with their children.
pub(super) fn routers(view: &View<'_>) -> Vec<Row> {
    let routers = view.snapshot.report.routers.iter();
    routers.map(|(name, item)| router(name, item)).collect()
}

fn router(name: &Name, item: &Item<Router>) -> Row {
    let qualified = |text: &String| Name::qualify(text, name.provider()).to_string();
    let mut shown = Router::clone(&item.config);
    shown.middlewares = shown.middlewares.iter().map(qualified).collect();
    shown.parent_refs = shown.parent_refs.iter().map(qualified).collect();
    shown.priority = item.priority;
    if let Some(tls) = shown.tls.as_mut().filter(|tls| tls.options.is_empty()) {
        tls.options = "default".to_owned();
    }
    let is_child = !shown.parent_refs.is_empty();
    let observability = shown.observability.take().unwrap_or_default();
    let mut value = object(&shown);
    if !is_child {
        let on = |switch: Option<bool>| switch.unwrap_or(true);
        let verbosity = match observability.trace_verbosity.as_str() {
            "" => "minimal",
            set => set,
        };
        value.insert(
            "observability".to_owned(),
            serde_json::json!({
                "accessLogs": on(observability.access_logs),
                "metrics": on(observability.metrics),
                "tracing": on(observability.tracing),
                "traceVerbosity": verbosity,
            }),
        );
    }
    outcome(&mut value, item.status, &item.errors);
    if !item.used.is_empty() {
        value.insert("using".to_owned(), texts(item.used.iter().map(|name| &**name)));
    }
    let mut row = Row::object(name.as_str(), Value::Object(value));
    row.tail.push(("priorityStr", item.priority.to_string().into()));
    row.searched = vec![shown.rule, shown.service.clone()];
    row.uses = shown.middlewares;
    row.uses.push(Name::qualify(&shown.service, name.provider()).to_string());
    row
}

/// HTTP services; those of the gateway itself come last.
pub(super) fn services(view: &View<'_>) -> Vec<Row> {
    let report = &view.snapshot.report;
    let users = Users::new(report);
    let mut rows = Vec::new();
    for (name, item) in &report.services {
        let mut value = object(&without_secrets(&item.config));
        outcome(&mut value, item.status, &item.errors);
        used_by(&mut value, users.of(name.as_str()));
        name_weights(&mut value);
        let mut kind = String::new();
        for known in ["loadBalancer", "weighted", "mirroring", "failover", "highestRandomWeight"] {
            if value.contains_key(known) {
                known.clone_into(&mut kind);
            }
        }
        if let Some(states) = report.compiled.get(name).and_then(server_status) {
            value.insert("serverStatus".to_owned(), states);
        }
        rows.push(Row::object(name.as_str(), Value::Object(value)).of_type(&kind));
    }
    rows.extend(view.installed.internal.iter().map(|name| internal(&users, name)));
    rows
}

/// The service without credentials: those in URLs of servers and in headers of health checks.
fn without_secrets(service: &Service) -> Service {
    let mut service = service.clone();
    if let Some(balancer) = &mut service.load_balancer {
        for server in &mut balancer.servers {
            server.url = without_userinfo(&server.url).into_owned();
        }
        if let Some(check) = &mut balancer.health_check {
            let headers = CustomHeaders(check.headers.drain(..).collect());
            let shown = serde_json::to_value(headers).and_then(serde_json::from_value);
            check.headers = shown.unwrap_or_default();
        }
    }
    service
}

/// `UP` or `DOWN` by server URL, if the service is a load balancer.
fn server_status(service: &Arc<upstream::service::Service>) -> Option<Value> {
    let states = service.balancer()?.server_status();
    let text = |is_up: bool| Value::from(if is_up { "UP" } else { "DOWN" });
    Some(
        states
            .into_iter()
            .map(|(url, is_up)| (without_userinfo(&url).into_owned(), text(is_up)))
            .collect(),
    )
}

fn internal(users: &Users<'_>, service: &str) -> Row {
    let mut value = Map::new();
    outcome(&mut value, Status::Enabled, &[]);
    used_by(&mut value, users.of(service));
    Row::object(service, Value::Object(value))
}

/// The routers that name each service, also those that do not serve.
struct Users<'a>(HashMap<Name, Vec<&'a str>>);

impl<'a> Users<'a> {
    fn new(report: &'a Report) -> Self {
        let mut users: HashMap<Name, Vec<&str>> = HashMap::new();
        for (name, item) in &report.routers {
            let service = Name::qualify(&item.config.service, name.provider());
            users.entry(service).or_default().push(name.as_str());
        }
        Self(users)
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &'a str> {
        self.0.get(service).into_iter().flatten().copied()
    }
}

/// Traefik: a weight that nobody set shows as 1.
pub(super) fn name_weights(service: &mut Map<String, Value>) {
    for kind in ["weighted", "highestRandomWeight"] {
        let children = service.get_mut(kind).and_then(|it| it.get_mut("services"));
        for child in children.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(child) = child {
                child.entry("weight").or_insert(1.into());
            }
        }
    }
}

/// HTTP middlewares with their settings; secrets are not shown.
pub(super) fn middlewares(view: &View<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, item) in &view.snapshot.report.middlewares {
        let known = portcullis_middlewares::kind(&item.config.kind);
        let kind = known.map_or(item.config.kind.as_str(), |known| known.name);
        let settings = known.and_then(|known| (known.show)(&item.config.settings).ok());
        // What cannot be typed is shown without its values: nobody knows which of them are secret.
        let settings = settings.unwrap_or_else(|| names(&item.config.settings));
        let mut value = Map::new();
        value.insert(kind.to_owned(), settings);
        outcome(&mut value, item.status, &item.errors);
        used_by(&mut value, item.used.iter().map(|name| &**name));
        rows.push(Row::object(name.as_str(), Value::Object(value)).of_type(kind));
    }
    rows
}

/// The names of settings; values are hidden.
pub(super) fn names(tree: &Tree) -> Value {
    match &tree.node {
        Node::Map(map) => map.iter().map(|(key, it)| (key.clone(), names(it))).collect(),
        Node::List(items) => items.iter().map(names).collect(),
        Node::Scalar(_) => "REDACTED".into(),
    }
}

/// The fields of a configured object.
pub(super) fn object(config: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Adds `status` and, if there are any, the errors.
pub(super) fn outcome(value: &mut Map<String, Value>, status: Status, errors: &[String]) {
    let text = match status {
        Status::Enabled => "enabled",
        Status::Warning => "warning",
        Status::Disabled => "disabled",
    };
    value.insert("status".to_owned(), text.into());
    if !errors.is_empty() {
        value.insert("error".to_owned(), texts(errors.iter().map(String::as_str)));
    }
}

/// Adds who uses the object, in alphabetical order.
pub(super) fn used_by<'n>(value: &mut Map<String, Value>, users: impl Iterator<Item = &'n str>) {
    let users: BTreeSet<&str> = users.collect();
    if !users.is_empty() {
        value.insert("usedBy".to_owned(), texts(users.into_iter()));
    }
}

pub(super) fn texts<'n>(texts: impl Iterator<Item = &'n str>) -> Value {
    texts.map(Value::from).collect()
}
