//! The REST API: what is configured and what became of it, in the shapes of Traefik's; and the answers to health checks
//! and scrapes.

mod acme;
mod answer;
mod aside;
mod certificates;
pub mod dashboard;
mod http;
mod layer4;
mod list;
mod overview;
pub mod ping;
pub mod scrape;
mod support;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use ::http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use portcullis_middlewares::message::{Body, Request, Response, Target};
use portcullis_middlewares::{Exchange, Service};
use serde_json::Value;

use self::answer::{failure, json};
use self::aside::Aside;
use self::list::{Query, list};
use crate::net::live::Live;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::Context;

/// What the API tells of the install configuration. None of it changes while the process runs.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// Path before `/api`, without a slash at its end.
    pub base: String,
    /// All of the install configuration; secrets are hidden.
    pub install: Value,
    /// Entry points as objects with their name.
    pub entry_points: Vec<Value>,
    /// The providers that are on, as Traefik spells them: `Docker`, `File`.
    pub providers: Vec<String>,
    /// The kind of metrics, `Prometheus`; empty if there are none.
    pub metrics: String,
    /// The kind of traces; empty if there are none.
    pub tracing: String,
    /// Whether the access log is on.
    pub access_log: bool,
    /// The name of this instance, for the dashboard.
    pub dashboard_name: String,
    /// Whether there is to be no advertisement, for clients that ask.
    pub disable_dashboard_ad: bool,
    /// The names of the internal services.
    pub internal: Vec<String>,
}

/// The parts of the gateway that the API looks at; they are made after the API.
#[derive(Clone)]
pub struct Seen {
    /// The newest snapshot.
    pub live: Arc<Live<Snapshot>>,
    /// What it was compiled with.
    pub context: Arc<Context>,
}

/// The REST API.
pub struct Api {
    pages: Arc<Pages>,
    aside: Aside,
}

/// What answers are made from.
struct Pages {
    installed: Installed,
    started: jiff::Timestamp,
    seen: Arc<OnceLock<Seen>>,
}

impl Api {
    /// The API of what `installed` says and, once it is there, of what `seen` holds.
    pub fn new(installed: Installed, seen: Arc<OnceLock<Seen>>) -> Self {
        let pages = Arc::new(Pages { installed, started: jiff::Timestamp::now(), seen });
        Self { pages, aside: Aside::default() }
    }
}

impl Pages {
    fn answer(&self, method: &Method, target: &Target) -> Response {
        let path = target.path();
        let path = path.strip_prefix(&*self.installed.base).unwrap_or(path);
        let Some(path) = path.strip_prefix("/api/") else { return Response::not_found() };
        if !is_known(path) {
            return Response::not_found();
        }
        if *method != Method::GET {
            return Response::new(StatusCode::METHOD_NOT_ALLOWED, Body::Empty);
        }
        let Some(seen) = self.seen.get() else { return Response::not_found() };
        let snapshot = seen.live.load();
        let query = Query::parse(target.query().unwrap_or_default());
        let view = View { installed: &self.installed, seen, snapshot: &snapshot };
        match path {
            "version" => return json(&self.version()),
            "overview" => return json(&overview::overview(&view)),
            "rawdata" => return json(&overview::raw(&view)),
            "support-dump" => return self.support_dump(&view),
            "mesh" => {
                return match &seen.context.extension {
                    Some(mesh) => json(&mesh.status()),
                    None => failure(StatusCode::NOT_FOUND, "this process has no part in a mesh"),
                };
            }
            _ => {}
        }
        let (collection, id) = match path.split_once('/') {
            Some((layer @ ("http" | "tcp" | "udp" | "acme"), rest)) => {
                let (kind, id) = split(rest);
                (format!("{layer}/{kind}"), id)
            }
            _ => {
                let (kind, id) = split(path);
                (kind.to_owned(), id)
            }
        };
        self.collection(&view, &collection, id.as_deref(), &query)
    }

    fn collection(
        &self,
        view: &View<'_>,
        collection: &str,
        id: Option<&str>,
        query: &Query,
    ) -> Response {
        match collection {
            "entrypoints" => pick("entry point", self.entry_points(), id, query),
            "acme/certificates" => pick("certificate", acme::certificates(view), id, query),
            "certificates" => pick("certificate", certificates::rows(view), id, query),
            "http/routers" => pick("router", http::routers(view), id, query),
            "http/services" => pick("service", http::services(view), id, query),
            "http/middlewares" => pick("middleware", http::middlewares(view), id, query),
            "tcp/routers" => pick("router", layer4::tcp_routers(view), id, query),
            "tcp/services" => pick("service", layer4::tcp_services(view), id, query),
            "tcp/middlewares" => pick("middleware", layer4::tcp_middlewares(view), id, query),
            "udp/routers" => pick("router", layer4::udp_routers(view), id, query),
            "udp/services" => pick("service", layer4::udp_services(view), id, query),
            _ => Response::not_found(),
        }
    }

    fn entry_points(&self) -> Vec<list::Row> {
        let text =
            |it: &Value| it.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let rows = self.installed.entry_points.iter();
        rows.map(|it| list::Row::plain(text(it), it.clone())).collect()
    }

    fn support_dump(&self, view: &View<'_>) -> Response {
        let files = [
            ("version.json", self.version()),
            ("static-config.json", support::anonymised(&self.installed.install)),
            ("runtime-config.json", overview::raw(view)),
        ];
        support::dump(&files, jiff::Timestamp::now())
    }

    fn version(&self) -> Value {
        let mut version = serde_json::json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "Codename": "portcullis",
            "startDate": self.started.to_string(),
        });
        if self.installed.disable_dashboard_ad {
            version["disableDashboardAd"] = true.into();
        }
        if !self.installed.dashboard_name.is_empty() {
            version["dashboardName"] = self.installed.dashboard_name.as_str().into();
        }
        version
    }
}

/// What one answer is made from.
struct View<'a> {
    installed: &'a Installed,
    seen: &'a Seen,
    snapshot: &'a Snapshot,
}

/// Collection and decoded id.
fn split(path: &str) -> (&str, Option<String>) {
    match path.split_once('/') {
        Some((kind, id)) => (kind, Some(percent_decode_str(id).decode_utf8_lossy().into_owned())),
        None => (path, None),
    }
}

/// Whether there is anything at this path below `/api/`, whatever the method.
fn is_known(path: &str) -> bool {
    if matches!(path, "version" | "overview" | "rawdata" | "support-dump" | "mesh") {
        return true;
    }
    let listed = [
        "entrypoints",
        "certificates",
        "acme/certificates",
        "http/routers",
        "http/services",
        "http/middlewares",
        "tcp/routers",
        "tcp/services",
        "tcp/middlewares",
        "udp/routers",
        "udp/services",
    ];
    let below = |rest: &str| match rest.strip_prefix('/') {
        Some(id) => !id.is_empty() && !id.contains('/'),
        None => rest.is_empty(),
    };
    listed.iter().any(|it| path.strip_prefix(it).is_some_and(below))
}

/// The whole collection, or the one object of it that is asked for.
fn pick(noun: &str, rows: Vec<list::Row>, id: Option<&str>, query: &Query) -> Response {
    let Some(id) = id else { return list(rows, query) };
    match rows.into_iter().find(|row| row.name == id) {
        Some(row) => json(&row.detail()),
        None => failure(StatusCode::NOT_FOUND, &format!("{noun} not found: {id}")),
    }
}

impl Service for Api {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        let pages = Arc::clone(&self.pages);
        self.aside.run(move || pages.answer(&request.method, &request.target)).await
    }
}
