//! `Service`: what answers at the end of a route.

use std::fmt;
use std::sync::Arc;

use portcullis_middlewares::chain::BoxedService;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Chain, Exchange};

use super::balancer::Balancer;

/// What answers at the end of a route.
pub enum Service {
    /// Balances over servers.
    Balancer(Balancer),
    /// Middlewares that belong to the service, and the service itself.
    Wrapped(Chain, Arc<Service>),
    /// A part of the gateway, such as its API.
    Internal(Arc<dyn BoxedService>),
}

impl portcullis_middlewares::Service for Service {
    async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
        match self {
            Self::Balancer(balancer) => balancer.call(request, exchange).await,
            Self::Wrapped(chain, inner) => chain.run_boxed(request, &**inner, exchange).await,
            Self::Internal(service) => service.call_boxed(request, exchange).await,
        }
    }
}

impl Service {
    /// Whether it can answer: at least one server is up, all the way down.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Balancer(balancer) => balancer.is_up(),
            Self::Wrapped(_, inner) => inner.is_up(),
            Self::Internal(_) => true,
        }
    }

    /// The balancer, if this is one, with or without middlewares.
    pub fn balancer(&self) -> Option<&Balancer> {
        match self {
            Self::Balancer(balancer) => Some(balancer),
            Self::Wrapped(_, inner) => inner.balancer(),
            Self::Internal(_) => None,
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balancer(_) => "Service::Balancer",
            Self::Wrapped(..) => "Service::Wrapped",
            Self::Internal(_) => "Service::Internal",
        })
    }
}
