//! `Policy`: which TLS options serve which server name on one entry point.
//!
//! The same look-up answers for the name in the handshake and for the `Host` of a request, so the two can never
//! disagree about wildcards, case or trailing dots.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_config::problem::{Kind, Problem, Severity};
use rustls::ServerConfig;

use super::canonical;
use super::configurations::Conflicts;
use super::store::{Store, Strictness};
use crate::net::live::Live;

/// What one options object means for a connection.
#[derive(Debug)]
pub struct Terms {
    options: Arc<str>,
    config: Arc<ServerConfig>,
    strictness: Strictness,
}

impl Terms {
    pub(super) fn new(options: &str, config: Arc<ServerConfig>, strictness: Strictness) -> Self {
        Self { options: options.into(), config, strictness }
    }

    /// The name of the options object.
    pub fn options(&self) -> &Arc<str> {
        &self.options
    }
}

/// The terms that a connection is accepted on.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// For rustls.
    pub config: Arc<ServerConfig>,
    /// The name of the options object, `default` or `mtls@file`.
    pub options: Arc<str>,
}

/// Why a connection is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The options of the host are missing, broken or in conflict.
    #[error("the tls options of the host are not usable")]
    Options,
    /// `sniStrict`, and no certificate is for that name.
    #[error("no certificate is for the name that was asked for")]
    UnknownName,
}

/// The wish of one router for one host.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// From a `Host()` of its rule: `example.com`, `*.example.com` or `*`; empty for a rule without one.
    pub pattern: &'a str,
    /// The qualified name of its options, or `default`.
    pub options: &'a str,
    /// The qualified name of the router.
    pub router: &'a str,
}

/// Which TLS options serve which server name on one entry point.
#[derive(Debug)]
pub struct Policy {
    exact: HashMap<Box<str>, Rule, ahash::RandomState>,
    /// By what follows the `*.`.
    wild: HashMap<Box<str>, Rule, ahash::RandomState>,
    /// For every other name and for connections without one.
    other: Rule,
    store: Arc<Live<Store>>,
}

/// What a name gets; `None` = refused.
type Rule = Option<Arc<Terms>>;

impl Policy {
    /// The terms for a connection that asks for `server_name` and arrived at our address `local`.
    pub fn choose(&self, server_name: Option<&str>, local: IpAddr) -> Result<Chosen, Refused> {
        let Some(name) = server_name else { return self.choose_unnamed(local) };
        let name = canonical(name);
        let terms = self.rule(&name).ok_or(Refused::Options)?;
        if terms.strictness == Strictness::Strict && !self.store.with(|store| store.knows(&name)) {
            return Err(Refused::UnknownName);
        }
        Ok(Chosen { config: Arc::clone(&terms.config), options: Arc::clone(&terms.options) })
    }

    /// Traefik: a client that names nobody gets the certificate for the address it came to, if there is one.
    fn choose_unnamed(&self, local: IpAddr) -> Result<Chosen, Refused> {
        let terms = self.other.as_ref().ok_or(Refused::Options)?;
        let options = Arc::clone(&terms.options);
        let config = match self.store.with(|store| store.of_address(local)) {
            Some(choice) => {
                // A copy shares tickets and verifier; only the certificate differs.
                let mut config = ServerConfig::clone(&terms.config);
                config.cert_resolver = Arc::new(choice);
                Arc::new(config)
            }
            None if terms.strictness == Strictness::Strict => return Err(Refused::UnknownName),
            None => Arc::clone(&terms.config),
        };
        Ok(Chosen { config, options })
    }

    /// The options that requests for `host` (no port) must come under; `None` if no connection may serve it. A request
    /// whose connection was accepted under other options is misdirected: 421.
    pub fn options_of_host(&self, host: &str) -> Option<&Arc<str>> {
        self.rule(&canonical(host)).map(|terms| &terms.options)
    }

    /// Whether a request for `host` (no port) may be served on a connection accepted under `options`.
    pub fn admits(&self, options: &Arc<str>, host: &str) -> bool {
        self.options_of_host(host).is_some_and(|own| Arc::ptr_eq(own, options) || own == options)
    }

    /// `name` is canonical. Exact names before wildcards; a wildcard stands for exactly one label.
    fn rule(&self, name: &str) -> Option<&Arc<Terms>> {
        if let Some(rule) = self.exact.get(name) {
            return rule.as_ref();
        }
        let parent = name.split_once('.').filter(|(label, _)| !label.is_empty());
        match parent.and_then(|(_, parent)| self.wild.get(parent)) {
            Some(rule) => rule.as_ref(),
            None => self.other.as_ref(),
        }
    }
}

impl Policy {
    /// Drops the names that get what every other name gets: with thousands of hosts and one options object, all of them.
    fn forget_what_goes_without_saying(&mut self) {
        let Self { exact, wild, other, .. } = self;
        let is_other = |rule: &Rule| match (rule, &*other) {
            (Some(rule), Some(other)) => Arc::ptr_eq(rule, other),
            (None, None) => true,
            _ => false,
        };
        wild.retain(|_, rule| !is_other(rule));
        exact.retain(|name, rule| {
            let parent = name.split_once('.').map_or("", |(_, parent)| parent);
            !is_other(rule) || wild.contains_key(parent)
        });
        exact.shrink_to_fit();
        wild.shrink_to_fit();
    }
}

