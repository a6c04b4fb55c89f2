//! HTTP: routers, services, middlewares, servers transports.

mod health;
mod service;
mod transport;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use self::health::*;
pub use self::service::*;
pub use self::transport::*;
use crate::tree::{Node, Tree};

/// The HTTP part of a routing configuration. Maps keep the order of their source. The objects of which there are many
/// are shared by all who hold them: the provider, the newest configuration, the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// Routers by name: which requests go through which middlewares to which service.
    pub routers: IndexMap<String, Arc<Router>>,
    /// Services by name: who answers.
    pub services: IndexMap<String, Arc<Service>>,
    /// Middlewares by name, each of one kind.
    pub middlewares: IndexMap<String, Arc<Middleware>>,
    /// Transports by name: how services reach their servers.
    pub servers_transports: IndexMap<String, ServersTransport>,
}

/// Catches requests by a rule and sends them through middlewares to a service.
///
/// ```yaml
/// http:
///   routers:
///     shop:
///       rule: Host(`shop.example.com`) && PathPrefix(`/api`)
///       entryPoints: [websecure]
///       middlewares: [auth, strip-api]
///       service: shop
///       tls: {}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// The entry points it listens on. Without any it listens on those that are default entry points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// The middlewares, in the order in which a request meets them. A name without `@` is one of
    /// the same provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The service that answers. Required unless the router has children; providers that know
    /// containers fill it in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Which requests it catches, for example ``Host(`a.example`) && !Path(`/metrics`)``. Required
    /// unless the router is a child.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The routers whose child this one is. A child sees what passed a parent's rule and
    /// middlewares; it can have neither `tls`, `observability` nor `entryPoints` of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<String>,
    /// The syntax of the rule, `v3` or the older `v2`. Without it the default of the installation applies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_syntax: String,
    /// Routers with a higher priority are asked first. 0 means the length of the rule, so that
    /// longer rules come first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// With it the router catches only TLS connections, without it only plain ones. `tls: {}` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
    /// Switches access log, metrics and traces of this router off or on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observability: Option<Observability>,
    /// Set by providers that wrote the rule from a `defaultRule`: the recursion guard applies.
    #[serde(skip)]
    pub default_rule: DefaultRule,
}

/// Whether a router's rule came from a provider's `defaultRule`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultRule {
    /// The user wrote the rule.
    #[default]
    No,
    /// The provider rendered it.
    Rendered,
}

/// The TLS settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterTls {
    /// The TLS options for the hosts of the rule. Without a name those called `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// The resolver that obtains certificates for the hosts of the rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_resolver: String,
    /// The names to obtain certificates for. Without any they are taken from `Host` in the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A main name and its alternatives on one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// The main name, `example.com`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub main: String,
    /// Alternative names, `*.example.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
}

/// What is observed of a router. What is absent is as the entry point has it, and on if that says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Whether requests appear in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_logs: Option<bool>,
    /// Whether requests are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// Whether requests are traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// How much a trace shows: `minimal`, or `detailed` for one span per middleware.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_verbosity: String,
}

/// A configured middleware: its kind as the user spelled it and its settings, typed later by the middleware table.
///
/// In a tree it is a map with exactly one entry, `{ stripPrefix: { prefixes: [..] } }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Middleware {
    /// The kind as written, `stripPrefix` in any case.
    pub kind: String,
    /// The settings as they came.
    pub settings: Tree,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(in crate::routing) fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(in crate::routing) fn is_false(flag: &bool) -> bool {
    !flag
}

/// Written as it is read, the settings as they came.
impl Serialize for Middleware {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.kind, &self.settings)])
    }
}

impl<'de> Deserialize<'de> for Middleware {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Tree::deserialize(deserializer)?;
        Self::from_tree(tree).map_err(serde::de::Error::custom)
    }
}

impl Middleware {
    /// Takes the one entry of the map.
    fn from_tree(tree: Tree) -> Result<Self, String> {
        let Node::Map(map) = tree.node else {
            return Err("expected a map of one middleware kind and its settings".to_owned());
        };
        let kinds: Vec<String> = map.keys().map(|kind| format!("`{kind}`")).collect();
        let mut entries = map.into_iter();
        match (entries.next(), entries.next()) {
            (Some((kind, settings)), None) => Ok(Self { kind, settings }),
            (None, _) => Err("expected one middleware kind, found none".to_owned()),
            _ => Err(format!(
                "expected one middleware kind, found {}; give each a middleware of its own",
                kinds.join(" and ")
            )),
        }
    }
}
