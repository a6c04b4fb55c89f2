//! `addPrefix` puts a prefix before the path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::Target;
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Response, Settings, Step, path};

/// Puts a prefix before the path of a request, so that a server which lives below a path can be
/// reached without it. The query stays.
///
/// ```yaml
/// http:
///   middlewares:
///     below-app:
///       addPrefix:
///         prefix: /app # /users?page=2 goes on as /app/users?page=2
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AddPrefix {
    /// What to put before the path: plain text, not percent-escaped. A slash at its beginning is
    /// added and one at its end dropped, as the path brings its own. It must not be empty and must
    /// not hold `.`, `..` or empty segments.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

impl Settings for AddPrefix {
    const KIND: &'static str = "addPrefix";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        if self.prefix.is_empty() {
            return Err("prefix: must not be empty".into());
        }
        // Traefik: a final slash gives `/app//users` there, which no path middleware may make here.
        let text = format!("/{}", self.prefix.trim_matches('/'));
        if text == "/" {
            return Ok(Vec::new());
        }
        let prefix = path::normalize(&text.replace('%', "%25"))
            .ok()
            .and_then(|escaped| Target::parse_path(&escaped).ok())
            .ok_or_else(|| {
                let prefix = &self.prefix;
                format!("prefix: `{prefix}` must not hold `.`, `..` or empty segments")
            })?;
        Ok(vec![Step::filter(Prepend { prefix })])
    }
}

struct Prepend {
    prefix: Target,
}

impl Filter for Prepend {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        match request.target.prepend(&self.prefix) {
            Ok(()) => Flow::Next,
            Err(_) => Flow::Stop(Box::new(Response::bad_request())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::path;
    use crate::testing::{TestBuild, request, run, run_now, settings};

    async fn target(prefix: &str, target: &str) -> String {
        let settings = settings(&format!("prefix: {prefix:?}"));
        let chain = TestBuild::new().compile("addPrefix", &settings).unwrap();
        let response = run(&chain, request("GET", "a.example", target, &[])).await;
        response.headers["x-target"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn prefix_stands_before_the_path_and_the_query_stays() {
        assert_eq!(target("/foo", "/api/x?q=1").await, "/foo/api/x?q=1");
        assert_eq!(target("/foo", "/").await, "/foo/");
    }

    #[tokio::test]
    async fn prefix_has_one_slash_on_either_side() {
        assert_eq!(target("foo/", "/api").await, "/foo/api");
        assert_eq!(target("/", "/api").await, "/api");
    }

    #[tokio::test]
    async fn escapes_of_the_path_stay_as_they_are() {
        assert_eq!(target("/foo", "/api%2Fx/a%20b").await, "/foo/api%2Fx/a%20b");
    }

    #[tokio::test]
    async fn prefix_is_text_and_is_escaped() {
        assert_eq!(target("/a b", "/x").await, "/a%20b/x");
        assert_eq!(target("/a%2Fc", "/x").await, "/a%252Fc/x");
        assert_eq!(target("/é?x", "/x").await, "/%C3%A9%3Fx/x");
    }

    #[test]
    fn prefixes_that_leave_themselves_are_refused() {
        for prefix in ["", "/a/../b", "/..", "/a//b", "/./a"] {
            let settings = settings(&format!("prefix: {prefix:?}"));
            let error = TestBuild::new().compile("addPrefix", &settings).err().unwrap();
            assert!(error.0.starts_with("prefix: "), "{prefix}: {error}");
        }
    }

    proptest! {
        #[test]
        fn clean_paths_stay_clean(prefix in "/[a-c.%/ é]{1,6}", tail in "[a-c./]{0,8}") {
            let settings = settings(&format!("prefix: {prefix:?}"));
            let clean = path::sanitize(&format!("/{tail}")).into_owned();
            if let Ok(chain) = TestBuild::new().compile("addPrefix", &settings) {
                let seen = run_now(&chain, request("GET", "a.example", &clean, &[]));
                let seen = seen.headers["x-target"].to_str().unwrap().to_owned();
                prop_assert!(path::is_clean(&seen), "{clean} became {seen}");
            }
        }
    }
}