/// The wishes of all routers of one entry point, by canonical pattern and options.
pub(super) struct Hosts<'a>(BTreeMap<String, BTreeMap<&'a str, BTreeSet<&'a str>>>);

/// Finds the terms of options by name.
type Find<'f> = &'f dyn Fn(&str) -> Option<Arc<Terms>>;

impl<'a> Hosts<'a> {
    pub(super) fn new(hosts: &[Host<'a>]) -> Self {
        let mut wishes = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
        for host in hosts {
            let options = wishes.entry(canonical(host.pattern).into_owned()).or_default();
            options.entry(host.options).or_default().insert(host.router);
        }
        Self(wishes)
    }

    pub(super) fn policy(
        &self,
        find: Find<'_>,
        store: &Arc<Live<Store>>,
        conflicts: Conflicts,
    ) -> (Policy, Vec<Problem>) {
        let mut policy = Policy {
            exact: HashMap::default(),
            wild: HashMap::default(),
            other: find("default"),
            store: Arc::clone(store),
        };
        let mut problems = Vec::new();
        for (pattern, wishes) in &self.0 {
            if pattern.is_empty() {
                problems.extend(without_host(wishes));
                continue;
            }
            let rule = rule(pattern, wishes, find, conflicts, &mut problems);
            if pattern == "*" {
                policy.other = rule;
            } else if let Some(parent) = pattern.strip_prefix("*.") {
                policy.wild.insert(parent.into(), rule);
            } else {
                policy.exact.insert(pattern.as_str().into(), rule);
            }
        }
        problems.extend(self.overlaps());
        policy.forget_what_goes_without_saying();
        (policy, problems)
    }

    /// A host that a wildcard covers, too, but under other options: its connections come under its own options and
    /// can then reach the wildcard's router.
    fn overlaps(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.0.values().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>().len() < 2 {
            return problems;
        }
        for (pattern, own) in &self.0 {
            let label = pattern.split_once('.').filter(|(label, _)| *label != "*");
            let Some((_, parent)) = label else { continue };
            let Some(covering) = self.0.get(&format!("*.{parent}")) else { continue };
            let same = own.len() == 1 && covering.keys().eq(own.keys());
            for router in covering.values().flatten().filter(|_| !same) {
                let message = format!(
                    "host {pattern} has a router with other TLS options, under which its requests also reach \
                     this router; give both the same options"
                );
                problems.push(Problem::warning(Kind::HttpRouter, *router, message));
            }
        }
        problems
    }
}

/// Traefik: options are chosen by name, so a router without `Host` comes under those of whatever name was asked for.
fn without_host(wishes: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (options, routers) in wishes.iter().filter(|(options, _)| **options != "default") {
        for router in routers {
            let message = format!(
                "the rule has no Host, so the TLS options {options} cannot be chosen for it; \
                 connections come under the options of the name they ask for"
            );
            problems.push(Problem::warning(Kind::HttpRouter, *router, message));
        }
    }
    problems
}

/// What `pattern` gets, by the wishes of its routers.
fn rule<'a>(
    pattern: &str,
    wishes: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    find: Find<'_>,
    conflicts: Conflicts,
    problems: &mut Vec<Problem>,
) -> Rule {
    let mut complain = |severity, routers: &BTreeSet<&str>, message: String| {
        for router in routers {
            let problem = Problem::error(Kind::HttpRouter, *router, message.clone());
            problems.push(Problem { severity, ..problem });
        }
    };
    for (options, routers) in wishes.iter().filter(|(options, _)| find(options).is_none()) {
        let message = format!(
            "TLS options {options} are missing or unusable; connections to {pattern} are refused"
        );
        complain(Severity::Error, routers, message);
    }
    // Not even beside a usable wish: the others may be just what the broken one was to keep out.
    if wishes.keys().any(|options| find(options).is_none()) {
        for (_, routers) in wishes.iter().filter(|(options, _)| find(options).is_some()) {
            let message = format!(
                "connections to {pattern} are refused, since the TLS options of another router for it are unusable"
            );
            complain(Severity::Warning, routers, message);
        }
        return None;
    }
    if let (1, Some(options)) = (wishes.len(), wishes.keys().next()) {
        return find(options);
    }
    let names = wishes.keys().copied().collect::<Vec<_>>().join(", ");
    let (severity, outcome, rule) = match conflicts {
        Conflicts::FallBack => {
            (Severity::Warning, "the options default are used instead", find("default"))
        }
        Conflicts::Refuse => (Severity::Error, "connections to it are refused", None),
    };
    for routers in wishes.values() {
        let message =
            format!("routers want different TLS options for host {pattern} ({names}); {outcome}");
        complain(severity, routers, message);
    }
    rule
}
