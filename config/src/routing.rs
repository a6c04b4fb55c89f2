//! `Routing`: what a provider provides. Traefik calls it the dynamic configuration.

pub mod http;
pub mod mesh;
pub mod places;
pub mod tcp;
pub mod tls;
pub mod udp;

mod typing;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::places::Places;
use crate::problem::Problem;
use crate::tree::Tree;

/// A whole routing configuration, by protocol. Names are unqualified as long as one provider holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Routing {
    /// HTTP routers, services, middlewares and transports.
    pub http: http::Http,
    /// TCP routers, services, middlewares and transports.
    pub tcp: tcp::Tcp,
    /// UDP routers and services.
    pub udp: udp::Udp,
    /// Certificates, TLS options and stores.
    pub tls: tls::Tls,
    /// Workloads, services, policies and nodes of the mesh.
    #[serde(skip_serializing_if = "mesh::Mesh::is_empty")]
    pub mesh: mesh::Mesh,
    /// Where the objects stand in their source, as far as it can tell.
    #[serde(skip)]
    pub places: Arc<Places>,
}

impl Routing {
    /// Types a tree object by object. An object that does not fit becomes an error [`Problem`] about it and is left
    /// out, except an HTTP or TCP router whose `rule` can be read: that one stays, with the fields that could be read,
    /// so that it keeps its place in the order; the problem marks it broken.
    ///
    /// Each field that does not fit is a problem of its own. `models`, which only Traefik itself writes, is ignored.
    pub fn from_tree(tree: &Tree) -> (Self, Vec<Problem>) {
        typing::routing(tree)
    }

    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
