//! `replacePathRegex` rewrites the path with a regular expression.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use portcullis_config::pattern;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::replace_path::{REPLACED_PATH, with_slash};
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step, path};

/// Rewrites the path of a request with a regular expression. The query stays.
///
/// The path that was asked for is added to the request as `X-Replaced-Path`.
///
/// ```yaml
/// http:
///   middlewares:
///     by-version:
///       replacePathRegex:
///         regex: ^/api/v1/(.*)
///         replacement: /v1/api/$1 # /api/v1/users goes on as /v1/api/users
/// ```
///
/// The expression is compared with the escaped path (`/a%20b`), and escapes stay escapes. A request
/// whose path would then hold `.`, `..` or empty segments is answered with `400 Bad Request`: prefer
/// `^/old/(.*)` with `/new/$1` to `^/old(.*)` with `/new/$1`, which gives `/new//x`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplacePathRegex {
    /// The regular expression (Go's syntax) that finds what to replace. Every match is replaced, so
    /// anchor it with `^` and `$` where the whole path is meant. A path without a match goes on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub regex: String,
    /// What to put there. `$1` or `${1}` is the text of the first group, `${name}` that of a named
    /// group, `$$` a dollar sign. Write `${1}x`, as `$1x` is the group named `1x`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replacement: String,
}

impl Settings for ReplacePathRegex {
    const KIND: &'static str = "replacePathRegex";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let pattern = pattern::compile(self.regex.trim())
            .map_err(|error| Defect(format!("regex: {error}")))?;
        let replacement = self.replacement.trim().to_owned();
        Ok(vec![Step::filter(Replace { pattern, replacement })])
    }
}

struct Replace {
    pattern: Regex,
    replacement: String,
}

impl Filter for Replace {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        let old = request.target.path();
        let Cow::Owned(new) = self.pattern.replace_all(old, &self.replacement) else {
            return Flow::Next;
        };
        let Ok(value) = HeaderValue::from_str(old) else {
            return Flow::Stop(Box::new(Response::bad_request()));
        };
        // Traefik: escapes that the replacement holds or makes go to the server as they are there, so that
        // `%2e%2e` leaves the directory (CVE-2026-65600). They are part of the canonical form here.
        let Ok(new) = path::normalize(&new) else {
            return Flow::Stop(Box::new(broken_escape(&new)));
        };
        if request.target.set_path(&with_slash(&new)).is_err() {
            return Flow::Stop(Box::new(Response::bad_request()));
        }
        request.headers.append(REPLACED_PATH, value);
        Flow::Next
    }
}

