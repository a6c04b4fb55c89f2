//! `Report`: what became of each configured object, for API, dashboard and log.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::routing::http::{Middleware, Router, Service};
use portcullis_config::{Name, Problem, routing};
use serde::Serialize;

use crate::{tcp, upstream};

/// What became of each configured object.
#[derive(Debug, Default)]
pub struct Report {
    /// HTTP routers.
    pub routers: IndexMap<Name, Item<Router>>,
    /// HTTP services.
    pub services: IndexMap<Name, Item<Service>>,
    /// HTTP middlewares.
    pub middlewares: IndexMap<Name, Item<Middleware>>,
    /// TCP objects.
    pub tcp: Tcp,
    /// UDP objects.
    pub udp: Udp,
    /// The compiled services, for the state of their servers.
    pub compiled: IndexMap<Name, Arc<upstream::service::Service>>,
    /// All problems, by their order of discovery.
    pub problems: Vec<Problem>,
}

/// What became of each TCP object.
#[derive(Debug, Default)]
pub struct Tcp {
    /// Routers.
    pub routers: IndexMap<Name, Item<routing::tcp::Router>>,
    /// Services.
    pub services: IndexMap<Name, Item<routing::tcp::Service>>,
    /// Middlewares.
    pub middlewares: IndexMap<Name, Item<Middleware>>,
    /// The compiled services, for the state of their servers and their counts.
    pub compiled: IndexMap<Name, Arc<tcp::service::Service>>,
}

/// What became of each UDP object.
#[derive(Debug, Default)]
pub struct Udp {
    /// Routers.
    pub routers: IndexMap<Name, Item<routing::udp::Router>>,
    /// Services.
    pub services: IndexMap<Name, Item<routing::udp::Service>>,
}

impl Tcp {
    /// Objects without defects so far; their names are full.
    pub fn new(config: &routing::tcp::Tcp) -> Self {
        Self {
            routers: items(&config.routers),
            services: items(&config.services),
            middlewares: items(&config.middlewares),
            compiled: IndexMap::new(),
        }
    }
}

impl Udp {
    /// Objects without defects so far; their names are full.
    pub fn new(config: &routing::udp::Udp) -> Self {
        Self { routers: items(&config.routers), services: items(&config.services) }
    }
}

fn items<T: Clone>(configured: &IndexMap<String, T>) -> IndexMap<Name, Item<T>> {
    let item = |(name, it): (&String, &T)| (Name::verbatim(name), Item::new(Arc::new(it.clone())));
    configured.iter().map(item).collect()
}

impl Report {
    /// Ends the report: see [`Item::settle`].
    pub fn settle(&mut self) {
        self.routers.values_mut().for_each(Item::settle);
        self.services.values_mut().for_each(Item::settle);
        self.middlewares.values_mut().for_each(Item::settle);
        self.tcp.routers.values_mut().for_each(Item::settle);
        self.tcp.services.values_mut().for_each(Item::settle);
        self.tcp.middlewares.values_mut().for_each(Item::settle);
        self.udp.routers.values_mut().for_each(Item::settle);
        self.udp.services.values_mut().for_each(Item::settle);
    }
}

/// One object and what became of it.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// As configured, with the defaults applied.
    pub config: Arc<T>,
    /// Whether it serves.
    pub status: Status,
    /// Why it does not, or what is odd about it.
    pub errors: Vec<String>,
    /// Routers: the entry points bound. Services and middlewares: the routers that use it.
    pub used: Vec<Arc<str>>,
    /// Routers: the effective priority.
    pub priority: i64,
}

/// Whether an object serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Enabled,
    /// It does, with a restriction.
    Warning,
    /// It does not.
    Disabled,
}

impl<T> Item<T> {
    /// An object without defects so far.
    pub fn new(config: Arc<T>) -> Self {
        Self { config, status: Status::Enabled, errors: Vec::new(), used: Vec::new(), priority: 0 }
    }

    /// Notes a defect; the worst one rules the status.
    pub fn note(&mut self, status: Status, message: impl Into<String>) {
        self.status = self.status.max(status);
        let message = message.into();
        if !self.errors.contains(&message) {
            self.errors.push(message);
        }
    }

    /// Notes who uses it. Whoever does so twice is found by [`Item::settle`], since a service may have many users.
    pub fn used_by(&mut self, name: &Arc<str>) {
        if self.used.last() == Some(name) {
            return;
        }
        if self.used.is_empty() {
            // Most have but one.
            self.used.reserve_exact(1);
        }
        self.used.push(Arc::clone(name));
    }

    /// Once all is noted: each user once, in no more room than that needs.
    pub fn settle(&mut self) {
        if self.used.len() > 1 {
            let mut seen = HashSet::with_capacity(self.used.len());
            self.used.retain(|name| seen.insert(Arc::clone(name)));
        }
        self.used.shrink_to_fit();
    }
}
