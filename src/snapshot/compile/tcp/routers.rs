//! TCP routers: rule, gates and service to routes; routes to the tables of the entry points.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::tcp::Router;
use portcullis_config::rule::parse::parse;
use portcullis_config::rule::{Protocol, Rule};

use super::Services;
use crate::snapshot::compile::Compiling;
use crate::snapshot::compile::routers::{MAX_PRIORITY, options_name};
use crate::snapshot::report::Status;
use crate::tcp::route::{Leaf, Mode, Route};
use crate::tcp::routes::{Entry, Routes};
use crate::tls::configurations::Prepared;
use crate::tls::policy::{Host, Policy};

/// What the TCP routers of one entry point become.
#[derive(Default)]
pub(crate) struct Filed {
    pub(crate) plain: Routes<Arc<Route>>,
    pub(crate) secure: Routes<Arc<Route>>,
}

/// The routes of one entry point.
#[derive(Default)]
struct Entries {
    plain: Vec<Entry<Arc<Route>>>,
    secure: Vec<Entry<Arc<Route>>>,
}

/// What routers are made of besides the configuration.
struct Stock<'p> {
    services: Services,
    prepared: &'p Prepared,
    /// The terms of TLS by the name of the options.
    policies: HashMap<String, Arc<Policy>>,
}

