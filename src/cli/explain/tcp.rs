//! TCP routers, which may take a connection before HTTP sees a request.

use std::fmt::Write as _;

use portcullis_config::routing::tcp::{Router, RouterTls};
use serde_json::{Map, Value};

use super::asked::{Asked, Scheme};
use super::running::{texts, typed};
use super::{Known, Outcome, Shown, State};
use crate::http::matcher::Subject as _;
use crate::snapshot::EntryPoint;
use crate::snapshot::report::{Item, Status};
use crate::tcp::routes::Seen;
use crate::tcp::table::Taker;

/// Says whether a TCP router takes the connection, as a browser would make it.
pub(super) fn explain(
    text: &mut String,
    known: &Known,
    entry_point: &EntryPoint,
    asked: &Asked,
) -> Outcome {
    let browser: [Box<[u8]>; 2] = [Box::from(&b"h2"[..]), Box::from(&b"http/1.1"[..])];
    let (server_name, protocols) = match asked.scheme {
        Scheme::Http => ("", &[][..]),
        Scheme::Https => (asked.host(), &browser[..]),
    };
    let seen = Seen { server_name, protocols, client_ip: asked.client_ip() };
    let taker = match asked.scheme {
        Scheme::Http => entry_point.tcp.plain(&seen),
        Scheme::Https => entry_point.tcp.secure(&seen),
    };
    let Taker::Tcp(route) = taker else { return Outcome::NotTaken };
    let _ = writeln!(text, "  TCP router {} takes the connection, before HTTP", route.name);
    let unknown = Shown::default();
    let shown = known.tcp_routers.get(&*route.name).unwrap_or(&unknown);
    if !shown.middlewares.is_empty() {
        let _ = writeln!(text, "    middlewares  {}", shown.middlewares.join(", "));
    }
    if !shown.service.is_empty() {
        let _ = writeln!(text, "    service      {}", shown.service);
    }
    if shown.state == State::Broken {
        let _ = writeln!(text, "    closes it, because something of it is broken");
    }
    for error in &shown.errors {
        let _ = writeln!(text, "    problem      {error}");
    }
    Outcome::Taken
}

/// What a report says of a router.
pub(super) fn shown(router: &Item<Router>) -> Shown {
    Shown {
        middlewares: router.config.middlewares.clone(),
        service: router.config.service.clone(),
        servers: Vec::new(),
        state: if router.status == Status::Disabled { State::Broken } else { State::Serving },
        errors: router.errors.clone(),
    }
}

/// A router as far as it decides who takes a connection, and what the API says of it.
pub(super) fn told(told: &Value) -> Result<(Router, Shown), String> {
    let mut kept = Map::new();
    for key in ["entryPoints", "rule", "priority"] {
        if let Some(value) = told.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let mut router: Router = typed(&Value::Object(kept))?;
    router.tls = told.get("tls").map(|_| RouterTls::default());
    let shown = Shown {
        middlewares: texts(&told["middlewares"]),
        service: told["service"].as_str().unwrap_or_default().to_owned(),
        servers: Vec::new(),
        state: if told["status"] == "disabled" { State::Broken } else { State::Serving },
        errors: texts(&told["error"]),
    };
    Ok((router, shown))
}
