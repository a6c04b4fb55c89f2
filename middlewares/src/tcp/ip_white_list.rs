//! `ipWhiteList`, the older name of `ipAllowList`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, Settings, ip_allow_list};
use crate::build::Defect;

/// Deprecated: use `ipAllowList`, which does the same.
///
/// ```yaml
/// tcp:
///   middlewares:
///     office:
///       ipWhiteList:
///         sourceRange: ["192.168.1.0/24"]
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IpWhiteList {
    /// Addresses and ranges (CIDR) that may pass; at least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_range: Vec<String>,
}

impl Settings for IpWhiteList {
    const KIND: &'static str = "ipWhiteList";

    fn compile(self) -> Result<Arc<dyn Gate>, Defect> {
        ip_allow_list::gate(&self.source_range)
    }
}
