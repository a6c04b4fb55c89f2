//! Routers: rule, chain and leaf to routes; routes to the tables of the entry points.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::pieces::Pieces;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::http::Router;
use portcullis_config::rule::parse::parse;
use portcullis_config::rule::{Protocol, Rule};
use portcullis_middlewares::Chain;

use super::Compiling;
use crate::http::routes::{Entry, Refused, Routes};
use crate::observe::series::{RouterSeries, Switch};
use crate::snapshot::report::Status;
use crate::snapshot::{EntryPoint, Leaf, Route};
use crate::tcp::table::{Hosts, Table};
use crate::tls::configurations::Prepared;
use crate::tls::policy::Host;

/// Traefik: priorities above are kept for internal routers.
pub(super) const MAX_PRIORITY: i64 = i64::MAX - 1000;

/// Where root routers are filed, and what they need to be.
struct Filing<'f> {
    /// The children of each router that is named as a parent.
    children: HashMap<Name, Vec<Name>>,
    /// By index of the entry point.
    tables: Vec<Tables>,
    prepared: &'f Prepared,
}

/// What the routers of one entry point become.
#[derive(Default)]
struct Tables {
    plain: Vec<Entry<Arc<Route>>>,
    secure: Vec<Entry<Arc<Route>>>,
    /// Host pattern, TLS options, router.
    hosts: Vec<(String, String, Name)>,
}

impl Tables {
    /// Files a router, under its hosts too if it has TLS options.
    fn file(&mut self, name: &Name, entry: Entry<Arc<Route>>, options: Option<&str>) {
        let Some(options) = options else { return self.plain.push(entry) };
        let mut hosts = entry.rule.hosts();
        if hosts.is_empty() {
            hosts.push(String::new());
        }
        let hosts = hosts.into_iter().map(|host| (host, options.to_owned(), name.clone()));
        self.hosts.extend(hosts);
        self.secure.push(entry);
    }
}

