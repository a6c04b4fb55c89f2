//! `Route`: one compiled TCP router.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_middlewares::tcp::{Gate, Peer, Permit};
use smallvec::SmallVec;

use super::service::Service;
use crate::tls::policy::Policy;

/// One compiled TCP router. (A `Router` is what the user wrote.)
pub struct Route {
    /// The full name of the router.
    pub name: Arc<str>,
    /// Its middlewares.
    pub gates: Vec<Arc<dyn Gate>>,
    /// What becomes of TLS.
    pub mode: Mode,
    /// Where connections go.
    pub leaf: Leaf,
}

/// What becomes of TLS.
pub enum Mode {
    /// There is none.
    Plain,
    /// It ends here, on these terms.
    Terminate(Arc<Policy>),
    /// The server does it.
    Passthrough,
}

/// Where connections go.
pub enum Leaf {
    /// To a service.
    Service(Arc<Service>),
    /// The router has a valid rule and a broken part: its connections are closed, and no lower router gets them.
    Broken,
}

/// The permits of one connection.
pub type Permits = SmallVec<[Permit; 1]>;

impl Route {
    /// A route that closes its connections.
    pub fn broken(name: Arc<str>) -> Self {
        Self { name, gates: Vec::new(), mode: Mode::Plain, leaf: Leaf::Broken }
    }

    /// Asks the middlewares in order. `None`: the connection is closed.
    pub fn admit(&self, address: IpAddr) -> Option<Permits> {
        let peer = Peer { address };
        self.gates.iter().map(|gate| gate.admit(&peer)).collect()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({})", self.name)
    }
}
