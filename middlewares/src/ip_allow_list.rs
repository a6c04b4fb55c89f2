//! `ipAllowList` lets only requests from listed addresses through.

use http::StatusCode;
use portcullis_config::units::IpRanges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Filter, Flow, Step};
use crate::client_ip::{ClientIp, IpStrategy};
use crate::exchange::Exchange;
use crate::message::{Body, Request, Response};

/// Lets requests through whose client has a listed address and refuses all others.
///
/// ```yaml
/// http:
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
    /// Which address counts as the client's; unset, that of the connection. A client whose address cannot be found
    /// is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_strategy: Option<IpStrategy>,
    /// The status of a refusal, 403 if unset. Its text is the body.
    #[serde(skip_serializing_if = "is_default")]
    pub reject_status_code: u16,
}

impl Settings for IpAllowList {
    const KIND: &'static str = "ipAllowList";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let reject = match self.reject_status_code {
            0 => StatusCode::FORBIDDEN,
            code => StatusCode::from_u16(code)
                .ok()
                // Traefik: 1xx passes its check as well, and ends in a response that is none.
                .filter(|status| !status.is_informational() && status.canonical_reason().is_some())
                .ok_or_else(|| format!("rejectStatusCode: {code} is not a known status"))?,
        };
        gate(&self.source_range, self.ip_strategy.as_ref(), reject)
    }
}

/// The step of this middleware and its deprecated namesake.
pub(crate) fn gate(
    source_range: &[String],
    strategy: Option<&IpStrategy>,
    reject: StatusCode,
) -> Result<Vec<Step>, Defect> {
    if source_range.is_empty() {
        return Err("sourceRange: at least one address or range is needed".into());
    }
    let allowed = IpRanges::parse(source_range.iter().map(String::as_str))
        .map_err(|message| format!("sourceRange: {message}"))?;
    let client = strategy.map(IpStrategy::compile).transpose()?.unwrap_or_default();
    Ok(vec![Step::filter(Gate { allowed, client, reject })])
}

struct Gate {
    allowed: IpRanges,
    client: ClientIp,
    reject: StatusCode,
}

impl Filter for Gate {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        if self.client.find(request).is_some_and(|address| self.allowed.contains(address)) {
            return Flow::Next;
        }
        let mut refusal = Response::bare(self.reject);
        if matches!(self.reject, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            refusal.body = Body::Empty;
        }
        Flow::Stop(Box::new(refusal))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chain::Chain;
    use crate::testing::{compile, request, request_from, run, text};

    fn chain(settings: serde_json::Value) -> Chain {
        compile::<IpAllowList>(settings).unwrap()
    }

    async fn status(chain: &Chain, request: Request) -> u16 {
        run(chain, request).await.status.as_u16()
    }

    #[tokio::test]
    async fn listed_clients_pass_and_others_get_the_bare_status() {
        let chain = chain(json!({ "sourceRange": ["192.0.2.0/28"] }));
        assert_eq!(status(&chain, request("GET", "h", "/", &[])).await, 200);
        let peer = "192.0.2.16:1".parse().unwrap();
        let refused = run(&chain, request_from(peer, "GET", "h", "/", &[])).await;
        assert_eq!(refused.status, 403);
        assert!(refused.headers.is_empty());
        assert_eq!(text(refused).await, "Forbidden");
    }

    #[tokio::test]
    async fn an_ipv4_mapped_peer_cannot_slip_by() {
        let chain = chain(json!({ "sourceRange": ["192.0.2.0/28"] }));
        for (peer, expected) in [("[::ffff:192.0.2.1]:1", 200), ("[::ffff:192.0.2.99]:1", 403)] {
            let request = request_from(peer.parse().unwrap(), "GET", "h", "/", &[]);
            assert_eq!(status(&chain, request).await, expected, "{peer}");
        }
        let all_of_ipv6 = self::chain(json!({ "sourceRange": ["::/0"] }));
        let request = request_from("[::ffff:192.0.2.1]:1".parse().unwrap(), "GET", "h", "/", &[]);
        assert_eq!(status(&all_of_ipv6, request).await, 403);
    }

    #[tokio::test]
    async fn a_client_that_cannot_be_found_is_refused() {
        let everyone = json!({
            "sourceRange": ["0.0.0.0/0", "::/0"], "ipStrategy": { "depth": 1 },
        });
        let chain = chain(everyone);
        for (forwarded, expected) in [("10.0.0.1", 200), ("junk", 403), ("", 403)] {
            let request = request("GET", "h", "/", &[("x-forwarded-for", forwarded)]);
            assert_eq!(status(&chain, request).await, expected, "{forwarded}");
        }
        assert_eq!(status(&chain, request("GET", "h", "/", &[])).await, 403);
    }

    #[tokio::test]
    async fn the_status_of_a_refusal_can_be_chosen() {
        let with = |code| json!({ "sourceRange": ["10.0.0.1"], "rejectStatusCode": code });
        let refused = run(&chain(with(404)), request("GET", "h", "/", &[])).await;
        assert_eq!(refused.status, 404);
        assert_eq!(text(refused).await, "Not Found");
        let refused = run(&chain(with(204)), request("GET", "h", "/", &[])).await;
        assert!(refused.body.is_end());
        assert_eq!(status(&chain(with(0)), request("GET", "h", "/", &[])).await, 403);
        for code in [101, 499, 999] {
            assert!(compile::<IpAllowList>(with(code)).is_err(), "{code}");
        }
    }

    #[test]
    fn an_empty_or_broken_list_is_a_defect() {
        for settings in [
            json!({}),
            json!({ "sourceRange": [] }),
            json!({ "sourceRange": ["10.0.0.0/8", "office"] }),
            json!({ "sourceRange": ["10.0.0.0/8"], "ipStrategy": { "depth": -1 } }),
        ] {
            assert!(compile::<IpAllowList>(settings.clone()).is_err(), "{settings}");
        }
    }

    #[test]
    fn the_api_shows_only_what_is_set() {
        let settings = json!({ "sourceRange": ["10.0.0.1"], "ipStrategy": { "ipv6Subnet": 64 } });
        let typed: IpAllowList = serde_json::from_value(settings.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), settings);
    }
}