impl Compiling<'_> {
    /// Compiles all routers and files them under their entry points.
    pub(super) fn compile_routers(&mut self, prepared: &Prepared) -> Vec<EntryPoint> {
        let context = self.context;
        let tables = context.entry_points.iter().map(|_| Tables::default()).collect();
        let mut filing = Filing { children: self.children(), tables, prepared };
        let (configuration, pieces) = (self.configuration, Pieces::begin());
        for (name, router) in &configuration.routers {
            pieces.step();
            if router.parent_refs.is_empty() {
                self.file_root(name, router, &mut filing);
            } else {
                self.check_child(name, router);
            }
        }
        let tcp = self.compile_tcp(prepared);
        let entry_points = context.entry_points.iter().zip(filing.tables).zip(tcp);
        entry_points
            .map(|(((_, series), tables), tcp)| {
                let patterns = tables.hosts.iter().map(|(pattern, ..)| pattern.as_str());
                let tcp = Table::new(tcp.plain, tcp.secure, Hosts::new(patterns));
                let hosts: Vec<Host<'_>> = tables
                    .hosts
                    .iter()
                    .map(|(pattern, options, router)| Host {
                        pattern,
                        options,
                        router: router.as_str(),
                    })
                    .collect();
                let (policy, problems) = prepared.policy(&hosts, context.conflicts);
                for problem in problems {
                    self.add(problem);
                }
                let plain = self.table(tables.plain);
                let secure = self.table(tables.secure);
                EntryPoint { series: Arc::clone(series), plain, secure, policy, tcp }
            })
            .collect()
    }

    /// The children of each router that is named as a parent.
    fn children(&self) -> HashMap<Name, Vec<Name>> {
        let mut children: HashMap<Name, Vec<Name>> = HashMap::new();
        for (name, router) in &self.configuration.routers {
            for parent in &router.parent_refs {
                let parent = Name::qualify(parent, name.provider());
                children.entry(parent).or_default().push(name.clone());
            }
        }
        children
    }

    fn file_root(&mut self, name: &Name, router: &Router, filing: &mut Filing<'_>) {
        let Filing { children, tables, prepared } = filing;
        let bound = self.bind(name, router);
        if bound.is_empty() {
            return;
        }
        let Some((rule, priority)) = self.rule(name, router) else { return };
        let options = router.tls.as_ref().map(|tls| options_name(&tls.options, name));
        if let Some(options) = &options
            && !prepared.has_options(options)
        {
            self.disable(name, format!("tls options `{options}` do not exist"));
        }
        let route = self.route(name, router, children, &mut Vec::new());
        let entry = Entry { rule, priority, target: route };
        let Some((last, others)) = bound.split_last() else { return };
        for index in others {
            if let Some(table) = tables.get_mut(*index) {
                table.file(name, entry.clone(), options.as_deref());
            }
        }
        if let Some(table) = tables.get_mut(*last) {
            table.file(name, entry, options.as_deref());
        }
    }

    /// The indexes of the entry points that a router listens on; notes those that do not exist.
    fn bind(&mut self, name: &Name, router: &Router) -> Vec<usize> {
        let mut bound = Vec::new();
        for wanted in &router.entry_points {
            let mut entry_points = self.context.entry_points.iter();
            match entry_points.position(|(defaults, _)| *defaults.name == **wanted) {
                Some(index) => bound.push(index),
                None => {
                    let message = format!("entry point `{wanted}` does not exist");
                    self.add(Problem::warning(Kind::HttpRouter, name.as_str(), message));
                }
            }
        }
        if bound.is_empty() {
            self.disable(name, "no valid entry point".to_owned());
        }
        let names = bound.iter().filter_map(|index| self.context.entry_points.get(*index));
        let names: Vec<_> = names.map(|(defaults, _)| Arc::clone(&defaults.name)).collect();
        if let Some(item) = self.report.routers.get_mut(name) {
            for name in &names {
                item.used_by(name);
            }
        }
        bound
    }

    /// The parsed rule and the effective priority; without them a router is not in the table.
    fn rule(&mut self, name: &Name, router: &Router) -> Option<(Rule, i64)> {
        // Shown also of a rule that does not parse.
        self.show_priority(
            name,
            if router.priority == 0 { router.rule.len() as i64 } else { router.priority },
        );
        if router.rule_syntax.eq_ignore_ascii_case("v2") {
            let message = "rule syntax v2 is not served; write the rule in syntax v3";
            self.disable(name, message.to_owned());
            return None;
        }
        if router.rule.is_empty() {
            self.disable(name, "the rule is missing".to_owned());
            return None;
        }
        let rule = match parse(&router.rule, Protocol::Http) {
            Ok(rule) => rule,
            Err(error) => {
                self.disable(name, format!("rule `{}`: {error}", router.rule));
                return None;
            }
        };
        let priority = match router.priority {
            0 => rule.default_priority(&router.rule),
            set => set,
        };
        self.show_priority(name, priority);
        if priority > MAX_PRIORITY && name.provider() != "internal" {
            let message = format!("priority {priority} is above the largest one, {MAX_PRIORITY}");
            self.disable(name, message);
            return None;
        }
        Some((rule, priority))
    }

    fn show_priority(&mut self, name: &Name, priority: i64) {
        if let Some(item) = self.report.routers.get_mut(name) {
            item.priority = priority;
        }
    }

    /// The route of a router. Broken parts make it answer 404.
    fn route(
        &mut self,
        name: &Name,
        router: &Router,
        children: &HashMap<Name, Vec<Name>>,
        path: &mut Vec<Name>,
    ) -> Arc<Route> {
        path.push(name.clone());
        let label = label(path);
        let leaf = self.leaf(name, router, children, path);
        let chain = self.chain(name, router);
        path.pop();
        let forbidden = !router.parent_refs.is_empty() && not_for_children(router).next().is_some();
        let broken = forbidden || self.broken(Kind::HttpRouter, name.as_str()).is_some();
        let has_options =
            self.report.routers.get(name).is_some_and(|item| {
                item.errors.iter().any(|error| error.starts_with("tls options"))
            });
        let (chain, leaf) = match (chain, leaf) {
            (Ok(chain), Ok(leaf)) if !broken && !has_options => (chain, leaf),
            (chain, leaf) => {
                for error in [chain.err(), leaf.err()].into_iter().flatten() {
                    self.disable(name, error);
                }
                (Chain::default(), Leaf::Broken)
            }
        };
        let service = match router.service.as_str() {
            "" => format!("{name}-muxer").into(),
            service => self.shared_name(Name::qualify(service, name.provider())),
        };
        let series = Arc::new(series(label, router, service));
        Arc::new(Route { series, chain, leaf })
    }

    /// The text of a service's name, the one that all share if there is such a service.
    fn shared_name(&self, name: Name) -> Arc<str> {
        let known = self.configuration.services.get_key_value(&name);
        known.map_or_else(|| name.shared(), |(known, _)| known.shared())
    }

    fn chain(&mut self, name: &Name, router: &Router) -> Result<Chain, String> {
        let owner = name.shared();
        let mut steps = Vec::new();
        for reference in &router.middlewares {
            let middleware = Name::qualify(reference, name.provider());
            if let Some(item) = self.report.middlewares.get_mut(&middleware) {
                item.used_by(&owner);
            }
            steps.extend(self.steps(&owner, &middleware).map_err(|defect| defect.to_string())?);
        }
        Ok(Chain::new(steps))
    }

    fn leaf(
        &mut self,
        name: &Name,
        router: &Router,
        children: &HashMap<Name, Vec<Name>>,
        path: &mut Vec<Name>,
    ) -> Result<Leaf, String> {
        if let Some(children_of) = children.get(name) {
            if !router.service.is_empty() {
                // Traefik: shown as disabled, and its children are served all the same.
                let message =
                    "router has both a service and is referenced as a parent by other routers";
                self.disable(name, message.to_owned());
            }
            return self.child_table(children_of, children, path);
        }
        if router.service.is_empty() {
            return Err("the service is missing".to_owned());
        }
        let service = Name::qualify(&router.service, name.provider());
        if let Some(item) = self.report.services.get_mut(&service) {
            item.used_by(&name.shared());
        }
        self.service(&service).map(Leaf::Service)
    }

    fn child_table(
        &mut self,
        names: &[Name],
        children: &HashMap<Name, Vec<Name>>,
        path: &mut Vec<Name>,
    ) -> Result<Leaf, String> {
        let configuration = self.configuration;
        let mut entries = Vec::new();
        for name in names {
            if path.contains(name) {
                let message = "the router is its own ancestor";
                self.add(Problem::warning(Kind::HttpRouter, name.as_str(), message));
                continue;
            }
            let Some(router) = configuration.routers.get(name) else { continue };
            let Some((rule, priority)) = self.rule(name, router) else { continue };
            let target = self.route(name, router, children, path);
            entries.push(Entry { rule, priority, target });
        }
        if entries.is_empty() {
            return Err("none of the child routers is usable".to_owned());
        }
        Ok(Leaf::Children(Box::new(self.table(entries))))
    }

    /// What a child router may not have, and whether its parents exist.
    fn check_child(&mut self, name: &Name, router: &Router) {
        for field in not_for_children(router) {
            self.disable(name, format!("a child router cannot have `{field}`"));
        }
        for parent in &router.parent_refs {
            let parent = Name::qualify(parent, name.provider());
            if !self.configuration.routers.contains_key(&parent) {
                self.disable(name, format!("parent router `{parent}` does not exist"));
            }
        }
    }

    /// A table of `entries`; those that do not compile are left out.
    fn table(&mut self, entries: Vec<Entry<Arc<Route>>>) -> Routes<Arc<Route>> {
        let (routes, refused) = Routes::compile(entries);
        for Refused { entry, reason } in refused {
            let name = Name::verbatim(&entry.target.series.name);
            self.disable(&name, reason);
        }
        routes
    }

    fn disable(&mut self, name: &Name, message: String) {
        self.add(Problem::error(Kind::HttpRouter, name.as_str(), message));
        if let Some(item) = self.report.routers.get_mut(name) {
            item.status = Status::Disabled;
        }
    }
}

/// The fields of a router that only roots may have.
fn not_for_children(router: &Router) -> impl Iterator<Item = &'static str> {
    let fields = [
        (router.tls.is_some(), "tls"),
        (router.observability.is_some(), "observability"),
        (!router.entry_points.is_empty(), "entryPoints"),
    ];
    fields.into_iter().filter_map(|(is_set, field)| is_set.then_some(field))
}

/// What logs and metrics call the router at the end of `path`: its name, behind those of its parents.
fn label(path: &[Name]) -> Arc<str> {
    match path {
        [only] => only.shared(),
        path => path.iter().map(Name::as_str).collect::<Vec<_>>().join(" -> ").into(),
    }
}

pub(super) fn options_name(reference: &str, router: &Name) -> String {
    match reference {
        "" | "default" => "default".to_owned(),
        text => Name::qualify(text, router.provider()).to_string(),
    }
}

fn series(label: Arc<str>, router: &Router, service: Arc<str>) -> RouterSeries {
    let observability = router.observability.clone().unwrap_or_default();
    RouterSeries {
        name: label,
        service,
        access_log: Switch::of(observability.access_logs),
        metrics: Switch::of(observability.metrics),
    }
}
