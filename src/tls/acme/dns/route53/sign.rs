//! Signatures of requests to AWS (version 4), over the digests of aws-lc.

use aws_lc_rs::{digest, hmac};
use http::HeaderName;
use http::header::AUTHORIZATION;
use portcullis_config::units::Secret;

use crate::tls::certificate::hexadecimal;

/// Route 53 is one service for all regions.
const SCOPE: (&str, &str) = ("us-east-1", "route53");

/// Who asks.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) key: Secret,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// What is asked. Path and query are encoded, and the query is sorted.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a str,
}

impl Credentials {
    /// The headers that prove who asks.
    pub(super) fn sign(
        &self,
        asked: &Asked<'_>,
        now: jiff::Timestamp,
    ) -> Vec<(HeaderName, String)> {
        self.sign_for(asked, now, SCOPE)
    }

    fn sign_for(
        &self,
        asked: &Asked<'_>,
        now: jiff::Timestamp,
        (region, service): (&str, &str),
    ) -> Vec<(HeaderName, String)> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = time.get(..8).unwrap_or_default();
        let mut signed = vec![("host", asked.host), ("x-amz-date", &time)];
        if let Some(Secret(session)) = &self.session {
            signed.push(("x-amz-security-token", session));
        }
        let lines: Vec<_> =
            signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let headers = lines.concat();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let Asked { method, path, query, body, .. } = asked;
        let canonical =
            format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{}", sha256(body.as_bytes()));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let first = keyed(format!("AWS4{}", self.secret.0).as_bytes(), day);
        let key = [region, service, "aws4_request"]
            .iter()
            .fold(first, |key, part| keyed(key.as_ref(), part));
        let signature = hexadecimal(keyed(key.as_ref(), &text).as_ref());
        let credential = format!("{}/{scope}", self.key.0);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        let mut headers = vec![
            (AUTHORIZATION, authorization),
            (HeaderName::from_static("x-amz-date"), time.clone()),
        ];
        if let Some(Secret(session)) = &self.session {
            headers.push((HeaderName::from_static("x-amz-security-token"), session.clone()));
        }
        headers
    }
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example `get-vanilla` of the test suite that AWS publishes for this algorithm.
    #[test]
    fn the_published_example_is_met() {
        let credentials = Credentials {
            key: Secret("AKIDEXAMPLE".into()),
            secret: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
            session: None,
        };
        let asked =
            Asked { method: "GET", host: "example.amazonaws.com", path: "/", query: "", body: "" };
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let headers = credentials.sign_for(&asked, now, ("us-east-1", "service"));
        assert!(
            headers[0].1.ends_with(
                "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
            ),
            "{}",
            headers[0].1
        );
        assert!(!format!("{credentials:?}").contains("wJalr"));
    }
}
