//! From a tree to a [`Routing`], object by object, so that one bad object costs only itself.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use super::http::Middleware;
use super::places::Places;
use super::{Routing, http, mesh, tcp};
use crate::pieces::Pieces;
use crate::problem::{Kind, Problem};
use crate::tree::decode::{Mismatch, decode, decode_collect, elements, nearest};
use crate::tree::{Node, Tree};

/// See [`Routing::from_tree`].
pub(super) fn routing(tree: &Tree) -> (Routing, Vec<Problem>) {
    let mut routing = Routing::default();
    let mut problems = Vec::new();
    for (part, tree) in fields(tree, "", &["http", "tcp", "udp", "tls", "mesh"], &mut problems) {
        match part {
            "http" => http(tree, &mut routing, &mut problems),
            "tcp" => tcp(tree, &mut routing, &mut problems),
            "udp" => udp(tree, &mut routing, &mut problems),
            "mesh" => mesh(tree, &mut routing, &mut problems),
            _ => tls(tree, &mut routing, &mut problems),
        }
    }
    (routing, problems)
}

fn http(tree: &Tree, routing: &mut Routing, problems: &mut Vec<Problem>) {
    let (http, places) = (&mut routing.http, Arc::make_mut(&mut routing.places));
    let sections = ["routers", "services", "middlewares", "serversTransports", "models"];
    for (section, tree) in fields(tree, "http", &sections, problems) {
        let mut part = Part { path: format!("http.{section}"), tree, problems, places };
        match section {
            "routers" => part.read(Kind::HttpRouter, router::<http::Router>, &mut http.routers),
            "services" => part.read(Kind::HttpService, whole::<http::Service>, &mut http.services),
            "middlewares" => part.read(Kind::HttpMiddleware, middleware, &mut http.middlewares),
            "serversTransports" => {
                part.read(Kind::HttpServersTransport, whole, &mut http.servers_transports);
            }
            _ => {}
        }
    }
}

fn tcp(tree: &Tree, routing: &mut Routing, problems: &mut Vec<Problem>) {
    let (tcp, places) = (&mut routing.tcp, Arc::make_mut(&mut routing.places));
    let sections = ["routers", "services", "middlewares", "serversTransports", "models"];
    for (section, tree) in fields(tree, "tcp", &sections, problems) {
        let mut part = Part { path: format!("tcp.{section}"), tree, problems, places };
        match section {
            "routers" => part.read(Kind::TcpRouter, router, &mut tcp.routers),
            "services" => part.read(Kind::TcpService, whole, &mut tcp.services),
            "middlewares" => part.read(Kind::TcpMiddleware, middleware, &mut tcp.middlewares),
            "serversTransports" => {
                part.read(Kind::TcpServersTransport, whole, &mut tcp.servers_transports);
            }
            _ => {}
        }
    }
}

fn udp(tree: &Tree, routing: &mut Routing, problems: &mut Vec<Problem>) {
    let (udp, places) = (&mut routing.udp, Arc::make_mut(&mut routing.places));
    for (section, tree) in fields(tree, "udp", &["routers", "services"], problems) {
        let mut part = Part { path: format!("udp.{section}"), tree, problems, places };
        match section {
            "routers" => part.read(Kind::UdpRouter, whole, &mut udp.routers),
            _ => part.read(Kind::UdpService, whole, &mut udp.services),
        }
    }
}

fn tls(tree: &Tree, routing: &mut Routing, problems: &mut Vec<Problem>) {
    let (tls, places) = (&mut routing.tls, Arc::make_mut(&mut routing.places));
    for (section, tree) in fields(tree, "tls", &["certificates", "options", "stores"], problems) {
        let mut part = Part { path: format!("tls.{section}"), tree, problems, places };
        match section {
            "certificates" => part.read_list(Kind::TlsCertificate, &mut tls.certificates),
            "options" => part.read(Kind::TlsOptions, whole, &mut tls.options),
            _ => part.read(Kind::TlsStore, whole, &mut tls.stores),
        }
    }
}

fn mesh(tree: &Tree, routing: &mut Routing, problems: &mut Vec<Problem>) {
    let (mesh, places) = (&mut routing.mesh, Arc::make_mut(&mut routing.places));
    let sections = ["workloads", "services", "policies", "nodes"];
    for (section, tree) in fields(tree, "mesh", &sections, problems) {
        let mut part = Part { path: format!("mesh.{section}"), tree, problems, places };
        match section {
            "workloads" => part.read(Kind::MeshWorkload, whole, &mut mesh.workloads),
            "services" => part.read(Kind::MeshService, whole, &mut mesh.services),
            "policies" => part.read(Kind::MeshPolicy, policy, &mut mesh.policies),
            _ => part.read(Kind::MeshNode, whole, &mut mesh.nodes),
        }
    }
}

