//! The section `[mesh]`: what this process is in the mesh.

mod dns;
mod identity;
mod join;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use dns::Dns;
pub use identity::{Identity, IdentityFiles, IdentitySource};
pub use join::Join;

use super::address::Address;
use super::entry_points::{EntryPoint, EntryPointKind};
use super::zero;

/// What this process is in the mesh. Without the section it has no part in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mesh {
    /// What it does: `edge` leads requests from outside into the mesh, `node` speaks for the workloads beside it,
    /// `control` issues certificates and tells who is where. Without any: `edge` and `node`.
    #[serde(skip_serializing_if = "zero")]
    pub roles: Vec<MeshRole>,
    /// The trust domain: the first part of every identity, such as `corp.example`.
    #[serde(skip_serializing_if = "zero")]
    pub trust_domain: String,
    /// The name of this node. Without one the host's.
    #[serde(skip_serializing_if = "zero")]
    pub node: String,
    /// Where tunnels from other nodes arrive.
    pub listen: Address,
    /// Who may reach a workload that no allowing policy is about: `deny` nobody, `allow-mesh` everybody with an identity
    /// of the mesh, `allow` everybody.
    pub default_policy: DefaultPolicy,
    /// Whether callers without an identity are refused (`strict`) or let in and counted (`permissive`).
    pub mode: MeshMode,
    /// The zone that this node is in.
    #[serde(skip_serializing_if = "zero")]
    pub zone: String,
    /// The region that this node is in.
    #[serde(skip_serializing_if = "zero")]
    pub region: String,
    /// Where certificates come from.
    pub identity: Identity,
    /// Names of services, answered to the workloads of this node.
    #[serde(skip_serializing_if = "zero")]
    pub dns: Option<Dns>,
    /// How this node becomes a part of the mesh.
    #[serde(skip_serializing_if = "zero")]
    pub join: Option<Join>,
    /// Local addresses that lead to services of the mesh.
    #[serde(skip_serializing_if = "zero")]
    pub upstreams: Vec<MeshUpstream>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            roles: Vec::new(),
            trust_domain: String::new(),
            node: String::new(),
            listen: Address::any(Self::PORT),
            default_policy: DefaultPolicy::AllowMesh,
            mode: MeshMode::Strict,
            zone: String::new(),
            region: String::new(),
            identity: Identity::default(),
            dns: None,
            join: None,
            upstreams: Vec::new(),
        }
    }
}

impl Mesh {
    /// The port at which tunnels end.
    pub const PORT: u16 = 15008;

    /// The name of the entry point at which tunnels arrive.
    pub const TUNNELS: &str = "mesh-in";

    /// The entry points that stand for its addresses.
    pub(super) fn entry_points(&self) -> Vec<(String, EntryPoint)> {
        let mut made = Vec::new();
        if self.has(MeshRole::Node) {
            let kind = EntryPointKind::MeshIn;
            let tunnels = EntryPoint { kind, ..EntryPoint::at(self.listen.clone()) };
            made.push((Self::TUNNELS.to_owned(), tunnels));
        }
        made.extend(self.upstreams.iter().map(|upstream| {
            let kind = EntryPointKind::MeshOut;
            let listener = EntryPoint { kind, ..EntryPoint::at(upstream.listen.clone()) };
            (upstream.entry_point(), listener)
        }));
        made
    }

    /// Whether this process does what `role` does.
    pub fn has(&self, role: MeshRole) -> bool {
        match self.roles.as_slice() {
            [] => role != MeshRole::Control,
            roles => roles.contains(&role),
        }
    }
}

/// What a process does in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MeshRole {
    /// Leads requests from outside into the mesh.
    Edge,
    /// Speaks for the workloads beside it.
    Node,
    /// Issues certificates and tells who is where.
    Control,
}

/// Who may reach a workload that no allowing policy is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultPolicy {
    /// Nobody.
    Deny,
    /// Everybody with an identity of the mesh.
    #[default]
    AllowMesh,
    /// Everybody.
    Allow,
}

/// Whether callers without an identity are let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MeshMode {
    /// They are refused.
    #[default]
    Strict,
    /// They are let in, and counted.
    Permissive,
}

/// A local address that leads to a service of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshUpstream {
    /// The service, `web.default`.
    #[serde(skip_serializing_if = "zero")]
    pub service: String,
    /// Its port.
    pub port: u16,
    /// The address to listen on, `127.0.0.1:9001`.
    #[serde(skip_serializing_if = "Address::is_unset")]
    pub listen: Address,
    /// For whom calls are made: `account` of the namespace `default`, or `namespace/account`. Without it the node itself
    /// is the caller.
    #[serde(skip_serializing_if = "zero")]
    pub account: String,
}

impl MeshUpstream {
    /// Namespace and account of the caller, if one is named.
    pub fn caller(&self) -> Option<(&str, &str)> {
        match self.account.as_str() {
            "" => None,
            text => Some(text.split_once('/').unwrap_or(("default", text))),
        }
    }

    /// The name of the entry point that stands for it.
    pub fn entry_point(&self) -> String {
        let caller = self.account.replace('/', ".");
        let dash = if caller.is_empty() { "" } else { "-" };
        format!("mesh-{}-{}{dash}{caller}", self.service, self.port)
    }
}
