//! `explain`: which router would take a request, and why each one that looks better does not.

mod asked;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::gateway::preview::{EntryPoints, Preview, preview};
use crate::http::routes::{Explained, Routes};
use crate::install::Install;
use crate::snapshot::{EntryPoint, Leaf, Route};

use super::command::{Explain, Origin};
use super::files::Disk;
use super::{line, load};
use asked::{Asked, Scheme};

/// How many routers that do not match are listed.
const LISTED: usize = 12;

/// The explanation, for people.
pub(super) fn run(
    explain: &Explain,
    environment: &[(String, String)],
    disk: &Disk,
) -> Result<String, String> {
    let flags = match &explain.origin {
        Origin::Flags(flags) => flags,
        Origin::Api(_) => return Err("asking a running gateway is not served yet".to_owned()),
    };
    let install = load(flags, environment, disk)
        .map_err(|problems| problems.iter().map(line).collect::<Vec<_>>().join("\n"))?
        .install;
    let asked = Asked::parse(explain)?;
    let preview =
        preview(&install, EntryPoints::Known, &[]).map_err(|error| format!("{error:#}"))?;
    let chosen = chosen(&install, explain, &asked)?;
    let mut text = String::new();
    for (name, entry_point) in preview.entry_points().filter(|(name, _)| chosen.contains(name)) {
        let Some(configured) = install.entry_points.get(name) else { continue };
        let asked = asked.clone().arrived(&configured.http)?;
        describe(&mut text, &preview, name, entry_point, &asked);
    }
    Ok(text)
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
    preview: &Preview,
    name: &str,
    entry_point: &EntryPoint,
    asked: &Asked,
) {
    let (routes, kind) = match asked.scheme {
        Scheme::Http => (&entry_point.plain, "connections in the clear"),
        Scheme::Https => (&entry_point.secure, "TLS connections"),
    };
    let _ = writeln!(text, "entry point {name}, {kind}");
    if !explain_table(text, preview, routes, asked, "  ") {
        let (other, scheme) = match asked.scheme {
            Scheme::Http => (&entry_point.secure, "https"),
            Scheme::Https => (&entry_point.plain, "http"),
        };
        if let Some(found) = other.explain(asked).find(Explained::matches) {
            let router = &found.target.series.name;
            let _ = writeln!(text, "  router {router} would take it with {scheme}://");
        }
    }
}

/// Says who takes the request in one table. Returns whether anybody does.
fn explain_table(
    text: &mut String,
    preview: &Preview,
    routes: &Routes<Arc<Route>>,
    asked: &Asked,
    margin: &str,
) -> bool {
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
        Some(taker) => explain_taker(text, preview, taker, asked, margin),
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
    taker.is_some()
}

fn explain_taker(
    text: &mut String,
    preview: &Preview,
    taker: &Explained<'_, Arc<Route>>,
    asked: &Asked,
    margin: &str,
) {
    let route = taker.target;
    let name = &route.series.name;
    let _ = writeln!(text, "{margin}router {name} takes it");
    let _ = writeln!(text, "{margin}  rule         {} (priority {})", taker.rule, taker.priority);
    let item = preview.snapshot.report.routers.get(&**name);
    if let Some(item) = item.filter(|item| !item.config.middlewares.is_empty()) {
        let _ = writeln!(text, "{margin}  middlewares  {}", item.config.middlewares.join(", "));
    }
    match &route.leaf {
        Leaf::Service(_) => {
            let _ = writeln!(text, "{margin}  service      {}", route.series.service);
        }
        Leaf::Broken => {
            let _ = writeln!(text, "{margin}  answers 404, because something of it is broken");
        }
        Leaf::Children(routes) => {
            let _ = writeln!(
                text,
                "{margin}  its children, if the middlewares leave the request as it is"
            );
            explain_table(text, preview, routes, asked, &format!("{margin}    "));
        }
    }
    for error in item.into_iter().flat_map(|item| &item.errors) {
        let _ = writeln!(text, "{margin}  problem      {error}");
    }
}
