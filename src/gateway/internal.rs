//! What the gateway configures itself: internal services and their routers, redirections of entry points.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use portcullis_config::routing::http::{Middleware, Router};
use portcullis_config::tree::Tree;
use portcullis_config::{Name, Routing};
use portcullis_middlewares::chain::BoxedService;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service};
use portcullis_providers::State;

use crate::api::dashboard::Dashboard;
use crate::api::ping::Ping;
use crate::api::scrape::{Scrape, Sources};
use crate::api::{Api, Installed, Seen};
use crate::install::{self, EntryPoint, INTERNAL_ENTRY_POINT, Install, Redirection};
use crate::observe::Observer;

/// The internal services by name.
pub(super) struct Services {
    /// Taken by the compile context.
    pub(super) by_name: HashMap<Name, Arc<dyn BoxedService>>,
    seen: Arc<OnceLock<Seen>>,
    providers: Arc<OnceLock<Vec<(String, State)>>>,
}

impl Services {
    /// Makes the services; those that show the newest snapshot get it with [`Services::begin`].
    pub(super) fn new(install: &Install, observer: &Arc<Observer>) -> Self {
        let (seen, providers) = (Arc::<OnceLock<Seen>>::default(), Arc::default());
        let mut made: Vec<(&str, Arc<dyn BoxedService>)> = vec![(NOOP, Arc::new(Noop))];
        if let Some(ping) = &install.ping {
            let terminating = StatusCode::from_u16(ping.terminating_status_code);
            let terminating = terminating.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            made.push((PING, Arc::new(Ping { observer: Arc::clone(observer), terminating })));
        }
        if install.metrics.as_ref().is_some_and(|metrics| metrics.prometheus.is_some()) {
            let sources = Sources {
                observer: Arc::clone(observer),
                seen: Arc::clone(&seen),
                providers: Arc::clone(&providers),
            };
            made.push((PROMETHEUS, Arc::new(Scrape::new(sources))));
        }
        if let Some(api) = &install.api {
            if api.dashboard {
                made.push((DASHBOARD, Arc::new(Dashboard { base: base(api).to_owned() })));
            }
            let mut installed = installed(install, api);
            installed.internal = made.iter().map(|(name, _)| (*name).to_owned()).collect();
            installed.internal.push(API.to_owned());
            made.push((API, Arc::new(Api::new(installed, Arc::clone(&seen)))));
        }
        // Last, so that the API does not list it.
        #[cfg(debug_assertions)]
        made.push(("panic@internal", Arc::new(super::panics::Panics)));
        let by_name = made.into_iter().map(|(name, it)| (Name::verbatim(name), it)).collect();
        Self { by_name, seen, providers }
    }

    /// Shows the newest snapshot and these providers from now on.
    pub(super) fn begin(&self, seen: Seen, providers: Vec<(String, State)>) {
        let _ = self.seen.set(seen);
        let _ = self.providers.set(providers);
    }
}

const API: &str = "api@internal";
const DASHBOARD: &str = "dashboard@internal";
const NOOP: &str = "noop@internal";
const PING: &str = "ping@internal";
const PROMETHEUS: &str = "prometheus@internal";

/// Path before `/api`, without a slash at its end.
fn base(api: &install::Api) -> &str {
    api.base_path.trim_end_matches('/')
}

