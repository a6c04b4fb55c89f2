//! The configuration of a running gateway, as its API tells it.
//!
//! The API hides secrets, so middlewares and services cannot be made again from what it says. They need not: which
//! router takes a request depends on rules and priorities alone.

use std::collections::HashMap;

use portcullis_config::routing::http::{Router, RouterTls};
use portcullis_config::tree::decode::decode;
use portcullis_config::tree::text::{Format, parse};
use portcullis_config::{Name, Routing};
use serde_json::{Map, Value};

use super::{Known, Shown, State, tcp};
use crate::cli::ask::fetch;
use crate::gateway::preview::preview_of;
use crate::install::{EntryPoint, Install};

/// Asks the gateway whose API is at `url`.
pub(super) fn ask(url: &str) -> Result<Known, String> {
    let mut install = Install::default();
    let listed = fetch(url, "/api/entrypoints?per_page=1000")?;
    for entry_point in listed.as_array().into_iter().flatten() {
        let name = entry_point["name"].as_str().unwrap_or_default().to_owned();
        install.entry_points.insert(name, arrival(entry_point)?);
    }
    let told = fetch(url, "/api/rawdata")?;
    let (mut routing, mut routers) = (Routing::default(), HashMap::new());
    for (name, router_told) in told["routers"].as_object().into_iter().flatten() {
        let (router, mut shown) = router(router_told)?;
        complete(&mut shown, &Name::verbatim(name), &told);
        routing.http.routers.insert(name.clone(), router.into());
        routers.insert(name.clone(), shown);
    }
    let mut tcp_routers = HashMap::new();
    for (name, told) in told["tcpRouters"].as_object().into_iter().flatten() {
        let (router, shown) = tcp::told(told)?;
        routing.tcp.routers.insert(name.clone(), router);
        tcp_routers.insert(name.clone(), shown);
    }
    let preview = preview_of(&install, routing).map_err(|error| format!("{error:#}"))?;
    Ok(Known { install, preview, routers, tcp_routers })
}

/// An entry point as far as it matters before routing; what its routers take from it they have already.
fn arrival(told: &Value) -> Result<EntryPoint, String> {
    let mut kept = Map::new();
    kept.insert("address".to_owned(), told["address"].clone());
    if let Some(sanitize) = told["http"].get("sanitizePath") {
        kept.insert("http".to_owned(), serde_json::json!({ "sanitizePath": sanitize }));
    }
    typed(&Value::Object(kept))
}

/// A router as far as it decides who takes a request, and what is shown of it.
fn router(told: &Value) -> Result<(Router, Shown), String> {
    let mut kept = Map::new();
    for key in ["entryPoints", "rule", "priority", "parentRefs"] {
        if let Some(value) = told.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let mut router: Router = typed(&Value::Object(kept))?;
    router.tls = told.get("tls").map(|_| RouterTls::default());
    if router.parent_refs.is_empty() {
        "noop@internal".clone_into(&mut router.service);
    }
    let shown = Shown {
        middlewares: texts(&told["middlewares"]),
        service: told["service"].as_str().unwrap_or_default().to_owned(),
        servers: Vec::new(),
        state: if told["status"] == "disabled" { State::Broken } else { State::Serving },
        errors: texts(&told["error"]),
    };
    Ok((router, shown))
}

/// Adds kinds of middlewares and servers from all that the gateway `told`.
fn complete(shown: &mut Shown, router: &Name, told: &Value) {
    for middleware in &mut shown.middlewares {
        let name = Name::qualify(middleware, router.provider());
        let object = told["middlewares"][name.as_str()].as_object();
        let about = ["status", "error", "usedBy"];
        let mut kinds = object.into_iter().flat_map(Map::keys);
        if let Some(kind) = kinds.find(|key| !about.contains(&key.as_str())) {
            *middleware = format!("{middleware} ({kind})");
        }
    }
    let service = Name::qualify(&shown.service, router.provider());
    let servers = told["services"][service.as_str()]["serverStatus"].as_object();
    let servers = servers.into_iter().flatten();
    shown.servers = servers
        .map(|(url, status)| format!("{url} {}", status.as_str().unwrap_or_default()))
        .collect();
}

pub(super) fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    let odd = |mismatch: portcullis_config::tree::decode::Mismatch| {
        format!("the API says something odd: {mismatch}")
    };
    decode(&parse(&value.to_string(), Format::Json, "the API").map_err(odd)?).map_err(odd)
}

pub(super) fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
}
