//! `stripPrefix` removes the first matching prefix from the path and tells the server which one it was.

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step, prefix};

/// Removes a prefix from the path before a request goes on, so that a server need not know below
/// which path it is published. The query stays.
///
/// The prefix that was removed is added to the request as `X-Forwarded-Prefix`, so that the server
/// can make links that lead back to it.
///
/// ```yaml
/// http:
///   middlewares:
///     without-api:
///       stripPrefix:
///         prefixes:
///           - /api # /api/users goes on as /users
/// ```
///
/// Prefixes are compared character by character, not segment by segment: `/api` is also removed from
/// `/apifoo`, which goes on as `/foo`. A request whose path would then hold `.`, `..` or empty
/// segments, such as `/api../admin`, is answered with `400 Bad Request`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StripPrefix {
    /// Prefixes to remove, as plain text and not percent-escaped. The first that the path begins
    /// with is removed; a request with none of them goes on as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Deprecated and without effect: what is left always begins with exactly one slash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_slash: Option<bool>,
}

impl Settings for StripPrefix {
    const KIND: &'static str = "stripPrefix";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let prefixes = self.prefixes.iter().map(|prefix| parse(prefix.trim()));
        Ok(vec![Step::filter(Strip { prefixes: prefixes.collect::<Result<_, _>>()? })])
    }
}

fn parse(prefix: &str) -> Result<(Box<str>, HeaderValue), Defect> {
    match HeaderValue::from_bytes(prefix.as_bytes()) {
        Ok(value) => Ok((prefix.into(), value)),
        Err(_) => Err(format!("prefixes: {prefix:?} holds a control character").into()),
    }
}

struct Strip {
    prefixes: Vec<(Box<str>, HeaderValue)>,
}

impl Filter for Strip {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        let path = request.target.path();
        let found = self
            .prefixes
            .iter()
            .find_map(|(prefix, value)| Some((prefix::cut(path, prefix)?, value)));
        let Some((rest, value)) = found else { return Flow::Next };
        match prefix::rooted(rest).and_then(|rest| request.target.with_path(&rest)) {
            Ok(target) => {
                request.target = target;
                request.headers.append(FORWARDED_PREFIX, value.clone());
                Flow::Next
            }
            Err(_) => Flow::Stop(Box::new(Response::bad_request())),
        }
    }
}

/// Names the prefix that was removed.
pub(crate) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use crate::testing::{TestBuild, request, run, run_now, settings, text};
    use crate::{Chain, path};

    fn chain(prefixes: &[&str]) -> Chain {
        let settings = settings(&format!("prefixes: {prefixes:?}"));
        TestBuild::new().compile("stripPrefix", &settings).unwrap()
    }

    /// The target and the prefix that the server sees; empty if the request is refused.
    async fn seen(prefixes: &[&str], target: &str) -> (String, String) {
        let request = request("GET", "a.example", target, &[]);
        let response = run(&chain(prefixes), request).await;
        let header = |name| response.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        let text = |name| String::from_utf8_lossy(header(name)).into_owned();
        (text("x-target"), text("saw-x-forwarded-prefix"))
    }

    fn pair(target: &str, prefix: &str) -> (String, String) {
        (target.to_owned(), prefix.to_owned())
    }

    #[tokio::test]
    async fn prefix_goes_and_the_query_stays() {
        assert_eq!(seen(&["/api"], "/api/x?q=1").await, pair("/x?q=1", "/api"));
        assert_eq!(seen(&["/api/"], "/api/x").await, pair("/x", "/api/"));
        assert_eq!(seen(&["/api"], "/apifoo").await, pair("/foo", "/api"));
        assert_eq!(seen(&["/"], "/a").await, pair("/a", "/"));
    }

    #[tokio::test]
    async fn nothing_left_is_the_root() {
        assert_eq!(seen(&["/api"], "/api").await, pair("/", "/api"));
        assert_eq!(seen(&["/api"], "/api/").await, pair("/", "/api"));
        assert_eq!(seen(&["/api"], "/api?q").await, pair("/?q", "/api"));
    }

    #[tokio::test]
    async fn first_matching_prefix_wins() {
        assert_eq!(seen(&["/b", "/a", "/a/b"], "/a/b/c").await, pair("/b/c", "/a"));
    }

    #[tokio::test]
    async fn other_paths_go_on_untouched() {
        assert_eq!(seen(&["/api"], "/other").await, pair("/other", ""));
        assert_eq!(seen(&["api"], "/api").await, pair("/api", ""));
        assert_eq!(seen(&[], "/api").await, pair("/api", ""));
    }

    #[tokio::test]
    async fn prefix_is_compared_as_text() {
        assert_eq!(seen(&["/a b"], "/a%20b/c").await, pair("/c", "/a b"));
        assert_eq!(seen(&["/c("], "/c%28d").await, pair("/d", "/c("));
        assert_eq!(seen(&["/a%2Fb"], "/a%252Fb/c").await, pair("/c", "/a%2Fb"));
        assert_eq!(seen(&["/a%2Fb"], "/a%2Fb/c").await, pair("/a%2Fb/c", ""));
    }

    #[tokio::test]
    async fn escapes_that_are_left_stay() {
        assert_eq!(seen(&["/api"], "/api/%2Fx/a%20b").await, pair("/%2Fx/a%20b", "/api"));
        assert_eq!(seen(&["/api"], "/api/%252e%252e/x").await, pair("/%252e%252e/x", "/api"));
    }

    #[tokio::test]
    async fn cve_2026_48020_dots_after_the_prefix_are_refused() {
        for target in ["/api../x", "/api..", "/api./x", "/api/../x", "/api//x"] {
            let response = run(&chain(&["/api"]), request("GET", "a.example", target, &[])).await;
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{target}");
            assert_eq!(text(response).await, "Bad Request\n");
        }
    }

    #[tokio::test]
    async fn escaped_slash_does_not_become_a_slash() {
        for target in ["/api%2Fx", "/api%2F..%2Fadmin", "/api%2Fadmin%2F.."] {
            let response = run(&chain(&["/api"]), request("GET", "a.example", target, &[])).await;
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{target}");
        }
        assert_eq!(seen(&["/a/b"], "/a%2Fb/c").await, pair("/a%2Fb/c", ""));
    }

    #[tokio::test]
    async fn prefixes_of_two_middlewares_both_reach_the_server() {
        let headers = [("x-forwarded-prefix", "/outer")];
        let request = request("GET", "a.example", "/api/x", &headers);
        let response = run(&chain(&["/api"]), request).await;
        let all: Vec<_> = response.headers.get_all("saw-x-forwarded-prefix").iter().collect();
        assert_eq!(all, ["/outer", "/api"]);
    }

    proptest! {
        #[test]
        fn never_yields_a_path_that_cleaning_would_change(
            prefix in "/[a.%/]{0,4}",
            tail in "([a./]|%2F|%2E|%25|%5C|%3F){0,8}",
        ) {
            let Ok(normal) = path::normalize(&format!("{}{tail}", prefix.replace('%', "%25")))
                .map(|path| path::sanitize(&path).into_owned()) else { return Ok(()) };
            let seen = run_now(&chain(&[&prefix]), request("GET", "a.example", &normal, &[]));
            if let Some(target) = seen.headers.get("x-target") {
                let target = target.to_str().unwrap();
                prop_assert!(path::is_clean(target), "{prefix} off {normal} gave {target}");
            }
        }
    }
}
