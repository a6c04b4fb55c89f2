//! The configuration of all providers in one, with full names: what a snapshot is compiled from.

use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::problem::{About, At, Kind};
use portcullis_config::routing::http::{
    Middleware, Observability, Router, RouterTls, ServersTransport, Service,
};
use portcullis_config::routing::places::Places;
use portcullis_config::routing::{mesh, tcp, tls, udp};
use portcullis_config::{Name, Problem};

/// The configuration of all providers in one. Routers stand in the order that breaks ties of priority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// HTTP routers, with the defaults of their entry points applied.
    pub routers: IndexMap<Name, Arc<Router>>,
    /// HTTP services.
    pub services: IndexMap<Name, Arc<Service>>,
    /// HTTP middlewares.
    pub middlewares: IndexMap<Name, Arc<Middleware>>,
    /// HTTP servers transports.
    pub servers_transports: IndexMap<Name, ServersTransport>,
    /// TCP objects; routers with the default entry points applied.
    pub tcp: tcp::Tcp,
    /// UDP objects.
    pub udp: udp::Udp,
    /// Certificates, options by qualified name (`default` stays bare), stores.
    pub tls: tls::Tls,
    /// The mesh: workloads and policies by full name, services and nodes by the name that they have in the whole mesh.
    pub mesh: mesh::Mesh,
    /// Defects found by providers and by the merge, with full names.
    pub problems: Vec<Problem>,
    /// Where the objects of each provider stand.
    pub places: Vec<(Arc<str>, Arc<Places>)>,
}

impl Configuration {
    /// Where the object stands in its source, if that is known. `about` has its full name.
    pub fn place(&self, about: &About) -> Option<At> {
        let name = Name::verbatim(&about.name);
        let (base, provider) = (name.base(), name.provider());
        let of = |base: &str| {
            let mut places =
                self.places.iter().filter(|(it, _)| **it == *provider || provider.is_empty());
            places.find_map(|(_, places)| places.of(about.kind, base)).cloned()
        };
        let copied = matches!(about.kind, Kind::HttpRouter | Kind::TcpRouter);
        // The copy of a router on an entry point has that one's name before its own.
        let behind = base.match_indices('-').map(|(dash, _)| &base[dash + 1..]);
        of(base).or_else(|| behind.filter(|_| copied).find_map(of))
    }
}

/// What routers take from an entry point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryPointDefaults {
    /// Its name.
    pub name: Arc<str>,
    /// Whether routers without entry points listen on it.
    pub by_default: ByDefault,
    /// Put before each router's own.
    pub middlewares: Vec<String>,
    /// For routers without TLS settings.
    pub tls: Option<RouterTls>,
    /// For switches that a router leaves open.
    pub observability: Observability,
}

/// Whether routers without entry points listen on one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByDefault {
    /// They do.
    #[default]
    Yes,
    /// They must name it.
    No,
}
