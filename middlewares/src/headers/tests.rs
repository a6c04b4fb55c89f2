//! Headers through a real chain; how they meet each other.

mod cross_origin;
mod custom;
mod security;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, VARY};
use http::{HeaderMap, StatusCode};

use crate::chain::Step;
use crate::message::WithoutForwardedFor;
use crate::testing::{TestBuild, over_tls, request, run, settings, text};
use crate::{Chain, Exchange, Request, Response, Service};

fn chain(yaml: &str) -> Chain {
    TestBuild::new().compile("headers", &settings(yaml)).unwrap()
}

fn defect(yaml: &str) -> String {
    TestBuild::new().compile("headers", &settings(yaml)).err().unwrap().0
}

async fn get(yaml: &str, headers: &[(&str, &str)]) -> Response {
    run(&chain(yaml), request("GET", "a.example", "/", headers)).await
}

async fn preflight(yaml: &str, headers: &[(&str, &str)]) -> Response {
    let asked = [("origin", "http://o.com"), ("access-control-request-method", "PUT")];
    let headers = [&asked, headers].concat();
    run(&chain(yaml), request("OPTIONS", "a.example", "/", &headers)).await
}

/// All lines of a header; a missing one is `-`.
fn line(headers: &HeaderMap, name: &str) -> String {
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if lines.is_empty() { "-".to_owned() } else { lines.join(" | ") }
}

fn cors(headers: &HeaderMap) -> [String; 6] {
    ["origin", "credentials", "methods", "headers"]
        .map(|name| format!("access-control-allow-{name}"))
        .into_iter()
        .chain(["expose-headers", "max-age"].map(|name| format!("access-control-{name}")))
        .map(|name| line(headers, &name))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

const CORS: &str = "{accessControlAllowMethods: [GET, PUT], accessControlAllowHeaders: [X-Foo, X-Bar], \
     accessControlAllowOriginList: ['http://o.com', 'http://p.com'], accessControlMaxAge: 100, \
     addVaryHeader: true, accessControlAllowCredentials: true, accessControlExposeHeaders: [E1, E2]}";
const OURS: [(&str, &str); 1] = [("origin", "http://o.com")];
const FOREIGN: [(&str, &str); 1] = [("origin", "http://bad.com")];

#[test]
fn no_option_at_all_is_a_defect() {
    for yaml in ["frameDeny: false", "accessControlAllowMethods: []", "{}"] {
        assert!(defect(yaml).contains("no option is set"), "{yaml}");
    }
    assert!(chain("sslRedirect: true").is_empty());
}

#[test]
fn api_shows_what_was_set() {
    let kind = crate::kind("headers").unwrap();
    let yaml = "{frameDeny: true, stsSeconds: 0, accessControlMaxAge: 0, addVaryHeader: true, \
                sslProxyHeaders: {b: '1'}, isDevelopment: false, sslRedirect: true, forceSTSHeader: true, \
                customBrowserXSSValue: x}";
    let expected = serde_json::json!({
        "accessControlMaxAge": 0, "addVaryHeader": true, "sslProxyHeaders": {"b": "1"},
        "stsSeconds": 0, "frameDeny": true, "sslRedirect": true, "forceSTSHeader": true,
        "customBrowserXSSValue": "x",
    });
    assert_eq!((kind.show)(&settings(yaml)).unwrap(), expected);
}
