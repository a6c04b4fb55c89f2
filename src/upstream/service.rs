//! `Service`: what answers at the end of a route.

use std::fmt;
use std::sync::Arc;

use portcullis_middlewares::chain::BoxedService;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Chain, Exchange};

use super::balancer::{Balancer, Reports};
use super::failover::Failover;
use super::highest_random_weight::HighestRandomWeight;
use super::mirroring::Mirroring;
use super::weighted::Weighted;

/// What answers at the end of a route.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are balancers, and a request spares a look-up"
)]
pub enum Service {
    /// Balances over servers.
    Balancer(Balancer),
    /// Shares requests out among services.
    Weighted(Weighted),
    /// Sends each client address always to the same service.
    HighestRandomWeight(HighestRandomWeight),
    /// One service answers, others receive copies.
    Mirroring(Mirroring),
    /// A second service answers while the first is down.
    Failover(Failover),
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
            composite => Box::pin(composite.call_composite(request, exchange)).await,
        }
    }
}

impl Service {
    /// Apart, so that the future of a plain balancer stays small.
    async fn call_composite(&self, request: Request, exchange: &Exchange) -> Response {
        match self {
            Self::Weighted(service) => service.call(request, exchange).await,
            Self::HighestRandomWeight(service) => service.call(request, exchange).await,
            Self::Mirroring(service) => service.call(request, exchange).await,
            Self::Failover(service) => service.call(request, exchange).await,
            Self::Balancer(_) | Self::Wrapped(..) | Self::Internal(_) => {
                self.call_boxed(request, exchange).await
            }
        }
    }

    /// Whether it can answer, as far as it watches health: with servers, whether one is up.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Balancer(service) => service.is_up(),
            Self::Weighted(service) => service.is_up(),
            Self::HighestRandomWeight(service) => service.is_up(),
            Self::Mirroring(service) => service.is_up(),
            Self::Failover(service) => service.is_up(),
            Self::Wrapped(_, inner) => inner.is_up(),
            Self::Internal(_) => true,
        }
    }

    /// Whether it tells of its health, as parents that watch their children demand.
    pub fn reports(&self) -> Reports {
        match self {
            Self::Balancer(service) => service.reports(),
            Self::Weighted(service) => service.reports(),
            Self::HighestRandomWeight(service) => service.reports(),
            Self::Mirroring(service) => service.reports(),
            Self::Failover(service) => service.reports(),
            Self::Wrapped(_, inner) => inner.reports(),
            Self::Internal(_) => Reports::Nothing,
        }
    }

    /// The service without the middlewares that belong to it.
    pub fn bare(&self) -> &Self {
        match self {
            Self::Wrapped(_, inner) => inner.bare(),
            bare => bare,
        }
    }

    /// The balancer, if this is one, with or without middlewares.
    pub fn balancer(&self) -> Option<&Balancer> {
        match self.bare() {
            Self::Balancer(balancer) => Some(balancer),
            _ => None,
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balancer(_) => "Service::Balancer",
            Self::Weighted(_) => "Service::Weighted",
            Self::HighestRandomWeight(_) => "Service::HighestRandomWeight",
            Self::Mirroring(_) => "Service::Mirroring",
            Self::Failover(_) => "Service::Failover",
            Self::Wrapped(..) => "Service::Wrapped",
            Self::Internal(_) => "Service::Internal",
        })
    }
}