/// Names the first percent sign that two hexadecimal digits do not follow.
fn broken_escape(path: &str) -> Response {
    let mut signs = path.match_indices('%').filter_map(|(at, _)| path.as_bytes().get(at..));
    let first = signs.find(|rest| path::split_escape(&rest[1..]).is_none()).unwrap_or_default();
    let shown = String::from_utf8_lossy(first.get(..3).unwrap_or(first));
    let message = format!("invalid URL escape {shown:?}");
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, &message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::testing::{TestBuild, request, run, run_now, settings, text};
    use crate::{Chain, path};

    fn chain(regex: &str, replacement: &str) -> Chain {
        let settings = settings(&format!("{{regex: {regex:?}, replacement: {replacement:?}}}"));
        TestBuild::new().compile("replacePathRegex", &settings).unwrap()
    }

    /// The target that the server sees, or the status.
    async fn seen(regex: &str, replacement: &str, target: &str) -> String {
        let request = request("GET", "a.example", target, &[]);
        let response = run(&chain(regex, replacement), request).await;
        match response.headers.get("x-target") {
            Some(target) => target.to_str().unwrap().to_owned(),
            None => response.status.as_str().to_owned(),
        }
    }

    #[tokio::test]
    async fn groups_go_into_the_new_path_and_the_query_stays() {
        assert_eq!(seen("^/foo/(.*)", "/bar/$1", "/foo/x?q").await, "/bar/x?q");
        assert_eq!(seen("^/foo/(?P<n>.*)", "/bar/${n}", "/foo/x").await, "/bar/x");
        assert_eq!(seen("^/foo/(.*)", " /bar/$1 ", "/foo/").await, "/bar/");
    }

    #[tokio::test]
    async fn replacement_is_read_as_go_reads_it() {
        assert_eq!(seen("^/foo/(.*)", "/b/${1}x/$1x$$/$2z", "/foo/p").await, "/b/px/$/");
    }

    #[tokio::test]
    async fn every_match_is_replaced() {
        assert_eq!(seen("/foo", "", "/a/foo/foo/b").await, "/a/b");
        assert_eq!(seen("/foo", "", "/foo").await, "/");
    }

    #[tokio::test]
    async fn escapes_stay_escapes() {
        assert_eq!(seen("^/foo/(.*)", "/bar/$1", "/foo/a%2Fb%20c").await, "/bar/a%2Fb%20c");
        assert_eq!(seen("^/p/(.*)", "/q r/é/$1", "/p/a%2Fb").await, "/q%20r/%C3%A9/a%2Fb");
        assert_eq!(seen("^/p/(.*)", "/q?x=$1", "/p/foo?a").await, "/q%3Fx=foo?a");
    }

    #[tokio::test]
    async fn new_path_begins_with_a_slash() {
        assert_eq!(seen("^/(.*)", "$1", "/foo").await, "/foo");
        assert_eq!(seen("^/(.*)", "$1", "/").await, "/");
    }

    #[tokio::test]
    async fn only_changed_requests_name_their_old_path() {
        let chain = chain("^/foo/(.*)", "/bar/$1");
        let response = run(&chain, request("GET", "a.example", "/foo/a%20b?q", &[])).await;
        assert_eq!(response.headers["saw-x-replaced-path"], "/foo/a%20b");
        let response = run(&chain, request("GET", "a.example", "/other", &[])).await;
        assert_eq!(response.headers["x-target"], "/other");
        assert!(!response.headers.contains_key("saw-x-replaced-path"));
    }

    #[tokio::test]
    async fn cve_2026_65600_paths_that_are_not_clean_are_refused() {
        assert_eq!(seen("^/foo(.*)", "/bar/$1", "/foo/x").await, "400");
        assert_eq!(seen("^/foo(.*)", "/bar/$1", "/foo..").await, "400");
        assert_eq!(seen("^/foo(.*)", "/bar/$1", "/foo../admin").await, "400");
        assert_eq!(seen("^/p/(.*)", "/q/%2e%2e/$1", "/p/x").await, "400");
        assert_eq!(seen("^/p/(.*)", "/q/%2e%$1/x", "/p/2e").await, "400");
        assert_eq!(seen("^/p/(.*)/(.*)", "/q/$1$2/x", "/p/./.").await, "400");
    }

    #[tokio::test]
    async fn broken_escape_is_500() {
        let response = run(&chain("o", "%"), request("GET", "a.example", "/foo", &[])).await;
        assert_eq!(response.status.as_u16(), 500);
        assert_eq!(text(response).await, "invalid URL escape \"%%\"\n");
        assert_eq!(seen("o", "%4", "/1o").await, "500");
    }

    #[test]
    fn broken_pattern_is_a_defect_of_its_field() {
        let settings = settings("{regex: '(', replacement: /x}");
        let error = TestBuild::new().compile("replacePathRegex", &settings).err().unwrap();
        assert!(error.0.starts_with("regex: "), "{error}");
    }

    proptest! {
        #[test]
        fn never_yields_a_path_that_cleaning_would_change(
            regex in "\\^?/?(a|\\.|%|\\(\\.\\*\\)|2){1,3}",
            replacement in "/?(a|\\.|%|2|e|E|/|\\$\\{1\\}){0,6}",
            tail in "([a./]|%2F|%2E|%25|%5C|%3F){0,8}",
        ) {
            let path = path::normalize(&format!("/{tail}")).unwrap().into_owned();
            let path = path::sanitize(&path).into_owned();
            let request = request("GET", "a.example", &path, &[]);
            let seen = run_now(&chain(&regex, &replacement), request);
            if let Some(target) = seen.headers.get("x-target") {
                let target = target.to_str().unwrap();
                prop_assert!(path::is_clean(target), "{path} became {target}");
            }
        }
    }
}
