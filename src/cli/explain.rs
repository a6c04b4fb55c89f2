//! `explain`: which router would take a request, and why each one that looks better does not.

mod asked;
mod running;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::http::Router;

use crate::gateway::preview::{EntryPoints, Preview, preview};
use crate::http::routes::{Explained, Routes};
use crate::install::Install;
use crate::snapshot::report::{Item, Report, Status};
use crate::snapshot::{EntryPoint, Leaf, Route};

use super::command::{Explain, Origin};
use super::files::Disk;
use super::{line, load};
use asked::{Asked, Scheme};

/// How many routers that do not match are listed.
const LISTED: usize = 12;

/// An explanation.
#[derive(Debug)]
pub(super) struct Explanation {
    /// For people.
    pub(super) text: String,
    /// For scripts.
    pub(super) outcome: Outcome,
}

/// Whether a router takes the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// None does.
    NotTaken,
    /// One does, at one of the entry points at least.
    Taken,
}

/// Explains what happens to a request.
pub(super) fn run(
    explain: &Explain,
    environment: &[(String, String)],
    disk: &Disk,
) -> Result<Explanation, String> {
    let asked = Asked::parse(explain)?;
    let known = match &explain.origin {
        Origin::Flags(flags) => from_files(flags, environment, disk)?,
        Origin::Api(url) => running::ask(url)?,
    };
    let chosen = chosen(&known.install, explain, &asked)?;
    let (mut text, mut outcome) = (String::new(), Outcome::NotTaken);
    for (name, entry_point) in known.preview.entry_points() {
        let configured = known.install.entry_points.get(name);
        let Some(configured) = configured.filter(|_| chosen.contains(&name)) else { continue };
        let asked = asked.clone().arrived(&configured.http)?;
        outcome = outcome.max(describe(&mut text, &known, name, entry_point, &asked));
    }
    Ok(Explanation { text, outcome })
}

/// A configuration that explains requests.
struct Known {
    install: Install,
    preview: Preview,
    /// What is shown of each router.
    routers: HashMap<String, Shown>,
    /// The same for TCP routers.
    tcp_routers: HashMap<String, Shown>,
}

/// What is shown of a router besides its rule.
#[derive(Debug, Default)]
struct Shown {
    /// With their kinds.
    middlewares: Vec<String>,
    service: String,
    /// The servers of the service, if it has its own.
    servers: Vec<String>,
    state: State,
    errors: Vec<String>,
}

/// Whether a router serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Serving,
    Broken,
}

fn from_files(
    flags: &[String],
    environment: &[(String, String)],
    disk: &Disk,
) -> Result<Known, String> {
    let install = load(flags, environment, disk)
        .map_err(|problems| problems.iter().map(line).collect::<Vec<_>>().join("\n"))?
        .install;
    let preview =
        preview(&install, EntryPoints::Known, &[]).map_err(|error| format!("{error:#}"))?;
    let report = &preview.snapshot.report;
    let routers =
        report.routers.iter().map(|(name, item)| (name.to_string(), shown(report, name, item)));
    let routers = routers.collect();
    let tcp_routers =
        report.tcp.routers.iter().map(|(name, item)| (name.to_string(), tcp::shown(item)));
    let tcp_routers = tcp_routers.collect();
    Ok(Known { install, preview, routers, tcp_routers })
}

/// What a report says of a router.
fn shown(report: &Report, name: &Name, router: &Item<Router>) -> Shown {
    let Router { middlewares, service, .. } = &*router.config;
    let with_kind = |reference: &String| {
        let middleware = report.middlewares.get(&Name::qualify(reference, name.provider()));
        match middleware {
            Some(middleware) => format!("{reference} ({})", middleware.config.kind),
            None => reference.clone(),
        }
    };
    let service = (!service.is_empty()).then(|| Name::qualify(service, name.provider()));
    let balancer = service
        .as_ref()
        .and_then(|service| report.services.get(service)?.config.load_balancer.as_ref());
    let servers = balancer.into_iter().flat_map(|balancer| &balancer.servers);
    Shown {
        middlewares: middlewares.iter().map(with_kind).collect(),
        servers: servers.map(|server| server.url.clone()).collect(),
        service: service.map(|service| service.to_string()).unwrap_or_default(),
        state: if router.status == Status::Disabled { State::Broken } else { State::Serving },
        errors: router.errors.clone(),
    }
}