/// The entries of the map at `path` under the exact names of its fields; anything else is a problem.
fn fields<'a>(
    tree: &'a Tree,
    path: &str,
    names: &[&'static str],
    problems: &mut Vec<Problem>,
) -> Vec<(&'static str, &'a Tree)> {
    let mut known: Vec<(&'static str, &Tree)> = Vec::new();
    for (key, tree) in map(tree, path, problems) {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(name) = names.iter().copied().find(|name| name.eq_ignore_ascii_case(key)) else {
            let hint = nearest(key, names)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            problems.push(of_source(format!("unknown field `{full}`{hint}"), tree));
            continue;
        };
        if known.iter().any(|(other, _)| *other == name) {
            problems.push(of_source(format!("`{full}`: given twice, in two spellings"), tree));
            continue;
        }
        known.push((name, tree));
    }
    known
}

/// The entries of the map at `path`; anything but a map is a problem.
fn map<'a>(
    tree: &'a Tree,
    path: &str,
    problems: &mut Vec<Problem>,
) -> impl Iterator<Item = (&'a String, &'a Tree)> + use<'a> {
    let found = match &tree.node {
        Node::Map(_) => None,
        // Flat pairs write an empty map so.
        Node::Scalar(text) if text.is_empty() || text.eq_ignore_ascii_case("true") => None,
        Node::Scalar(_) => Some("a single value"),
        Node::List(_) => Some("a list"),
    };
    if let Some(found) = found {
        let place = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        problems.push(of_source(format!("{place}expected a map, found {found}"), tree));
    }
    tree.as_map().into_iter().flatten()
}

/// A problem of the source as a whole.
fn of_source(message: String, tree: &Tree) -> Problem {
    Problem::error(Kind::File, "", message).at(tree.at.clone())
}

/// Types one object: the object, unless it must be left out, and what does not fit.
type Read<T> = fn(&Tree) -> (Option<T>, Vec<Mismatch>);

/// One section of the configuration while it is typed.
struct Part<'a> {
    path: String,
    tree: &'a Tree,
    problems: &'a mut Vec<Problem>,
    places: &'a mut Places,
}

impl Part<'_> {
    fn read<T, O: From<T>>(
        &mut self,
        kind: Kind,
        read: Read<T>,
        objects: &mut IndexMap<String, O>,
    ) {
        objects.reserve_exact(self.tree.as_map().map_or(0, IndexMap::len));
        let pieces = Pieces::begin();
        for (name, tree) in map(self.tree, &self.path, self.problems) {
            let (object, mismatches) = read(tree);
            if let Some(at) = &tree.at {
                self.places.add(kind, name, at.clone());
            }
            self.report(kind, name, mismatches, tree);
            if let Some(object) = object {
                objects.insert(name.clone(), object.into());
            }
            pieces.step();
        }
    }

    fn read_list<T: DeserializeOwned>(&mut self, kind: Kind, objects: &mut Vec<T>) {
        let trees = match elements(self.tree) {
            Ok(trees) => trees,
            Err(mismatch) => {
                let message = format!("`{}`: {}", self.path, mismatch.message);
                self.problems.push(of_source(message, self.tree));
                return;
            }
        };
        for (index, tree) in trees.into_iter().enumerate() {
            let (object, mismatches) = whole(tree);
            self.report(kind, &format!("{}[{index}]", self.path), mismatches, tree);
            objects.extend(object);
        }
    }

    fn report(&mut self, kind: Kind, name: &str, mismatches: Vec<Mismatch>, tree: &Tree) {
        self.problems.extend(mismatches.into_iter().map(|mismatch| {
            let at = mismatch.at.or_else(|| tree.at.clone());
            Problem::error(kind, name, mismatch.message).at(at)
        }));
    }
}

/// An object that is left out unless all of it fits.
fn whole<T: DeserializeOwned>(tree: &Tree) -> (Option<T>, Vec<Mismatch>) {
    let (object, mismatches) = decode_collect(tree);
    (object.filter(|_| mismatches.is_empty()), mismatches)
}

/// A policy is never left out: what it would have refused must not pass because of a spelling mistake.
fn policy(tree: &Tree) -> (Option<mesh::Policy>, Vec<Mismatch>) {
    let (policy, mismatches) = decode_collect::<mesh::Policy>(tree);
    let mut policy = policy.unwrap_or_default();
    policy.broken = !mismatches.is_empty();
    (Some(policy), mismatches)
}

fn middleware(tree: &Tree) -> (Option<Middleware>, Vec<Mismatch>) {
    match decode(tree) {
        Ok(middleware) => (Some(middleware), Vec::new()),
        Err(mismatch) => (None, vec![mismatch]),
    }
}

/// A router that stays if what makes it catch requests can be read.
fn router<T: DeserializeOwned + Catches>(tree: &Tree) -> (Option<T>, Vec<Mismatch>) {
    let (router, mismatches) = decode_collect(tree);
    (router.filter(|router: &T| mismatches.is_empty() || router.catches()), mismatches)
}

/// Whether a router that lost fields still knows what it is to catch.
trait Catches {
    fn catches(&self) -> bool;
}

impl Catches for http::Router {
    fn catches(&self) -> bool {
        !self.rule.is_empty() || !self.parent_refs.is_empty()
    }
}

impl Catches for tcp::Router {
    fn catches(&self) -> bool {
        !self.rule.is_empty()
    }
}
