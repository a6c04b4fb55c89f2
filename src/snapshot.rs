//! `Snapshot`: all that a request needs, immutable, made whole and swapped whole.

pub mod compile;
pub mod configuration;
pub mod extension;
pub mod kept;
pub mod report;
pub mod subject;

use std::fmt;
use std::sync::Arc;

use portcullis_config::pieces::Pieces;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Chain, Exchange};

use crate::http::routes::Routes;
use crate::observe::series::{EntryPointSeries, RouterSeries};
use crate::tls::acme::Wanted;
use crate::tls::policy::Policy;
use crate::upstream::service::Service;
use crate::{tcp, udp};

/// All that a request needs.
#[derive(Debug)]
pub struct Snapshot {
    /// By index of the entry point.
    pub entry_points: Vec<EntryPoint>,
    /// The router of each UDP entry point, by index.
    pub udp: Vec<Option<Arc<udp::route::Route>>>,
    /// What became of each configured object.
    pub report: report::Report,
    /// The certificates that are to be obtained.
    pub wanted: Vec<Wanted>,
    /// Hosts whose clients get a certificate that is not for them, each with its router, as text.
    pub uncovered: Vec<String>,
    /// The parts that the next snapshot may take over.
    pub kept: kept::Kept,
}

impl Snapshot {
    /// Ends a snapshot that nobody else holds, object by object: see [`Pieces`].
    pub fn drop_in_pieces(self) {
        for entry_point in self.entry_points {
            entry_point.plain.drop_in_pieces();
            entry_point.secure.drop_in_pieces();
        }
        let pieces = Pieces::begin();
        pieces.drop_each(self.report.routers);
        pieces.drop_each(self.report.services);
        pieces.drop_each(self.kept.steps);
        pieces.drop_each(self.kept.endpoints);
    }
}

/// The routes of one entry point.
#[derive(Debug)]
pub struct EntryPoint {
    /// What counts for it.
    pub series: Arc<EntryPointSeries>,
    /// For connections in the clear.
    pub plain: Routes<Arc<Route>>,
    /// For TLS connections.
    pub secure: Routes<Arc<Route>>,
    /// How TLS connections are accepted.
    pub policy: Policy,
    /// The TCP routers.
    pub tcp: tcp::table::Table,
}

/// One compiled rule with its chain. (A `Router` is what the user wrote.)
pub struct Route {
    /// What counts for it.
    pub series: Arc<RouterSeries>,
    /// Its middlewares.
    pub chain: Chain,
    /// What stands at their end.
    pub leaf: Leaf,
}

/// What stands at the end of a route.
pub enum Leaf {
    /// A service.
    Service(Arc<Service>),
    /// Child routers, tried on the request as the chain left it.
    Children(Box<Routes<Arc<Route>>>),
    /// The router has a valid rule and a broken part: 404, and no lower router gets the request.
    Broken,
}

impl Route {
    /// Answers a request that matches.
    pub async fn run(&self, request: Request, exchange: &Exchange) -> Response {
        if matches!(self.leaf, Leaf::Broken) {
            return Response::not_found();
        }
        self.chain.run(request, &self.leaf, exchange).await
    }
}

impl portcullis_middlewares::Service for Leaf {
    async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
        match self {
            Self::Service(service) => service.call(request, exchange).await,
            Self::Children(routes) => child(routes, request, exchange).await,
            Self::Broken => Response::not_found(),
        }
    }
}

/// Runs the child router that takes the request as its parent left it.
async fn child(routes: &Routes<Arc<Route>>, request: Request, exchange: &Exchange) -> Response {
    let found = subject::with(&request, |subject| routes.find(subject).cloned());
    let Some(route) = found else { return Response::not_found() };
    exchange.note(|facts| facts.router = Some(Arc::clone(&route.series.name)));
    route.chain.run_boxed(request, &route.leaf, exchange).await
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({})", self.series.name)
    }
}
