//! `Service`: where connections of TCP routers go.

use std::sync::Arc;

use smallvec::SmallVec;

use super::balancer::Balancer;
use super::server::Server;
use super::weighted::Weighted;

/// Where connections of TCP routers go.
#[derive(Debug)]
pub enum Service {
    /// To a server.
    Balancer(Balancer),
    /// To another service.
    Weighted(Weighted),
}

/// The servers that could not be reached for one connection.
pub type Tried = SmallVec<[Arc<Server>; 2]>;

impl Service {
    /// Whether there is a server that is up and was not tried.
    pub fn has(&self, tried: &Tried) -> bool {
        match self {
            Self::Balancer(balancer) => balancer.has(tried),
            Self::Weighted(weighted) => weighted.has(tried),
        }
    }

    /// The next server, of those that are up and were not tried.
    pub fn pick(&self, tried: &Tried) -> Option<Arc<Server>> {
        match self {
            Self::Balancer(balancer) => balancer.pick(tried),
            Self::Weighted(weighted) => weighted.pick(tried),
        }
    }

    /// Whether it tells of its health, as parents that watch their children demand.
    pub fn is_checked(&self) -> bool {
        match self {
            Self::Balancer(balancer) => balancer.is_checked(),
            Self::Weighted(weighted) => weighted.is_checked(),
        }
    }

    /// The balancer, if it is one.
    pub fn balancer(&self) -> Option<&Balancer> {
        match self {
            Self::Balancer(balancer) => Some(balancer),
            Self::Weighted(_) => None,
        }
    }
}
