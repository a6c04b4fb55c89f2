//! Joining what many things say: servers of one service unite, equal definitions are one, different ones are none.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::problem::{Kind, Severity};
use portcullis_config::routing::{http, tcp, udp};
use portcullis_config::{Problem, Routing};

use super::{Contribution, Section};

/// Joins contributions, in their order, into one configuration.
///
/// A definition that is broken in one thing and sound in another serves as the sound one says, and the problem is
/// about the broken thing. Definitions that differ are all out: services and middlewares are dropped; routers keep
/// their places in the order and answer 404, so that no lower router takes over what they protected.
pub(crate) fn merge<'a>(
    contributions: impl IntoIterator<Item = &'a Contribution>,
) -> (Routing, Vec<Problem>) {
    let mut contributions: Vec<&Contribution> = contributions.into_iter().collect();
    contributions.sort_by(|a, b| (&a.order, &a.name).cmp(&(&b.order, &b.name)));
    let mut merge =
        Merge { contributions: &contributions, problems: Vec::new(), sound: HashSet::new() };
    let mut routing = Routing::default();
    let http = &mut routing.http;
    http.routers = merge.section(Section::HttpRouters, |from| &from.http.routers);
    http.services = merge.section(Section::HttpServices, |from| &from.http.services);
    http.middlewares = merge.section(Section::HttpMiddlewares, |from| &from.http.middlewares);
    let tcp = &mut routing.tcp;
    tcp.routers = merge.section(Section::TcpRouters, |from| &from.tcp.routers);
    tcp.services = merge.section(Section::TcpServices, |from| &from.tcp.services);
    tcp.middlewares = merge.section(Section::TcpMiddlewares, |from| &from.tcp.middlewares);
    routing.udp.routers = merge.section(Section::UdpRouters, |from| &from.udp.routers);
    routing.udp.services = merge.section(Section::UdpServices, |from| &from.udp.services);
    routing.tls.stores = merge.section(Section::TlsStores, |from| &from.tls.stores);
    let problems = merge.all_problems();
    (routing, problems)
}

struct Merge<'a> {
    contributions: &'a [&'a Contribution],
    problems: Vec<Problem>,
    /// Objects that at least one thing defines soundly.
    sound: HashSet<(Kind, String)>,
}

/// A definition and the thing it comes from.
type Defined<'a, T> = (&'a Contribution, &'a T);

impl<'a> Merge<'a> {
    fn section<T: Join + 'a>(
        &mut self,
        section: Section,
        pick: impl Fn(&'a Routing) -> &'a IndexMap<String, T>,
    ) -> IndexMap<String, T> {
        let mut names: BTreeMap<&'a str, Vec<Defined<'a, T>>> = BTreeMap::new();
        for contribution in self.contributions.iter().copied() {
            for (name, object) in pick(&contribution.routing) {
                names.entry(name).or_default().push((contribution, object));
            }
        }
        let mut merged = IndexMap::new();
        for (name, all) in names {
            let kind = section.kind();
            let (broken, sound): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|(from, _)| from.is_broken(kind, name));
            if !sound.is_empty() {
                self.sound.insert((kind, name.to_owned()));
            }
            let counting = if sound.is_empty() { broken } else { sound };
            self.join(section, name, &counting, &mut merged);
        }
        merged
    }

    fn join<T: Join + 'a>(
        &mut self,
        section: Section,
        name: &str,
        all: &[Defined<'a, T>],
        merged: &mut IndexMap<String, T>,
    ) {
        let Some(((first_from, first), rest)) = all.split_first() else { return };
        let mut whole = (*first).clone();
        let mut different: Vec<Defined<'a, T>> = Vec::new();
        for (from, object) in rest {
            if !whole.join(object) && !different.iter().any(|(_, known)| known == object) {
                different.push((from, object));
            }
        }
        if different.is_empty() {
            merged.insert(name.to_owned(), whole);
            return;
        }
        let mut names = vec![first_from.name.as_str()];
        names.extend(different.iter().map(|(from, _)| from.name.as_str()));
        let message = format!(
            "defined differently by the containers {}; give all the same labels, or each its own name",
            names.join(", ")
        );
        self.problems.push(Problem::error(section.kind(), name, message.clone()));
        if !section.is_routers() {
            return;
        }
        merged.insert(name.to_owned(), whole);
        for (from, object) in different {
            let name = format!("{name} ({})", from.name);
            self.problems.push(Problem::error(section.kind(), &name, message.clone()));
            merged.insert(name, object.clone());
        }
    }

    /// The problems of joining and those of the things; those that many things share are said once.
    fn all_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        let mut said = HashSet::new();
        for contribution in self.contributions {
            for problem in &contribution.problems {
                let mut problem = problem.clone();
                let about = &problem.about;
                if problem.severity == Severity::Error
                    && self.sound.contains(&(about.kind, about.name.clone()))
                {
                    problem.message =
                        format!("{} `{}`: {}", about.kind.noun(), about.name, problem.message);
                    problem.about.kind = Kind::Container;
                    problem.about.name.clone_from(&contribution.name);
                }
                let key = (problem.about.clone(), problem.message.clone(), problem.at.clone());
                if said.insert(key) {
                    problems.push(problem);
                }
            }
        }
        problems
    }
}

/// Objects that can be defined by many things at once.
trait Join: Clone + PartialEq {
    /// Takes in an equal definition, whose servers are added; `false` if `other` is a different one.
    fn join(&mut self, other: &Self) -> bool {
        self == other
    }
}

impl Join for Arc<http::Router> {}
impl Join for Arc<http::Middleware> {}
impl Join for http::Middleware {}
impl Join for tcp::Router {}
impl Join for udp::Router {}
impl Join for portcullis_config::routing::tls::Store {}

impl Join for Arc<http::Service> {
    fn join(&mut self, other: &Self) -> bool {
        join_services(Self::make_mut(self), other, http_servers, |server| &server.url)
    }
}

impl Join for tcp::Service {
    fn join(&mut self, other: &Self) -> bool {
        join_services(self, other, tcp_servers, |server| &server.address)
    }
}

impl Join for udp::Service {
    fn join(&mut self, other: &Self) -> bool {
        join_services(self, other, udp_servers, |server| &server.address)
    }
}

/// Services are equal if they are so apart from their servers, which unite; an address counts once.
fn join_services<S: Clone + PartialEq, T: Clone>(
    mine: &mut S,
    other: &S,
    servers: fn(&mut S) -> Option<&mut Vec<T>>,
    address: fn(&T) -> &String,
) -> bool {
    let mut other = other.clone();
    let mut all = servers(mine).map(std::mem::take).unwrap_or_default();
    let theirs = servers(&mut other).map(std::mem::take).unwrap_or_default();
    let equal = *mine == other;
    if equal {
        for server in theirs {
            if !all.iter().any(|known| address(known) == address(&server)) {
                all.push(server);
            }
        }
    }
    if let Some(slot) = servers(mine) {
        *slot = all;
    }
    equal
}

fn http_servers(service: &mut http::Service) -> Option<&mut Vec<http::Server>> {
    Some(&mut service.load_balancer.as_mut()?.servers)
}

fn tcp_servers(service: &mut tcp::Service) -> Option<&mut Vec<tcp::Server>> {
    Some(&mut service.load_balancer.as_mut()?.servers)
}

fn udp_servers(service: &mut udp::Service) -> Option<&mut Vec<udp::Server>> {
    Some(&mut service.load_balancer.as_mut()?.servers)
}