impl Compiling<'_> {
    /// Compiles all TCP routers and files them under their entry points.
    pub(in crate::snapshot::compile) fn compile_tcp(&mut self, prepared: &Prepared) -> Vec<Filed> {
        let services = self.compile_tcp_parts();
        let mut stock = Stock { services, prepared, policies: HashMap::new() };
        let mut entries: Vec<Entries> =
            self.context.entry_points.iter().map(|_| Entries::default()).collect();
        let configuration = self.configuration;
        for (name, router) in &configuration.tcp.routers {
            let name = Name::verbatim(name);
            let bound = self.bind_tcp(&name, router);
            let Some((rule, priority)) = self.tcp_rule(&name, router) else { continue };
            let target = self.tcp_route(&name, router, &rule, &mut stock);
            for index in bound {
                let Some(entries) = entries.get_mut(index) else { continue };
                let (rule, target) = (rule.clone(), Arc::clone(&target));
                let list =
                    if router.tls.is_some() { &mut entries.secure } else { &mut entries.plain };
                list.push(Entry { rule, priority, target });
            }
        }
        let file = |Entries { plain, secure }| Filed {
            plain: self.tcp_table(plain),
            secure: self.tcp_table(secure),
        };
        entries.into_iter().map(file).collect()
    }

    /// The indexes of the entry points that a router listens on; notes those that do not exist.
    fn bind_tcp(&mut self, name: &Name, router: &Router) -> Vec<usize> {
        let (mut bound, mut used) = (Vec::new(), Vec::new());
        for wanted in &router.entry_points {
            let mut entry_points = self.context.entry_points.iter();
            let found = entry_points.position(|(defaults, _)| *defaults.name == **wanted);
            match found.and_then(|index| Some((index, self.context.entry_points.get(index)?))) {
                Some((index, (defaults, _))) => {
                    bound.push(index);
                    used.push(Arc::clone(&defaults.name));
                }
                None => {
                    let message = format!("entry point `{wanted}` does not exist");
                    self.add(Problem::warning(Kind::TcpRouter, name.as_str(), message));
                }
            }
        }
        if bound.is_empty() {
            self.disable_tcp(name, "no valid entry point".to_owned());
        }
        if let Some(item) = self.report.tcp.routers.get_mut(name) {
            for name in &used {
                item.used_by(name);
            }
        }
        bound
    }

    /// The parsed rule and the effective priority; without them a router is not in the table.
    fn tcp_rule(&mut self, name: &Name, router: &Router) -> Option<(Rule, i64)> {
        let parsed = if router.rule_syntax.eq_ignore_ascii_case("v2") {
            Err("rule syntax v2 is not served; write the rule in syntax v3".to_owned())
        } else if router.rule.is_empty() {
            Err("the rule is missing".to_owned())
        } else {
            parse(&router.rule, Protocol::Tcp)
                .map_err(|error| format!("rule `{}`: {error}", router.rule))
        };
        let priority = match (router.priority, &parsed) {
            (0, Ok(rule)) => rule.default_priority(&router.rule),
            (0, Err(_)) => router.rule.len() as i64,
            (set, _) => set,
        };
        if let Some(item) = self.report.tcp.routers.get_mut(name) {
            item.priority = priority;
        }
        if priority > MAX_PRIORITY && name.provider() != "internal" {
            let message = format!("priority {priority} is above the largest one, {MAX_PRIORITY}");
            self.disable_tcp(name, message);
            return None;
        }
        match parsed {
            Ok(rule) => Some((rule, priority)),
            Err(message) => {
                self.disable_tcp(name, message);
                None
            }
        }
    }

    /// The route of a router. With a broken part it closes its connections.
    fn tcp_route(
        &mut self,
        name: &Name,
        router: &Router,
        rule: &Rule,
        stock: &mut Stock<'_>,
    ) -> Arc<Route> {
        let leaf = self.tcp_leaf(name, router, stock);
        let gates: Result<Vec<_>, String> = self.gates(name, router);
        let mode = self.mode(name, router, rule, stock);
        let broken = self.broken(Kind::TcpRouter, name.as_str()).is_some();
        let name_of_route = name.shared();
        let route = match (leaf, gates, mode) {
            (Ok(leaf), Ok(gates), Ok(mode)) if !broken => {
                Route { name: name_of_route, gates, mode, leaf }
            }
            (leaf, gates, mode) => {
                for error in [leaf.err(), gates.err(), mode.err()].into_iter().flatten() {
                    self.disable_tcp(name, error);
                }
                Route::broken(name_of_route)
            }
        };
        Arc::new(route)
    }

    fn tcp_leaf(
        &mut self,
        name: &Name,
        router: &Router,
        stock: &mut Stock<'_>,
    ) -> Result<Leaf, String> {
        if router.service.is_empty() {
            return Err("the service is missing".to_owned());
        }
        let service = Name::qualify(&router.service, name.provider());
        if let Some(item) = self.report.tcp.services.get_mut(&service) {
            item.used_by(&name.shared());
        }
        self.tcp_service(&service, &mut stock.services).map(Leaf::Service)
    }

    fn gates(
        &mut self,
        name: &Name,
        router: &Router,
    ) -> Result<Vec<Arc<dyn portcullis_middlewares::tcp::Gate>>, String> {
        let owner = name.shared();
        let mut gates = Vec::new();
        for reference in &router.middlewares {
            let middleware = Name::qualify(reference, name.provider());
            if let Some(item) = self.report.tcp.middlewares.get_mut(&middleware) {
                item.used_by(&owner);
            }
            gates.push(self.gate(&owner, &middleware)?);
        }
        Ok(gates)
    }

    /// What becomes of TLS.
    fn mode(
        &mut self,
        name: &Name,
        router: &Router,
        rule: &Rule,
        stock: &mut Stock<'_>,
    ) -> Result<Mode, String> {
        let Some(tls) = &router.tls else {
            return match rule.hosts().first() {
                None => Ok(Mode::Plain),
                Some(host) => Err(format!(
                    "the rule asks for the name {host}, but connections without TLS have none; \
                     set `tls: {{}}` or use HostSNI(`*`)"
                )),
            };
        };
        if tls.passthrough {
            return Ok(Mode::Passthrough);
        }
        let options = options_name(&tls.options, name);
        if let Some(policy) = stock.policies.get(&options) {
            return Ok(Mode::Terminate(Arc::clone(policy)));
        }
        if stock.prepared.terms(&options).is_none() {
            let what = if stock.prepared.has_options(&options) {
                "are not usable"
            } else {
                "do not exist"
            };
            return Err(format!("tls options `{options}` {what}"));
        }
        let host = Host { pattern: "*", options: &options, router: name.as_str() };
        let (policy, _) = stock.prepared.policy(&[host], self.context.conflicts);
        let policy = Arc::new(policy);
        stock.policies.insert(options, Arc::clone(&policy));
        Ok(Mode::Terminate(policy))
    }

    /// A table of `entries`; those that do not compile are left out.
    fn tcp_table(&mut self, mut entries: Vec<Entry<Arc<Route>>>) -> Routes<Arc<Route>> {
        loop {
            match Routes::compile(entries.clone()) {
                Ok(routes) => return routes,
                Err(error) if error.entry < entries.len() => {
                    let entry = entries.remove(error.entry);
                    self.disable_tcp(&Name::verbatim(&entry.target.name), error.message);
                }
                Err(_) => entries.clear(),
            }
        }
    }

    fn disable_tcp(&mut self, name: &Name, message: String) {
        self.add(Problem::error(Kind::TcpRouter, name.as_str(), message));
        if let Some(item) = self.report.tcp.routers.get_mut(name) {
            item.status = Status::Disabled;
        }
    }
}
