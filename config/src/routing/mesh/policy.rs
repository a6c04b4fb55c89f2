//! `Policy`: who may call what in the mesh.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Allows or denies calls to the workloads that it targets. It is judged at the destination, on the identity in the caller's
/// certificate and, where a condition asks for it, on the HTTP request.
///
/// ```yaml
/// web-from-shop:
///   target: { service: web.default }
///   action: allow
///   from: ["ns/shop/sa/*", "sa/edge.*"]
///   to: [{ ports: [80], methods: [GET], paths: ["/api/**"] }]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// The workloads that it protects.
    pub target: Target,
    /// `enforce`, or `audit`: what it would refuse is logged and counted, and goes on. `enforce` if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// `allow` or `deny`.
    pub action: String,
    /// The callers: patterns of SPIFFE ids, or of addresses of callers without one. Everybody if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// What they call; one of the entries must fit. Everything if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Call>,
    /// Whether fields of it could not be read: it then refuses whatever it targets.
    #[serde(skip)]
    pub broken: bool,
}

/// The workloads that a policy protects: those that fit every field that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    /// The workloads of this service, `web.default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The workload of this name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The workloads of this namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The workloads that run under this account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// All workloads; stands alone.
    pub all: bool,
}

/// A sort of calls: every field that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Call {
    /// Ports as the catalog numbers them (`port`, not `targetPort`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// Methods of HTTP requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths of HTTP requests: `*` stands for any characters within a segment, `**` for any segments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Headers of HTTP requests by name; `*` stands for any characters.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
}
