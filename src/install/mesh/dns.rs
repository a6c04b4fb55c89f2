//! Names of services for workloads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::address::Address;
use crate::install::zero;

/// Answers `<service>.<zone>` to the workloads of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Dns {
    /// Where questions arrive, by UDP and TCP.
    #[serde(skip_serializing_if = "Address::is_unset")]
    pub listen: Address,
    /// What the names of services end in.
    pub zone: String,
    /// The range from which each service has an address.
    pub vip_range: String,
    /// Name servers for all other names; without any these are refused.
    #[serde(skip_serializing_if = "zero")]
    pub forward: Vec<String>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            listen: Address::default(),
            zone: "mesh".to_owned(),
            vip_range: "240.240.0.0/16".to_owned(),
            forward: Vec::new(),
        }
    }
}
