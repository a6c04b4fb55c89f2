//! The configurations of all providers in one: full names, default entry points, what routers take from entry points.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::pieces::Pieces;
use portcullis_config::problem::Kind;
use portcullis_config::routing::http::{Observability, Router};
use portcullis_config::routing::mesh::Mesh;
use portcullis_config::routing::tcp;
use portcullis_config::routing::tls::Tls;
use portcullis_config::{Name, Problem, Routing};
use portcullis_providers::Published;

use crate::snapshot::configuration::{ByDefault, Configuration, EntryPointDefaults};

/// Merges what providers said, given in the order that breaks ties of priority.
pub fn merge(
    said: &[(Arc<str>, Arc<Published>)],
    entry_points: &[EntryPointDefaults],
) -> Configuration {
    let mut merged = Configuration::default();
    let (mut copies, pieces) = (HashMap::new(), Pieces::begin());
    for (provider, published) in said {
        let Routing { http, tcp, udp, tls, mesh, places } = &published.routing;
        merged.places.push((Arc::clone(provider), Arc::clone(places)));
        merged.routers.reserve(http.routers.len());
        for (name, router) in &http.routers {
            let name = Name::qualify(name, provider);
            let names = add_router(&mut merged.routers, &name, router, entry_points);
            if names != [name.clone()] {
                copies.insert(name, names);
            }
            pieces.step();
        }
        qualify_into(&mut merged.services, &http.services, provider);
        qualify_into(&mut merged.middlewares, &http.middlewares, provider);
        qualify_into(&mut merged.servers_transports, &http.servers_transports, provider);
        extend_text(&mut merged.tcp.routers, &tcp.routers, provider);
        extend_text(&mut merged.tcp.servers_transports, &tcp.servers_transports, provider);
        extend_text(&mut merged.tcp.services, &tcp.services, provider);
        extend_text(&mut merged.tcp.middlewares, &tcp.middlewares, provider);
        extend_text(&mut merged.udp.routers, &udp.routers, provider);
        extend_text(&mut merged.udp.services, &udp.services, provider);
        for problem in &published.problems {
            merged.problems.push(qualify_problem(problem.clone(), provider));
        }
        merge_tls(&mut merged, tls, provider);
        merge_mesh(&mut merged, mesh, provider);
    }
    adopt(&mut merged.routers, &copies);
    bind_by_default(&mut merged.tcp.routers, entry_points);
    refuse_doubles(&mut merged, said);
    merged
}

fn qualify_into<T: Clone>(
    into: &mut IndexMap<Name, T>,
    from: &IndexMap<String, T>,
    provider: &str,
) {
    into.reserve(from.len());
    into.extend(from.iter().map(|(name, value)| (Name::qualify(name, provider), value.clone())));
}

fn extend_text<T: Clone>(
    into: &mut IndexMap<String, T>,
    from: &IndexMap<String, T>,
    provider: &str,
) {
    let qualified = |name: &String| Name::qualify(name, provider).to_string();
    into.extend(from.iter().map(|(name, value)| (qualified(name), value.clone())));
}

/// TCP routers without entry points listen where HTTP routers without any do; they take nothing else from them.
fn bind_by_default(
    routers: &mut IndexMap<String, tcp::Router>,
    entry_points: &[EntryPointDefaults],
) {
    let defaults = entry_points.iter().filter(|it| it.by_default == ByDefault::Yes);
    let names: Vec<String> = defaults.map(|it| it.name.to_string()).collect();
    for router in routers.values_mut().filter(|router| router.entry_points.is_empty()) {
        router.entry_points.clone_from(&names);
    }
}

/// Objects are named in full from here on; files, containers and the like keep the name they have.
fn qualify_problem(mut problem: Problem, provider: &str) -> Problem {
    let named = !matches!(
        problem.about.kind,
        Kind::File
            | Kind::Container
            | Kind::Provider
            | Kind::Install
            | Kind::EntryPoint
            | Kind::MeshService
            | Kind::MeshNode
    );
    let is_default = problem.about.name == "default";
    let global = matches!(problem.about.kind, Kind::TlsOptions | Kind::TlsStore) && is_default;
    if named && !global && problem.about.kind != Kind::TlsCertificate {
        problem.about.name = Name::qualify(&problem.about.name, provider).to_string();
    }
    problem
}

/// Gives the children of a router that became several to each of these.
fn adopt(routers: &mut IndexMap<Name, Arc<Router>>, copies: &HashMap<Name, Vec<Name>>) {
    if copies.is_empty() {
        return;
    }
    for (name, router) in routers.iter_mut().filter(|(_, router)| !router.parent_refs.is_empty()) {
        let router = Arc::make_mut(router);
        let parents =
            std::mem::take(&mut router.parent_refs).into_iter().flat_map(|reference| match copies
                .get(&Name::qualify(&reference, name.provider()))
            {
                Some(names) => names.iter().map(Name::to_string).collect(),
                None => vec![reference],
            });
        router.parent_refs = parents.collect();
    }
}

