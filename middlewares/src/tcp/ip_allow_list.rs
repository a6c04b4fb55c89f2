//! `ipAllowList` lets only connections from listed addresses through.

use std::sync::Arc;

use portcullis_config::units::IpRanges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, Peer, Permit, Settings};
use crate::build::Defect;

/// Lets connections through that come from a listed address and closes all others.
///
/// ```yaml
/// tcp:
///   middlewares:
///     office:
///       ipAllowList:
///         sourceRange: ["192.168.1.0/24", "2001:db8::7"]
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IpAllowList {
    /// Addresses and ranges (CIDR) that may pass; at least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_range: Vec<String>,
}

impl Settings for IpAllowList {
    const KIND: &'static str = "ipAllowList";

    fn compile(self) -> Result<Arc<dyn Gate>, Defect> {
        gate(&self.source_range)
    }
}

/// The gate of this middleware and its deprecated namesake.
pub(super) fn gate(source_range: &[String]) -> Result<Arc<dyn Gate>, Defect> {
    if source_range.is_empty() {
        return Err("sourceRange: at least one address or range is needed".into());
    }
    let allowed = IpRanges::parse(source_range.iter().map(String::as_str))
        .map_err(|message| format!("sourceRange: {message}"))?;
    Ok(Arc::new(Allowed(allowed)))
}

struct Allowed(IpRanges);

impl Gate for Allowed {
    fn admit(&self, peer: &Peer) -> Option<Permit> {
        self.0.contains(peer.address).then(Permit::free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_addresses_pass() {
        let gate = gate(&["192.0.2.0/28".to_owned(), "2001:db8::7".to_owned()]).unwrap();
        let passes = |address: &str| gate.admit(&Peer { address: address.parse().unwrap() });
        assert!(passes("192.0.2.1").is_some());
        assert!(passes("2001:db8::7").is_some());
        assert!(passes("192.0.2.99").is_none());
        assert!(passes("::ffff:192.0.2.1").is_some());
        assert!(passes("::ffff:192.0.2.99").is_none());
    }

    #[test]
    fn an_empty_or_broken_list_is_a_defect() {
        let defect = |ranges: &[&str]| {
            let ranges: Vec<String> = ranges.iter().map(|range| (*range).to_owned()).collect();
            gate(&ranges).err().unwrap().0
        };
        assert!(defect(&[]).starts_with("sourceRange"));
        assert!(defect(&["10.0.0.0/8", "office"]).contains("office"));
    }
}
