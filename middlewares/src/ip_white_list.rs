//! `ipWhiteList`, the name that `ipAllowList` had before.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{Build, Defect, Settings};
use crate::chain::Step;
use crate::client_ip::IpStrategy;
use crate::ip_allow_list::gate;

/// The deprecated name of `ipAllowList`; refuses with 403.
///
/// ```yaml
/// http:
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
    /// Which address counts as the client's; unset, that of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_strategy: Option<IpStrategy>,
}

impl Settings for IpWhiteList {
    const KIND: &'static str = "ipWhiteList";

    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        tracing::warn!(middleware = %build.name(), "ipWhiteList is deprecated, use ipAllowList");
        gate(&self.source_range, self.ip_strategy.as_ref(), StatusCode::FORBIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{compile, request, run};

    #[tokio::test]
    async fn the_old_name_does_the_same() {
        for (range, expected) in [("192.0.2.1", 200), ("192.0.2.2", 403)] {
            let chain = compile::<IpWhiteList>(json!({ "sourceRange": [range] })).unwrap();
            let response = run(&chain, request("GET", "h", "/", &[])).await;
            assert_eq!(response.status, expected);
        }
        assert!(compile::<IpWhiteList>(json!({})).is_err());
    }
}