/// What the API tells of the install configuration.
fn installed(install: &Install, api: &install::Api) -> Installed {
    let entry_points = install.entry_points.iter().map(|(name, entry_point)| {
        let mut value = serde_json::to_value(entry_point).unwrap_or_default();
        value["name"] = name.as_str().into();
        value
    });
    let metrics = install.metrics.as_ref().filter(|metrics| metrics.prometheus.is_some());
    Installed {
        base: base(api).to_owned(),
        install: serde_json::to_value(install).unwrap_or_default(),
        entry_points: entry_points.collect(),
        providers: install.providers.served().iter().map(|(name, _)| capitalised(name)).collect(),
        metrics: metrics.map_or("", |_| "Prometheus").to_owned(),
        tracing: String::new(),
        access_log: install.access_log.is_some(),
        dashboard_name: api.dashboard_name.clone(),
        disable_dashboard_ad: api.disable_dashboard_ad,
        internal: Vec::new(),
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Traefik: what stands behind a redirection and is never reached.
struct Noop;

impl Service for Noop {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        Response::bare(StatusCode::IM_A_TEAPOT)
    }
}

/// The routers that the install configuration asks for.
pub(super) fn routing(install: &Install) -> Routing {
    let mut routing = Routing::default();
    let last = i64::MAX;
    if let Some(api) = install.api.as_ref().filter(|api| api.insecure) {
        let entry_point = INTERNAL_ENTRY_POINT;
        add(&mut routing, API, entry_point, &format!("{}/api", base(api)), last - 1);
        if api.dashboard {
            add(&mut routing, DASHBOARD, entry_point, &format!("{}/", base(api)), last - 2);
            dashboard(&mut routing, base(api));
        }
    }
    if let Some(ping) = install.ping.as_ref().filter(|ping| !ping.manual_routing) {
        add(&mut routing, PING, &ping.entry_point, "/ping", last);
    }
    let metrics = install.metrics.as_ref().and_then(|metrics| metrics.prometheus.as_ref());
    if let Some(prometheus) = metrics.filter(|prometheus| !prometheus.manual_routing) {
        add(&mut routing, PROMETHEUS, &prometheus.entry_point, "/metrics", last);
    }
    for (name, entry_point) in &install.entry_points {
        let redirections = entry_point.http.redirections.as_ref();
        if let Some(redirection) = redirections.and_then(|it| it.entry_point.as_ref()) {
            redirect(&mut routing, name, redirection, install);
        }
    }
    routing
}

/// A router to an internal service, by the service's name.
fn add(routing: &mut Routing, service: &str, entry_point: &str, prefix: &str, priority: i64) {
    let router = Router {
        entry_points: vec![entry_point.to_owned()],
        service: service.to_owned(),
        rule: format!("PathPrefix(`{prefix}`)"),
        priority,
        ..Router::default()
    };
    let name = Name::verbatim(service).base().to_owned();
    routing.http.routers.insert(name, router.into());
}

/// Traefik: `/` leads to `/dashboard/`, below which the page does not see that it is there.
fn dashboard(routing: &mut Routing, base: &str) {
    let (redirect, strip) = ("dashboard_redirect", "dashboard_stripprefix");
    let root = Tree::map([
        ("regex".to_owned(), Tree::scalar(format!("^(https?://[^/]+{})/$", regex::escape(base)))),
        ("replacement".to_owned(), Tree::scalar("${1}/dashboard/")),
        ("permanent".to_owned(), Tree::scalar("true")),
    ]);
    let prefixes = ["/dashboard/", "/dashboard"].map(|it| Tree::scalar(format!("{base}{it}")));
    let prefixes = Tree::map([("prefixes".to_owned(), Tree::list(prefixes.to_vec()))]);
    for (name, kind, settings) in
        [(redirect, "redirectRegex", root), (strip, "stripPrefix", prefixes)]
    {
        let middleware = Middleware { kind: kind.to_owned(), settings };
        routing.http.middlewares.insert(name.to_owned(), middleware.into());
    }
    if let Some(router) = routing.http.routers.get_mut("dashboard") {
        Arc::make_mut(router).middlewares = vec![redirect.to_owned(), strip.to_owned()];
    }
}

/// Traefik: a router `<entry point>-to-<target>` with a redirectScheme middleware.
fn redirect(routing: &mut Routing, name: &str, redirection: &Redirection, install: &Install) {
    let target = redirection.to.trim_start_matches(':');
    let port = match install.entry_points.get(&redirection.to) {
        Some(entry_point) => port_of(entry_point),
        None => target.to_owned(),
    };
    let router = format!("{name}-to-{target}");
    let middleware = format!("redirect-{router}");
    let settings = Tree::map([
        ("scheme".to_owned(), Tree::scalar(redirection.scheme.clone())),
        ("port".to_owned(), Tree::scalar(port)),
        ("permanent".to_owned(), Tree::scalar(redirection.permanent.to_string())),
    ]);
    let kind = "redirectScheme".to_owned();
    let redirecting = Middleware { kind, settings };
    routing.http.middlewares.insert(middleware.clone(), redirecting.into());
    routing.http.routers.insert(
        router,
        Arc::new(Router {
            entry_points: vec![name.to_owned()],
            middlewares: vec![middleware],
            service: "noop@internal".to_owned(),
            rule: "HostRegexp(`^.+$`)".to_owned(),
            priority: redirection.priority,
            ..Router::default()
        }),
    );
}

fn port_of(entry_point: &EntryPoint) -> String {
    entry_point.address.port().to_string()
}
