//! `replacePath` puts a fixed path in place of whatever path was asked for.

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::Target;
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step, path};

/// Puts a fixed path in place of the path of a request. The query stays.
///
/// The path that was asked for is added to the request as `X-Replaced-Path`.
///
/// ```yaml
/// http:
///   middlewares:
///     one-page:
///       replacePath:
///         path: /index.html # /users?page=2 goes on as /index.html?page=2
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplacePath {
    /// The new path. Percent-escapes in it stay escapes; a slash at its beginning is added if it has
    /// none. It must not hold `.`, `..` or empty segments.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl Settings for ReplacePath {
    const KIND: &'static str = "replacePath";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let text = &self.path;
        let Ok(escaped) = path::normalize(text) else {
            return Err(format!("path: `{text}` holds a broken percent-escape").into());
        };
        // Traefik: what is not clean or does not begin with a slash goes to the server as it is there.
        let Ok(target) = Target::parse_path(&with_slash(&escaped)) else {
            return Err(format!("path: `{text}` must not hold `.`, `..` or empty segments").into());
        };
        Ok(vec![Step::filter(Replace { target })])
    }
}

struct Replace {
    target: Target,
}

impl Filter for Replace {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        let old = HeaderValue::from_str(request.target.path());
        match (old, request.target.take_path(&self.target)) {
            (Ok(old), Ok(())) => {
                request.headers.append(REPLACED_PATH, old);
                Flow::Next
            }
            _ => Flow::Stop(Box::new(Response::bad_request())),
        }
    }
}

/// The path, made to begin with a slash.
pub(crate) fn with_slash(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Holds the path that was asked for.
pub(crate) const REPLACED_PATH: HeaderName = HeaderName::from_static("x-replaced-path");

#[cfg(test)]
mod tests {
    use crate::testing::{TestBuild, request, run, settings};

    async fn seen(path: &str, target: &str) -> (String, String) {
        let settings = settings(&format!("path: {path:?}"));
        let chain = TestBuild::new().compile("replacePath", &settings).unwrap();
        let response = run(&chain, request("GET", "a.example", target, &[])).await;
        let header = |name| response.headers[name].to_str().unwrap().to_owned();
        (header("x-target"), header("saw-x-replaced-path"))
    }

    fn pair(target: &str, replaced: &str) -> (String, String) {
        (target.to_owned(), replaced.to_owned())
    }

    #[tokio::test]
    async fn path_is_replaced_and_the_query_stays() {
        assert_eq!(seen("/new", "/a/b%2Fc?q=1").await, pair("/new?q=1", "/a/b%2Fc"));
        assert_eq!(seen("/new", "/").await, pair("/new", "/"));
    }

    #[tokio::test]
    async fn old_path_is_added_to_those_that_were_there() {
        let chain = TestBuild::new().compile("replacePath", &settings("path: /new")).unwrap();
        let request = request("GET", "a.example", "/x", &[("x-replaced-path", "/mine")]);
        let response = run(&chain, request).await;
        let all: Vec<_> = response.headers.get_all("saw-x-replaced-path").iter().collect();
        assert_eq!(all, ["/mine", "/x"]);
    }

    #[tokio::test]
    async fn new_path_may_hold_escapes_and_is_escaped_where_needed() {
        assert_eq!(seen("/x%2Fy", "/a").await, pair("/x%2Fy", "/a"));
        assert_eq!(seen("/a b", "/a").await, pair("/a%20b", "/a"));
        assert_eq!(seen("/x?y=1", "/a?z").await, pair("/x%3Fy=1?z", "/a"));
    }

    #[tokio::test]
    async fn new_path_begins_with_a_slash() {
        assert_eq!(seen("new", "/a").await, pair("/new", "/a"));
        assert_eq!(seen("", "/a?b").await, pair("/?b", "/a"));
    }

    #[test]
    fn paths_that_are_not_clean_are_refused() {
        for path in ["/x/../y", "/x//y", "/x/%2e%2e/y", "/..", "/x%zz"] {
            let settings = settings(&format!("path: {path:?}"));
            let error = TestBuild::new().compile("replacePath", &settings).err().unwrap();
            assert!(error.0.starts_with("path: "), "{error}");
        }
    }
}
