//! Middlewares of TCP routers: gates that let a connection pass or have it closed.
//!
//! As for HTTP, a middleware is one file and one line in the table below. What the user writes is a [`Settings`]; it
//! compiles into a [`Gate`].

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_config::tree::Tree;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::build::{self, Defect};

/// Who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address, an IPv4-mapped one unfolded; the one that a believed PROXY header tells.
    pub address: IpAddr,
}

/// Decides whether a connection may go on. Asked before any byte is answered.
pub trait Gate: Send + Sync + 'static {
    /// A permit that is held until the connection ends, or `None`: the connection is closed.
    fn admit(&self, peer: &Peer) -> Option<Permit>;
}

/// The leave to go on; what it holds is released when it is dropped.
pub struct Permit {
    _held: Option<Box<dyn Any + Send>>,
}

impl Permit {
    /// A permit that holds nothing.
    pub fn free() -> Self {
        Self { _held: None }
    }

    /// A permit that holds `held` until the connection ends.
    pub fn holding(held: impl Any + Send) -> Self {
        Self { _held: Some(Box::new(held)) }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// The settings of one kind of TCP middleware.
pub trait Settings: DeserializeOwned + Serialize + JsonSchema + 'static {
    /// The kind as Traefik spells it, `inFlightConn`.
    const KIND: &'static str;

    /// Checks the settings and makes the gate of one router. It is kept over reloads as long as router, middleware and
    /// settings stay equal.
    fn compile(self) -> Result<Arc<dyn Gate>, Defect>;
}

/// One line of the table: a kind of TCP middleware as functions.
pub struct Kind {
    /// As Traefik spells it.
    pub name: &'static str,
    /// Types the settings and makes the gate.
    pub compile: fn(&Tree) -> Result<Arc<dyn Gate>, Defect>,
    /// The settings with their defaults as the API shows them.
    pub show: fn(&Tree) -> Result<serde_json::Value, Defect>,
    /// The JSON schema of the settings.
    pub schema: fn() -> schemars::Schema,
}

impl Kind {
    /// The line for `S`.
    pub const fn of<S: Settings>() -> Self {
        Self {
            name: S::KIND,
            compile: |tree| build::typed::<S>(tree)?.compile(),
            show: build::show::<S>,
            schema: || schemars::schema_for!(S),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

pub mod in_flight_conn;
pub mod ip_allow_list;
pub mod ip_white_list;

/// Every TCP middleware that Portcullis serves, in alphabetical order.
pub static KINDS: &[Kind] = &[
    Kind::of::<in_flight_conn::InFlightConn>(),
    Kind::of::<ip_allow_list::IpAllowList>(),
    Kind::of::<ip_white_list::IpWhiteList>(),
];

/// The kind whose name equals `name` in any case.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
}