/// The entry points where the request may arrive: the one that is named, or all at the URL's port, or all.
fn chosen<'a>(
    install: &'a Install,
    explain: &'a Explain,
    asked: &Asked,
) -> Result<Vec<&'a str>, String> {
    let names = || install.entry_points.keys().map(String::as_str);
    if let Some(name) = explain.entry_point.as_deref() {
        let known = names().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        let unknown = || format!("there is no entry point `{name}`; there are {known}");
        return names().find(|it| *it == name).map(|it| vec![it]).ok_or_else(unknown);
    }
    let fits = |name: &&str| {
        install.entry_points.get(*name).is_some_and(|it| it.address.port() == asked.port)
    };
    let fitting: Vec<&str> = names().filter(fits).collect();
    Ok(if fitting.is_empty() { names().collect() } else { fitting })
}

/// What happens to the request at one entry point.
fn describe(
    text: &mut String,
    known: &Known,
    name: &str,
    entry_point: &EntryPoint,
    asked: &Asked,
) -> Outcome {
    let (routes, kind) = match asked.scheme {
        Scheme::Http => (&entry_point.plain, "connections in the clear"),
        Scheme::Https => (&entry_point.secure, "TLS connections"),
    };
    let _ = writeln!(text, "entry point {name}, {kind}");
    if tcp::explain(text, known, entry_point, asked) == Outcome::Taken {
        return Outcome::Taken;
    }
    let outcome = explain_table(text, known, routes, asked, "  ");
    if outcome == Outcome::NotTaken {
        let (other, scheme) = match asked.scheme {
            Scheme::Http => (&entry_point.secure, "https"),
            Scheme::Https => (&entry_point.plain, "http"),
        };
        if let Some(found) = other.explain(asked).find(Explained::matches) {
            let router = &found.target.series.name;
            let _ = writeln!(text, "  router {router} would take it with {scheme}://");
        }
    }
    outcome
}

/// Says who takes the request in one table.
fn explain_table(
    text: &mut String,
    known: &Known,
    routes: &Routes<Arc<Route>>,
    asked: &Asked,
    margin: &str,
) -> Outcome {
    let mut missed = Vec::new();
    let mut taker = None;
    for explained in routes.explain(asked) {
        if explained.matches() {
            taker = Some(explained);
            break;
        }
        missed.push(explained);
    }
    match &taker {
        Some(taker) => explain_taker(text, known, taker, asked, margin),
        None => {
            let _ = writeln!(text, "{margin}no router takes it: 404");
        }
    }
    if !missed.is_empty() {
        let _ = writeln!(text, "{margin}routers that were asked before, and what does not fit");
    }
    let hidden = missed.len().saturating_sub(LISTED);
    // The nearest misses tell most.
    missed.sort_by_key(|explained| explained.failed.len());
    for explained in missed.iter().take(LISTED) {
        let (name, priority) = (&explained.target.series.name, explained.priority);
        let failed = explained.failed.join(", ");
        let _ = writeln!(text, "{margin}  {name} (priority {priority}): {failed}");
    }
    if hidden > 0 {
        let _ = writeln!(text, "{margin}  and {hidden} more");
    }
    if taker.is_some() { Outcome::Taken } else { Outcome::NotTaken }
}

fn explain_taker(
    text: &mut String,
    known: &Known,
    taker: &Explained<'_, Arc<Route>>,
    asked: &Asked,
    margin: &str,
) {
    let route = taker.target;
    let name = &route.series.name;
    let _ = writeln!(text, "{margin}router {name} takes it");
    let _ = writeln!(text, "{margin}  rule         {} (priority {})", taker.rule, taker.priority);
    let unknown = Shown::default();
    let shown = known.routers.get(&**name).unwrap_or(&unknown);
    if !shown.middlewares.is_empty() {
        let _ = writeln!(text, "{margin}  middlewares  {}", shown.middlewares.join(", "));
    }
    if !shown.service.is_empty() {
        let _ = writeln!(text, "{margin}  service      {}", shown.service);
    }
    for server in &shown.servers {
        let _ = writeln!(text, "{margin}    server     {server}");
    }
    if shown.state == State::Broken {
        let _ = writeln!(text, "{margin}  answers 404, because something of it is broken");
    }
    if let Leaf::Children(routes) = &route.leaf {
        let condition = "if the middlewares leave the request as it is";
        let _ = writeln!(text, "{margin}  its children, {condition}");
        explain_table(text, known, routes, asked, &format!("{margin}    "));
    }
    for error in &shown.errors {
        let _ = writeln!(text, "{margin}  problem      {error}");
    }
}
