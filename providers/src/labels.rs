//! Labels: what containers say about themselves, turned into a routing configuration.
//!
//! Every provider of labelled things (containers, service instances, tasks) shares this. The way of one thing:
//! [`read::Labels`] sorts its labels into objects, [`fill`] adds what the labels left out (services, routers, rules,
//! addresses), `Routing::from_tree` types it, and [`merge`] joins the things that speak of the same object.
//!
//! Differences from Traefik, on purpose: a mistake in one object takes that object out, not the whole container; a
//! router whose rule can be read keeps its place in the order and answers 404; labels may begin with `portcullis.`,
//! which wins where both families set the same field.

mod fill;
mod merge;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_config::problem::{About, Kind, Severity};
use portcullis_config::routing::http::DefaultRule;
use portcullis_config::template::Template;
use portcullis_config::tree::Tree;
use portcullis_config::{Problem, Routing};

pub(crate) use merge::merge;
pub(crate) use read::Labels;

/// A labelled thing: a container, an instance of a service.
pub(crate) struct Instance<'a> {
    /// What users call it; problems about it as a whole go by this name.
    pub(crate) name: &'a str,
    /// Its place among others: servers and definitions come in this order.
    pub(crate) order: String,
    /// The name of the service and the router that it has without labels; normalised.
    pub(crate) service: &'a str,
    /// All its labels, for templates.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// Where it answers.
    pub(crate) servers: Servers<'a>,
}

/// Whether a thing takes requests.
pub(crate) enum Servers<'a> {
    /// It does, at the address that this finds.
    At(&'a dyn Locate),
    /// Its routers exist but have no server, so that requests get 503.
    Nowhere,
}

/// Finds the address of a thing.
pub(crate) trait Locate {
    /// `host:port` to connect to for the port its label names, or for the port it exposes; or why there is none.
    fn locate(&self, port: Option<u16>) -> Result<String, String>;
}

/// What one thing contributes.
#[derive(Debug, Default)]
pub(crate) struct Contribution {
    name: String,
    order: String,
    routing: Routing,
    problems: Vec<Problem>,
}

impl Contribution {
    /// Turns the labels of one thing into objects.
    pub(crate) fn of(instance: &Instance<'_>, labels: Labels, rule: &Template) -> Self {
        let mut contribution = Self {
            name: instance.name.to_owned(),
            order: instance.order.clone(),
            ..Self::default()
        };
        let (mut objects, problems) = labels.objects();
        contribution.problems = problems;
        if contribution.problems.iter().any(|problem| is_fatal(problem, instance.name)) {
            return contribution;
        }
        let filled = fill::fill(&mut objects, instance, rule);
        contribution.problems.extend(filled.problems);
        if contribution.problems.iter().any(|problem| is_fatal(problem, instance.name)) {
            return contribution;
        }
        let (mut routing, problems) = Routing::from_tree(&objects.into_tree());
        contribution.problems.extend(problems);
        for name in &filled.default_rules {
            if let Some(router) = routing.http.routers.get_mut(name) {
                Arc::make_mut(router).default_rule = DefaultRule::Rendered;
            }
        }
        contribution.routing = routing;
        contribution
    }

    /// A thing that contributes nothing but problems.
    pub(crate) fn refused(name: &str, problems: Vec<Problem>) -> Self {
        Self { name: name.to_owned(), problems, ..Self::default() }
    }

    /// Adds a remark of the provider itself.
    pub(crate) fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn is_broken(&self, kind: Kind, name: &str) -> bool {
        self.problems.iter().any(|problem| {
            let About { kind: about, name: whom } = &problem.about;
            problem.severity == Severity::Error && *about == kind && whom == name
        })
    }
}

/// A problem about the whole thing, not about one of its objects.
fn is_fatal(problem: &Problem, instance: &str) -> bool {
    problem.severity == Severity::Error
        && problem.about.kind == Kind::Container
        && problem.about.name == instance
}

/// Every run of characters that are neither letters nor digits becomes one `-`; none at the ends.
pub(crate) fn normalize(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The sorts of objects that labels can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Section {
    HttpRouters,
    HttpServices,
    HttpMiddlewares,
    TcpRouters,
    TcpServices,
    TcpMiddlewares,
    UdpRouters,
    UdpServices,
    TlsStores,
}

impl Section {
    /// Each section, the label path to it in lower case, and what its objects are called.
    const ALL: [(Self, &'static str, &'static str, Kind); 9] = [
        (Self::HttpRouters, "http", "routers", Kind::HttpRouter),
        (Self::HttpServices, "http", "services", Kind::HttpService),
        (Self::HttpMiddlewares, "http", "middlewares", Kind::HttpMiddleware),
        (Self::TcpRouters, "tcp", "routers", Kind::TcpRouter),
        (Self::TcpServices, "tcp", "services", Kind::TcpService),
        (Self::TcpMiddlewares, "tcp", "middlewares", Kind::TcpMiddleware),
        (Self::UdpRouters, "udp", "routers", Kind::UdpRouter),
        (Self::UdpServices, "udp", "services", Kind::UdpService),
        (Self::TlsStores, "tls", "stores", Kind::TlsStore),
    ];

    fn find(protocol: &str, section: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, p, s, _)| *p == protocol && *s == section).map(|(found, ..)| *found)
    }

    fn line(self) -> (&'static str, &'static str, Kind) {
        let line = Self::ALL.iter().find(|(section, ..)| *section == self);
        let (_, protocol, section, kind) = line.expect("every section has its line");
        (protocol, section, *kind)
    }

    fn kind(self) -> Kind {
        self.line().2
    }

    fn is_routers(self) -> bool {
        matches!(self, Self::HttpRouters | Self::TcpRouters | Self::UdpRouters)
    }
}

/// The objects of one thing by section and name, in the order of their labels.
#[derive(Debug, Default)]
struct Objects(BTreeMap<Section, indexmap::IndexMap<String, Object>>);

/// One object.
#[derive(Debug)]
struct Object {
    tree: Tree,
    standing: Standing,
}

/// Whether an object goes on to be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It does.
    Sound,
    /// It does not, but its name is taken: nothing is made in its place.
    Broken,
}

impl Objects {
    fn section(&mut self, section: Section) -> &mut indexmap::IndexMap<String, Object> {
        self.0.entry(section).or_default()
    }

    fn is_empty(&self, section: Section) -> bool {
        self.0.get(&section).is_none_or(|objects| objects.is_empty())
    }

    fn into_tree(self) -> Tree {
        let mut protocols: indexmap::IndexMap<String, indexmap::IndexMap<String, Tree>> =
            indexmap::IndexMap::new();
        for (section, objects) in self.0 {
            let sound =
                objects.into_iter().filter(|(_, object)| object.standing == Standing::Sound);
            let sound: Vec<_> = sound.map(|(name, object)| (name, object.tree)).collect();
            if !sound.is_empty() {
                let (protocol, section, _) = section.line();
                let sections = protocols.entry(protocol.to_owned()).or_default();
                sections.insert(section.to_owned(), Tree::map(sound));
            }
        }
        Tree::map(protocols.into_iter().map(|(protocol, sections)| (protocol, Tree::map(sections))))
    }
}
