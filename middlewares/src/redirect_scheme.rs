//! `redirectScheme` sends clients to the same URL with another scheme, usually from HTTP to HTTPS.

use http::uri::Scheme;
use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::redirect::{self, Duration};
use crate::{Build, Defect, Exchange, Filter, Flow, Request, Settings, Step};

/// Sends clients to the same URL with another scheme or port, usually from HTTP to HTTPS.
///
/// ```yaml
/// http:
///   middlewares:
///     to-https:
///       redirectScheme:
///         scheme: https
///         permanent: true
/// ```
///
/// A request that came with that scheme and port goes on. Its scheme is the one of its connection,
/// or that of `X-Forwarded-Proto` if an upstream proxy that the entry point trusts has set it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedirectScheme {
    /// The scheme to go to, `https`. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    /// The port to go to; without it the usual one of the scheme, whatever port the request named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub port: String,
    /// Whether clients may remember the redirection: 301 or 308 instead of 302 or 307. The first of
    /// each pair answers GET, the second all other methods, so that they are repeated unchanged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

impl Settings for RedirectScheme {
    const KIND: &'static str = "redirectScheme";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        // Traefik: an upper-case scheme never equals that of the request there and loops.
        let scheme = self.scheme.to_ascii_lowercase();
        if scheme.is_empty() {
            return Err("scheme: must not be empty; `https` is usual".into());
        }
        if scheme.parse::<Scheme>().is_err() {
            return Err(format!("scheme: `{scheme}` is not a scheme such as `https`").into());
        }
        let port = match self.port.as_str() {
            "" => None,
            text => Some(text.parse::<u16>().map_err(|_| {
                format!("port: `{text}` is not a port number from 0 to 65535")
            })?),
        };
        let port = port.filter(|port| usual_port(&scheme) != Some(*port));
        let duration = Duration::of(self.permanent);
        Ok(vec![Step::filter(Redirect { scheme: scheme.into(), port, duration })])
    }
}

struct Redirect {
    scheme: Box<str>,
    /// If it is not the usual one of the scheme.
    port: Option<u16>,
    duration: Duration,
}

impl Filter for Redirect {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        let scheme = scheme(request);
        let (host, port) = split_port(request.host());
        let usual = usual_port(scheme);
        let port = port.filter(|port| port.parse().ok().is_none_or(|port| Some(port) != usual));
        let same_port = match (port, self.port) {
            (None, None) => true,
            (Some(text), Some(port)) => text.parse() == Ok(port),
            _ => false,
        };
        if same_port && scheme == &*self.scheme {
            return Flow::Next;
        }
        let target = request.target.as_str();
        let url = match self.port {
            Some(port) => format!("{}://{host}:{port}{target}", self.scheme),
            None => format!("{}://{host}{target}", self.scheme),
        };
        Flow::Stop(Box::new(redirect::answer(&request.method, &url, self.duration)))
    }
}

/// The scheme that the client used. The entry point lets only trusted peers name another one.
fn scheme(request: &Request) -> &'static str {
    let forwarded = request.headers.get(FORWARDED_PROTO).map(|value| value.as_bytes());
    let is = |name: &str| forwarded.is_some_and(|value| value.eq_ignore_ascii_case(name.as_bytes()));
    if is("https") || is("wss") {
        "https"
    } else if is("http") || is("ws") || request.connection.tls.is_none() {
        "http"
    } else {
        "https"
    }
}

