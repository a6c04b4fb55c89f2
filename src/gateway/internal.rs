//! What the gateway configures itself: internal services and their routers, redirections of entry points.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use portcullis_config::routing::http::{Middleware, Router};
use portcullis_config::tree::Tree;
use portcullis_config::{Name, Routing};
use portcullis_middlewares::chain::BoxedService;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service};

use crate::install::{EntryPoint, Install, Redirection};
use crate::net::drain::Drain;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::snapshot::Snapshot;

/// The internal services by name.
pub(super) struct Services {
    /// Taken by the compile context.
    pub(super) by_name: HashMap<Name, Arc<dyn BoxedService>>,
}

impl Services {
    /// Makes the services; those that show the newest snapshot get it with [`Services::begin`].
    pub(super) fn new(install: &Install, observer: &Arc<Observer>, drain: Drain) -> Self {
        let _ = (install, observer, drain);
        let mut by_name: HashMap<Name, Arc<dyn BoxedService>> = HashMap::new();
        by_name.insert(Name::verbatim("noop@internal"), Arc::new(Noop));
        Self { by_name }
    }

    /// Shows `live` from now on.
    pub(super) fn begin(&self, live: &Arc<Live<Snapshot>>) {
        let _ = live;
    }
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
    for (name, entry_point) in &install.entry_points {
        let redirections = entry_point.http.redirections.as_ref();
        if let Some(redirection) = redirections.and_then(|it| it.entry_point.as_ref()) {
            redirect(&mut routing, name, redirection, install);
        }
    }
    routing
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
    routing.http.middlewares.insert(middleware.clone(), Middleware { kind, settings });
    routing.http.routers.insert(
        router,
        Router {
            entry_points: vec![name.to_owned()],
            middlewares: vec![middleware],
            service: "noop@internal".to_owned(),
            rule: "HostRegexp(`^.+$`)".to_owned(),
            priority: redirection.priority,
            ..Router::default()
        },
    );
}

fn port_of(entry_point: &EntryPoint) -> String {
    entry_point.address.port().to_string()
}
