//! `Exchange`: the facts of one request, for access log, metrics and chain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::message::{Connection, Fault};

/// The facts of one request. Shared by reference along the chain; the mutable part is behind a lock that nobody
/// else ever holds at the same time (uncontended: one compare-and-swap), so that futures stay `Send`.
#[derive(Debug)]
pub struct Exchange {
    /// When the head was read.
    pub start: Instant,
    /// The client's connection.
    pub connection: Arc<Connection>,
    facts: Mutex<Facts>,
}

/// What becomes known while a request runs.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The user name tried, also if refused.
    pub user: Option<Box<str>>,
    /// The child router that took over, `parent -> child`.
    pub router: Option<Arc<str>>,
    /// The service that was called last, `web@file`.
    pub service: Option<Arc<str>>,
    /// The URL of the server that was tried last.
    pub server: Option<Arc<str>>,
    /// Tries beyond the first.
    pub retries: u32,
    /// The status that the server gave, before middlewares.
    pub origin_status: Option<u16>,
    /// The headers that the server gave, before middlewares; only filled if something is here already, because the access
    /// log wants them.
    pub origin_headers: Option<Box<HeaderMap>>,
    /// Time to the server's response head.
    pub origin_duration: Option<Duration>,
    /// Why the gateway answered itself.
    pub fault: Option<Fault>,
    /// What exactly failed, for the log.
    pub cause: Option<Box<str>>,
    /// The call of the mesh that the request belongs to or became.
    pub mesh: Option<Arc<MeshCall>>,
}

/// A call of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshCall {
    /// Who calls: a SPIFFE id.
    pub source: Box<str>,
    /// Who is called: a SPIFFE id.
    pub destination: Box<str>,
    /// The id that both sides have for the connection, where it is known.
    pub connection: Option<Box<str>>,
}

impl Exchange {
    /// A record that begins now.
    pub fn begin(connection: Arc<Connection>) -> Self {
        Self { start: Instant::now(), connection, facts: Mutex::default() }
    }

    /// Changes the facts.
    pub fn note(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock());
    }

    /// Reads the facts.
    pub fn facts<T>(&self, read: impl FnOnce(&Facts) -> T) -> T {
        read(&self.facts.lock())
    }

    /// The facts at the end.
    pub fn into_facts(self) -> Facts {
        self.facts.into_inner()
    }
}
