//! `redirectRegex` sends clients to a URL made from their own by a regular expression.

use portcullis_config::pattern;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redirect::{self, Duration};
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Settings, Step};

/// Sends clients to another URL, made from the one they asked for by a regular expression.
///
/// ```yaml
/// http:
///   middlewares:
///     to-new-host:
///       redirectRegex:
///         regex: ^https?://old\.example\.com/(.*)
///         replacement: https://new.example.com/$1
///         permanent: true
/// ```
///
/// The expression is compared with the whole URL: scheme, host, port if the request names one, path
/// and query. The scheme is that of the connection, `https` with TLS and `http` without. A request
/// whose URL is not matched or not changed goes on.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedirectRegex {
    /// The regular expression (Go's syntax) that finds what to replace. Every match is replaced, so
    /// anchor it with `^` and `$` where the whole URL is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub regex: String,
    /// What to put there. `$1` or `${1}` is the text of the first group, `${name}` that of a named
    /// group, `$$` a dollar sign. Write `${1}x`, as `$1x` is the group named `1x`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replacement: String,
    /// Whether clients may remember the redirection: 301 or 308 instead of 302 or 307. The first of
    /// each pair answers GET, the second all other methods, so that they are repeated unchanged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

impl Settings for RedirectRegex {
    const KIND: &'static str = "redirectRegex";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let pattern =
            pattern::compile(&self.regex).map_err(|error| Defect(format!("regex: {error}")))?;
        let duration = Duration::of(self.permanent);
        Ok(vec![Step::filter(Redirect { pattern, replacement: self.replacement, duration })])
    }
}

struct Redirect {
    pattern: Regex,
    replacement: String,
    duration: Duration,
}

impl Filter for Redirect {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        // Traefik: unlike redirectScheme it does not heed X-Forwarded-Proto.
        let scheme = if request.connection.tls.is_some() { "https" } else { "http" };
        let old = format!("{scheme}://{}{}", request.host(), request.target.as_str());
        let new = self.pattern.replace_all(&old, &self.replacement);
        if *new == *old {
            return Flow::Next;
        }
        Flow::Stop(Box::new(redirect::answer(&request.method, &new, self.duration)))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::LOCATION;

    use crate::testing::{TestBuild, over_tls, request, run, settings};
    use crate::{Request, Response};

    async fn answer(regex: &str, replacement: &str, request: Request) -> Response {
        let settings = settings(&format!("{{regex: '{regex}', replacement: '{replacement}'}}"));
        let chain = TestBuild::new().compile("redirectRegex", &settings).unwrap();
        run(&chain, request).await
    }

    /// Where a GET of `http://a.example<target>` goes, or the status.
    async fn goes(regex: &str, replacement: &str, target: &str) -> String {
        let response = answer(regex, replacement, request("GET", "a.example", target, &[])).await;
        match response.headers.get(LOCATION) {
            Some(location) => String::from_utf8_lossy(location.as_bytes()).into_owned(),
            None => response.status.as_str().to_owned(),
        }
    }

    const ALL: &str = "^http://a.example/(.*)";

    #[tokio::test]
    async fn groups_go_into_the_new_url() {
        assert_eq!(goes(ALL, "https://b/$1", "/x%2Fy?c=d").await, "https://b/x%2Fy?c=d");
        assert_eq!(goes("^http://(?P<rest>.*)", "x://${rest}", "/").await, "x://a.example/");
    }

    #[tokio::test]
    async fn replacement_is_read_as_go_reads_it() {
        assert_eq!(goes(ALL, "https://b/${1}x/$1x/$$/$2", "/p").await, "https://b/px//$/");
        assert_eq!(goes("example", "e$0", "/example").await, "http://a.eexample/eexample");
    }

    #[tokio::test]
    async fn unmatched_and_unchanged_urls_pass() {
        assert_eq!(goes("^https://(.*)", "http://$1", "/").await, "200");
        assert_eq!(goes(ALL, "http://a.example/$1", "/x").await, "200");
    }

    #[tokio::test]
    async fn port_counts_if_it_is_named() {
        let named = request("GET", "a.example:8080", "/", &[]);
        assert_eq!(answer(ALL, "https://b/$1", named).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn scheme_is_that_of_the_connection() {
        let headers = [("x-forwarded-proto", "https")];
        let forwarded = request("GET", "a.example", "/", &headers);
        assert_eq!(answer(ALL, "https://b/$1", forwarded).await.status, StatusCode::FOUND);
        let secure = over_tls(request("GET", "a.example", "/", &[]));
        let response = answer("^https://", "http://", secure).await;
        assert_eq!(response.headers[LOCATION], "http://a.example/");
    }

    #[tokio::test]
    async fn status_tells_the_method() {
        for (method, status) in [("GET", 302), ("HEAD", 307), ("POST", 307)] {
            let response = answer("/foo$", "/bar", request(method, "a", "/foo", &[])).await;
            assert_eq!(response.status.as_u16(), status, "{method}");
        }
    }

    #[tokio::test]
    async fn result_that_is_no_url_is_502() {
        assert_eq!(goes(ALL, "https://%zz/$1", "/").await, "502");
        assert_eq!(goes(ALL, "https://b:99x/", "/").await, "502");
    }

    #[test]
    fn broken_pattern_is_a_defect_of_its_field() {
        let settings = settings("{regex: '(', replacement: x}");
        let error = TestBuild::new().compile("redirectRegex", &settings).err().unwrap();
        assert!(error.0.starts_with("regex: "), "{error}");
    }
}
