//! `stripPrefixRegex` removes what a regular expression finds at the beginning of the path.

use http::HeaderValue;
use portcullis_config::pattern;
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::BadPath;
use crate::strip_prefix::FORWARDED_PREFIX;
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step, prefix};

/// Removes what a regular expression matches at the beginning of the path. The query stays.
///
/// What was removed is added to the request as `X-Forwarded-Prefix`, so that the server can make
/// links that lead back to it.
///
/// ```yaml
/// http:
///   middlewares:
///     without-tenant:
///       stripPrefixRegex:
///         regex:
///           - /tenants/[a-z0-9]+ # /tenants/blue/users goes on as /users
/// ```
///
/// The path is compared in decoded form; only slashes stay escaped, as `%2F`. A request whose path
/// would then hold `.`, `..` or empty segments is answered with `400 Bad Request`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StripPrefixRegex {
    /// Regular expressions (Go's syntax). The first whose match begins at the first character of the
    /// path decides; a request that none of them matches goes on as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regex: Vec<String>,
}

impl Settings for StripPrefixRegex {
    const KIND: &'static str = "stripPrefixRegex";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let patterns = self.regex.iter().map(|text| pattern::compile_bytes(text.trim()));
        let patterns = patterns
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Defect(format!("regex: {error}")))?;
        Ok(vec![Step::filter(Strip { patterns })])
    }
}

struct Strip {
    patterns: Vec<Regex>,
}

impl Filter for Strip {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        match self.strip(request) {
            Ok(()) => Flow::Next,
            Err(_) => Flow::Stop(Box::new(Response::bad_request())),
        }
    }
}

impl Strip {
    fn strip(&self, request: &mut Request) -> Result<(), BadPath> {
        let path = request.target.path();
        let decoded = prefix::decode(path);
        let found = self.patterns.iter().find_map(|pattern| {
            pattern.find(&decoded).filter(|found| found.start() == 0 && !found.is_empty())
        });
        let Some(found) = found else { return Ok(()) };
        let value = HeaderValue::from_bytes(found.as_bytes()).map_err(|_| BadPath)?;
        let rest = prefix::rooted(prefix::skip(path, found.end())?)?;
        request.target = request.target.with_path(&rest)?;
        request.headers.append(FORWARDED_PREFIX, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use crate::testing::{TestBuild, request, run, run_now, settings};
    use crate::{Chain, path};

    fn chain(patterns: &[&str]) -> Chain {
        let settings = settings(&format!("regex: {patterns:?}"));
        TestBuild::new().compile("stripPrefixRegex", &settings).unwrap()
    }

    /// The target and the prefix that the server sees; empty if the request is refused.
    async fn seen(patterns: &[&str], target: &str) -> (String, String) {
        let request = request("GET", "a.example", target, &[]);
        let response = run(&chain(patterns), request).await;
        let header = |name| response.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
        let text = |name| String::from_utf8_lossy(header(name)).into_owned();
        (text("x-target"), text("saw-x-forwarded-prefix"))
    }

    fn pair(target: &str, prefix: &str) -> (String, String) {
        (target.to_owned(), prefix.to_owned())
    }

    const THREE: &[&str] = &["/foo/[a-z0-9]+/[0-9]+/"];

    #[tokio::test]
    async fn match_at_the_beginning_goes() {
        assert_eq!(seen(THREE, "/foo/abc/123/x?q").await, pair("/x?q", "/foo/abc/123/"));
        assert_eq!(seen(THREE, "/foo/abc/123/").await, pair("/", "/foo/abc/123/"));
        assert_eq!(seen(&["^/a/[^/]+"], "/a/b/c").await, pair("/c", "/a/b"));
    }

    #[tokio::test]
    async fn match_elsewhere_or_of_nothing_does_not_count() {
        assert_eq!(seen(THREE, "/foo/abc/123").await, pair("/foo/abc/123", ""));
        assert_eq!(seen(THREE, "/x/foo/abc/123/y").await, pair("/x/foo/abc/123/y", ""));
        assert_eq!(seen(&["x*"], "/q").await, pair("/q", ""));
        assert_eq!(seen(&[], "/q").await, pair("/q", ""));
    }

    #[tokio::test]
    async fn path_is_compared_decoded() {
        assert_eq!(seen(&["/é+", "/a b"], "/%C3%A9%C3%A9/x").await, pair("/x", "/éé"));
        assert_eq!(seen(&["/é+", "/a b"], "/a%20b/x%20y").await, pair("/x%20y", "/a b"));
        assert_eq!(seen(&["^/a/[^/]+"], "/a/b%20c/d%2Fe").await, pair("/d%2Fe", "/a/b c"));
    }

    #[tokio::test]
    async fn cve_2026_40912_escapes_before_the_cut_do_not_move_it() {
        assert_eq!(seen(&["/a%3Fb", "/a\\?b"], "/a%3Fb/admin").await, pair("/admin", "/a?b"));
        assert_eq!(seen(&["^/a/[^/]+"], "/a/b%2Fc/d").await, pair("/d", "/a/b%2Fc"));
    }

    #[tokio::test]
    async fn unclean_rests_and_split_escapes_are_refused() {
        for (pattern, target) in [
            ("/api", "/api../x"),
            ("/api", "/api%2Fadmin"),
            ("/api", "/api%2F..%2Fadmin"),
            ("/api.", "/api%2Fadmin"),
            ("(?s)/api.", "/api%0A/x"),
        ] {
            let request = request("GET", "a.example", target, &[]);
            let response = run(&chain(&[pattern]), request).await;
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{pattern} {target}");
        }
    }

    #[test]
    fn broken_pattern_is_a_defect_of_its_field() {
        let settings = settings("regex: ['(']");
        let error = TestBuild::new().compile("stripPrefixRegex", &settings).err().unwrap();
        assert!(error.0.starts_with("regex: "), "{error}");
    }

    proptest! {
        #[test]
        fn never_yields_a_path_that_cleaning_would_change(
            pattern in "/(a|\\.|%|\\.\\*|\\[\\^/\\]\\+){1,3}/?",
            tail in "([a./]|%2F|%2E|%25|%5C|%3F|%C3|%A9){0,8}",
        ) {
            let path = path::normalize(&format!("/{tail}")).unwrap().into_owned();
            let path = path::sanitize(&path).into_owned();
            let seen = run_now(&chain(&[&pattern]), request("GET", "a.example", &path, &[]));
            if let Some(target) = seen.headers.get("x-target") {
                let target = target.to_str().unwrap();
                prop_assert!(path::is_clean(target), "{pattern} off {path} gave {target}");
            }
        }
    }
}