/// Adds a router and returns the names it got; one on several entry points, of which some have settings for their
/// routers, is added once for each of those. Traefik: `<entry point>-<router>@<provider>`.
fn add_router(
    routers: &mut IndexMap<Name, Arc<Router>>,
    name: &Name,
    router: &Arc<Router>,
    entry_points: &[EntryPointDefaults],
) -> Vec<Name> {
    if !router.parent_refs.is_empty() {
        routers.insert(name.clone(), Arc::clone(router));
        return vec![name.clone()];
    }
    let wanted: Vec<&str> = if router.entry_points.is_empty() {
        let defaults = entry_points.iter().filter(|e| e.by_default == ByDefault::Yes);
        defaults.map(|entry_point| &*entry_point.name).collect()
    } else {
        router.entry_points.iter().map(String::as_str).collect()
    };
    let several = wanted.len() > 1;
    let (mut rest, mut names) = (Vec::new(), Vec::new());
    for entry_point in wanted {
        let defaults = entry_points.iter().find(|e| &*e.name == entry_point && has_model(e));
        let Some(defaults) = defaults else {
            rest.push(entry_point);
            continue;
        };
        let own =
            if several { Name::verbatim(&format!("{entry_point}-{name}")) } else { name.clone() };
        routers.insert(own.clone(), with_defaults(Router::clone(router), defaults).into());
        names.push(own);
    }
    if !rest.is_empty() || !several && !routers.contains_key(name) {
        let mut router = Arc::clone(router);
        // Only what differs from what the provider holds is copied.
        if router.entry_points != rest {
            Arc::make_mut(&mut router).entry_points = rest.into_iter().map(str::to_owned).collect();
        }
        routers.insert(name.clone(), router);
        names.push(name.clone());
    }
    names
}

fn has_model(entry_point: &EntryPointDefaults) -> bool {
    !entry_point.middlewares.is_empty()
        || entry_point.tls.is_some()
        || entry_point.observability != Observability::default()
}

fn with_defaults(mut router: Router, defaults: &EntryPointDefaults) -> Router {
    router.entry_points = vec![defaults.name.to_string()];
    let mut middlewares = defaults.middlewares.clone();
    middlewares.append(&mut router.middlewares);
    router.middlewares = middlewares;
    // Traefik: the settings are taken as a block, not field by field.
    router.tls = router.tls.or_else(|| defaults.tls.clone());
    let own = router.observability.unwrap_or_default();
    let common = &defaults.observability;
    let observability = Observability {
        access_logs: own.access_logs.or(common.access_logs),
        metrics: own.metrics.or(common.metrics),
        tracing: own.tracing.or(common.tracing),
        trace_verbosity: match own.trace_verbosity.as_str() {
            "" => common.trace_verbosity.clone(),
            _ => own.trace_verbosity,
        },
    };
    router.observability = (observability != Observability::default()).then_some(observability);
    router
}

fn merge_tls(merged: &mut Configuration, tls: &Tls, provider: &str) {
    merged.tls.certificates.extend(tls.certificates.iter().cloned());
    for (name, options) in &tls.options {
        let name = match name.as_str() {
            "default" => name.clone(),
            _ => Name::qualify(name, provider).to_string(),
        };
        merged.tls.options.insert(name, options.clone());
    }
    for (name, store) in &tls.stores {
        merged.tls.stores.insert(name.clone(), store.clone());
    }
}

/// Workloads and policies belong to their provider. Services and nodes have one name in the whole mesh: the first one of
/// a name stays, so that no provider can take over what another one serves.
fn merge_mesh(merged: &mut Configuration, mesh: &Mesh, provider: &str) {
    extend_text(&mut merged.mesh.workloads, &mesh.workloads, provider);
    extend_text(&mut merged.mesh.policies, &mesh.policies, provider);
    for (name, service) in &mesh.services {
        let mut service = service.clone();
        let all = service.workloads.iter_mut();
        for reference in
            all.chain(&mut service.middlewares.client).chain(&mut service.middlewares.server)
        {
            *reference = Name::qualify(reference, provider).to_string();
        }
        if merged.mesh.services.contains_key(name) {
            merged.problems.push(defined_before(Kind::MeshService, name));
        } else {
            merged.mesh.services.insert(name.clone(), service);
        }
    }
    for (name, node) in &mesh.nodes {
        match merged.mesh.nodes.get(name) {
            Some(known) if known != node => {
                merged.problems.push(defined_before(Kind::MeshNode, name));
            }
            Some(_) => {}
            None => drop(merged.mesh.nodes.insert(name.clone(), node.clone())),
        }
    }
}

fn defined_before(kind: Kind, name: &str) -> Problem {
    let message = "another provider defines it, too; the first one is used";
    Problem::warning(kind, name, message)
}

/// Traefik: options or a store called `default` that two providers define are nobody's.
fn refuse_doubles(merged: &mut Configuration, said: &[(Arc<str>, Arc<Published>)]) {
    let definers = |has: &dyn Fn(&Tls) -> bool| -> Vec<&str> {
        let tls = said.iter().filter(|(_, published)| has(&published.routing.tls));
        tls.map(|(provider, _)| &**provider).collect()
    };
    let options = definers(&|tls| tls.options.contains_key("default"));
    if options.len() > 1 {
        merged.tls.options.shift_remove("default");
        let message = format!("defined by several providers: {}", options.join(", "));
        merged.problems.push(Problem::error(Kind::TlsOptions, "default", message));
    }
    let stores = definers(&|tls| tls.stores.contains_key("default"));
    if stores.len() > 1 {
        merged.tls.stores.shift_remove("default");
        let message = format!("defined by several providers: {}", stores.join(", "));
        merged.problems.push(Problem::error(Kind::TlsStore, "default", message));
    }
}

#[cfg(test)]
mod tests;