/// Host and port of a `Host` header; the brackets of an IPv6 address stay.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::LOCATION;

    use crate::testing::{TestBuild, over_tls, request, run, settings, text};
    use crate::{Request, Response};

    async fn answer(yaml: &str, request: Request) -> Response {
        let chain = TestBuild::new().compile("redirectScheme", &settings(yaml)).unwrap();
        run(&chain, request).await
    }

    /// Where a GET goes, or `passed`.
    async fn goes(yaml: &str, host: &str, proto: &str) -> String {
        let headers = [("x-forwarded-proto", proto)];
        let headers = if proto.is_empty() { &[][..] } else { &headers[..] };
        let response = answer(yaml, request("GET", host, "/a%2Fb?c", headers)).await;
        match response.headers.get(LOCATION) {
            Some(location) => location.to_str().unwrap().to_owned(),
            None => "passed".to_owned(),
        }
    }

    const HTTPS: &str = "scheme: https";

    #[tokio::test]
    async fn plain_requests_go_to_https_and_keep_path_and_query() {
        let response = answer(HTTPS, request("GET", "a.example", "/a?b=c", &[])).await;
        assert_eq!(response.status, StatusCode::FOUND);
        assert_eq!(response.headers[LOCATION], "https://a.example/a?b=c");
        assert_eq!(response.headers.len(), 1);
        assert_eq!(text(response).await, "Found");
    }

    #[tokio::test]
    async fn status_tells_method_and_duration() {
        let forever = "{scheme: https, permanent: true}";
        for (yaml, method, status) in [
            (HTTPS, "GET", 302),
            (HTTPS, "HEAD", 307),
            (HTTPS, "POST", 307),
            (forever, "GET", 301),
            (forever, "HEAD", 308),
            (forever, "PUT", 308),
        ] {
            let response = answer(yaml, request(method, "a.example", "/", &[])).await;
            assert_eq!(response.status.as_u16(), status, "{method}");
        }
    }

    #[tokio::test]
    async fn secure_requests_pass() {
        let secure = over_tls(request("GET", "a.example", "/", &[]));
        assert_eq!(answer(HTTPS, secure).await.status, StatusCode::OK);
        for proto in ["https", "HTTPS", "wss"] {
            assert_eq!(goes(HTTPS, "a.example", proto).await, "passed", "{proto}");
        }
        for proto in ["http", "ws", "ftp"] {
            assert_eq!(goes(HTTPS, "a.example", proto).await, "https://a.example/a%2Fb?c");
        }
    }

    #[tokio::test]
    async fn trusted_proxy_knows_better_than_the_connection() {
        let headers = [("x-forwarded-proto", "http")];
        let secure = over_tls(request("GET", "a.example", "/", &headers));
        assert_eq!(answer(HTTPS, secure).await.status, StatusCode::FOUND);
    }

    #[tokio::test]
    async fn port_of_the_request_gives_way() {
        assert_eq!(goes(HTTPS, "a.example:8080", "").await, "https://a.example/a%2Fb?c");
        assert_eq!(goes(HTTPS, "a.example:8080", "https").await, "https://a.example/a%2Fb?c");
        assert_eq!(goes(HTTPS, "a.example:443", "https").await, "passed");
        assert_eq!(goes(HTTPS, "[::1]:8080", "").await, "https://[::1]/a%2Fb?c");
        assert_eq!(goes(HTTPS, "[::1]", "").await, "https://[::1]/a%2Fb?c");
    }

    #[tokio::test]
    async fn other_port_is_named() {
        let other = "{scheme: https, port: 8443}";
        assert_eq!(goes(other, "a.example", "").await, "https://a.example:8443/a%2Fb?c");
        assert_eq!(goes(other, "a.example", "https").await, "https://a.example:8443/a%2Fb?c");
        assert_eq!(goes(other, "a.example:8443", "https").await, "passed");
    }

    #[tokio::test]
    async fn usual_port_is_left_out() {
        let usual = "{scheme: https, port: '443'}";
        assert_eq!(goes(usual, "a.example", "").await, "https://a.example/a%2Fb?c");
        assert_eq!(goes("{scheme: https, port: '80'}", "b", "").await, "https://b:80/a%2Fb?c");
        assert_eq!(goes("{scheme: http, port: '80'}", "b:8080", "").await, "http://b/a%2Fb?c");
        assert_eq!(goes("{scheme: http, port: '80'}", "b", "").await, "passed");
    }

    #[test]
    fn bad_settings_name_their_field() {
        for (yaml, field) in [
            ("{}", "scheme"),
            ("scheme: foo bar", "scheme"),
            ("{scheme: https, port: abc}", "port"),
            ("{scheme: https, port: 70000}", "port"),
        ] {
            let error = TestBuild::new().compile("redirectScheme", &settings(yaml)).err().unwrap();
            assert!(error.0.starts_with(field), "{error}");
        }
    }
}
