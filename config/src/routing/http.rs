//! HTTP: routers, services, middlewares, servers transports.

mod service;
mod transport;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use self::service::*;
pub use self::transport::*;
use crate::tree::{Node, Tree};

/// The HTTP part of a routing configuration; maps keep the order of their source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// By name.
    pub routers: IndexMap<String, Router>,
    /// By name.
    pub services: IndexMap<String, Service>,
    /// By name.
    pub middlewares: IndexMap<String, Middleware>,
    /// By name.
    pub servers_transports: IndexMap<String, ServersTransport>,
}

/// What the user wrote to catch requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Router {
    /// Entry points it listens on; empty = all default ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry_points: Vec<String>,
    /// Middlewares in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub middlewares: Vec<String>,
    /// The service that answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The rule text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Parents, if this is a child router.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<String>,
    /// `v2` or `v3`; empty = the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_syntax: String,
    /// Higher first; 0 = the length of the rule.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// Present = only TLS connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RouterTls>,
    /// Per-router switches.
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

/// TLS settings of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouterTls {
    /// Name of TLS options; empty = `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// ACME resolver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_resolver: String,
    /// Names to request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A main name and its alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// The main name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub main: String,
    /// Alternative names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
}

/// Per-router switches of access log, metrics and traces; absent = the entry point's, then on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Access log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_logs: Option<bool>,
    /// Metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
    /// Traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<bool>,
    /// `minimal` or `detailed`.
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
