use ::http::{HeaderMap, StatusCode};
use portcullis_config::routing::http::{Middleware, ServersTransport};
use portcullis_config::tree::Tree;
use portcullis_middlewares::message::{Body, Fault, Request, Response};
use portcullis_middlewares::{Exchange, Service as _};
use serde_json::{Value, json};

use super::*;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::{Context, compile};
use crate::snapshot::configuration::Configuration;
use crate::tls::configurations::{Configurations, Conflicts};
use crate::upstream::testing::{TestServer, connection, request, status, text, until};

fn context() -> Context {
    Context {
        entry_points: Vec::new(),
        internal: Default::default(),
        udp_entry_points: Vec::new(),
        default_transport: ServersTransport::default(),
        default_tcp_transport: Default::default(),
        spiffe: None,
        tls: Configurations::new().unwrap(),
        conflicts: Conflicts::Refuse,
        extension: None,
    }
}

/// Compiles services by name; names without provider are of `file`. They may use the middleware `again`.
fn snapshot(services: Value, previous: Option<&Snapshot>) -> Snapshot {
    let mut configuration = Configuration::default();
    let attempts = [("attempts", "4"), ("initialInterval", "1ms")];
    let settings = attempts.map(|(name, text)| (name.to_owned(), Tree::scalar(text)));
    let status = Tree::list(vec![Tree::scalar("502")]);
    let settings = settings.into_iter().chain([("status".to_owned(), status)]);
    let again = Middleware { kind: "retry".to_owned(), settings: Tree::map(settings) };
    configuration.middlewares.insert(Name::verbatim("again@file"), again.into());
    for (name, settings) in services.as_object().unwrap() {
        let settings: http::Service = serde_json::from_value(settings.clone()).unwrap();
        configuration.services.insert(Name::qualify(name, "file"), settings.into());
    }
    compile(&configuration, previous, &context()).0
}

/// A balancer over one server.
fn over(server: &TestServer) -> Value {
    json!({ "loadBalancer": { "servers": [{ "url": server.url() }] } })
}

/// The same with a health check that never gets to check.
fn checked(server: &TestServer) -> Value {
    let servers = json!([{ "url": server.url() }]);
    json!({ "loadBalancer": { "servers": servers, "healthCheck": { "interval": "1h" } } })
}

async fn call(snapshot: &Snapshot, name: &str, request: Request) -> Response {
    let service = &snapshot.report.compiled[&Name::qualify(name, "file")];
    service.call(request, &Exchange::begin(connection())).await
}

async fn get(snapshot: &Snapshot, name: &str) -> String {
    text(call(snapshot, name, request("GET", "/", &[])).await).await
}

fn post(body: &'static str) -> Request {
    let mut request = request("POST", "/x?y", &[("x-kept", "1")]);
    request.headers.insert("content-length", body.len().into());
    request.body = Body::from(body);
    request
}

fn error(snapshot: &Snapshot, name: &str) -> String {
    let item = &snapshot.report.services[&Name::qualify(name, "file")];
    assert!(!snapshot.report.compiled.contains_key(&Name::qualify(name, "file")));
    item.errors.join("; ")
}

#[tokio::test]
async fn weighted_children_share_by_weight() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let children = json!([{ "name": "a", "weight": 3 }, { "name": "b@file" }]);
    let services = json!({
        "a": over(&a),
        "b": over(&b),
        "w@other": { "weighted": { "services": [{ "name": "b@file" }] } },
        "w": { "weighted": { "services": children } },
        "none": { "weighted": { "services": [{ "name": "a", "weight": 0 }] } },
    });
    let snapshot = snapshot(services, None);
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(get(&snapshot, "w").await);
    }
    assert_eq!(answers.iter().filter(|answer| *answer == "a").count(), 6);
    assert_eq!(get(&snapshot, "w@other").await, "b");
    assert_eq!(get(&snapshot, "none").await, "no available server\n");
}

#[tokio::test]
async fn stickiness_nests() {
    let (a, b, c) =
        (TestServer::named("a").await, TestServer::named("b").await, TestServer::named("c").await);
    let servers = json!([{ "url": a.url() }, { "url": b.url() }]);
    let services = json!({
        "inner": { "loadBalancer": { "sticky": { "cookie": { "name": "in" } }, "servers": servers } },
        "other": over(&c),
        "w": { "weighted": {
            "sticky": { "cookie": { "name": "out" } },
            "services": [{ "name": "inner", "weight": 1000 }, { "name": "other" }],
        } },
    });
    let snapshot = snapshot(services, None);
    let first = call(&snapshot, "w", request("GET", "/", &[])).await;
    let lines = cookies(&first.headers);
    let names: Vec<_> = lines.iter().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, ["out", "in"]);
    let server = text(first).await;
    let cookie = lines.join("; ");
    for _ in 0..6 {
        let again = call(&snapshot, "w", request("GET", "/", &[("cookie", &cookie)])).await;
        assert_eq!(cookies(&again.headers).len(), 0);
        assert_eq!(text(again).await, server);
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_composite_that_watches_passes_over_what_is_down() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let children = json!([{ "name": "a" }, { "name": "b" }]);
    let services = json!({
        "a": checked(&a),
        "b": checked(&b),
        "w": { "weighted": { "services": children, "healthCheck": {} } },
        "h": { "highestRandomWeight": { "services": children, "healthCheck": {} } },
        "m": { "mirroring": { "service": "w", "healthCheck": {} } },
        "f": { "failover": { "service": "m", "fallback": "b", "healthCheck": {} } },
        "top": { "failover": { "service": "f", "fallback": "f", "healthCheck": {} } },
    });
    let snapshot = snapshot(services, None);
    let balancer = |name| {
        let service: &Service = &snapshot.report.compiled[&Name::qualify(name, "file")];
        service.balancer().unwrap()
    };
    balancer("a").set_all_up(false);
    for name in ["w", "h", "m", "f", "top"] {
        for _ in 0..3 {
            assert_eq!(get(&snapshot, name).await, "b", "{name}");
        }
    }
    balancer("b").set_all_up(false);
    for name in ["w", "h", "m"] {
        assert_eq!(get(&snapshot, name).await, "no available server\n", "{name}");
    }
    assert_eq!(get(&snapshot, "f").await, "Service Unavailable\n");
    let top = call(&snapshot, "top", request("GET", "/", &[])).await;
    assert_eq!((top.status.as_u16(), top.fault), (503, Some(Fault::NoServer)));
    balancer("a").set_all_up(true);
    assert_eq!(get(&snapshot, "top").await, "a");
}

#[tokio::test]
async fn watching_needs_children_that_report() {
    let a = TestServer::named("a").await;
    let services = json!({
        "a": over(&a),
        "passive": { "loadBalancer": { "passiveHealthCheck": { "failureWindow": "1s" } } },
        "w": { "weighted": { "services": [{ "name": "a" }], "healthCheck": {} } },
        "h": { "highestRandomWeight": { "services": [{ "name": "passive" }], "healthCheck": {} } },
        "m": { "mirroring": { "service": "a", "healthCheck": {} } },
        "f": { "failover": { "service": "a", "fallback": "a" } },
        "up": { "weighted": { "services": [{ "name": "a" }] } },
        "over": { "weighted": { "services": [{ "name": "up" }], "healthCheck": {} } },
    });
    let snapshot = snapshot(services, None);
    for name in ["w", "h", "m", "f", "over"] {
        assert!(error(&snapshot, name).contains("does not report its health"), "{name}");
    }
}

#[test]
fn broken_services_say_why_and_take_down_only_their_parents() {
    let services = json!({
        "fine": { "loadBalancer": {} },
        "a": { "weighted": { "services": [{ "name": "b" }] } },
        "b": { "weighted": { "services": [{ "name": "a" }] } },
        "none": {},
        "two": { "loadBalancer": {}, "weighted": {} },
        "lost": { "weighted": { "services": [{ "name": "missing" }] } },
        "nameless": { "mirroring": {} },
        "percent": { "mirroring": { "service": "fine", "mirrors": [{ "name": "fine", "percent": 101 }] } },
        "status": { "failover": { "service": "fine", "fallback": "fine", "errors": { "status": ["x"] } } },
        "strategy": { "loadBalancer": { "strategy": "x" } },
        "parent": { "weighted": { "services": [{ "name": "strategy" }] } },
    });
    let snapshot = snapshot(services, None);
    assert_eq!(snapshot.report.compiled.len(), 1);
    let expected = [
        ("a", "part of a cycle"),
        ("b", "part of a cycle"),
        ("none", "expected one of"),
        ("two", "expected one of"),
        ("lost", "`missing@file` does not exist"),
        ("nameless", "the name of a child service is missing"),
        ("percent", "not one from 0 to 100"),
        ("status", "errors.status: `x`"),
        ("strategy", "strategy `x`"),
        ("parent", "strategy `x`"),
    ];
    for (name, text) in expected {
        let error = error(&snapshot, name);
        assert!(error.contains(text), "{name}: {error}");
    }
}

#[tokio::test]
async fn mirrors_get_copies_and_the_client_only_the_answer() {
    let main = TestServer::named("main").await;
    let mirror = TestServer::start(|_| status(500, "mirror")).await;
    let mut dead = TestServer::named("dead").await;
    dead.stop().await;
    let mirrors = json!([{ "name": "dead", "percent": 100 }, { "name": "mirror", "percent": 100 }]);
    let services = json!({
        "main": over(&main),
        "mirror": over(&mirror),
        "dead": over(&dead),
        "all": { "mirroring": { "service": "main", "mirrors": mirrors } },
        "small": { "mirroring": { "service": "main", "mirrors": mirrors, "maxBodySize": 4 } },
        "heads": { "mirroring": { "service": "main", "mirrors": mirrors, "mirrorBody": false } },
    });
    let snapshot = snapshot(services, None);
    let response = call(&snapshot, "all", post("hello")).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(text(response).await, "main");
    let seen = mirror.wait_seen(1).await;
    assert!(seen[0].head.starts_with("post /x?y http/1.1\r\n"));
    assert!(seen[0].head.contains("x-kept: 1\r\n"));
    assert_eq!(seen[0].body, "hello");
    assert_eq!(text(call(&snapshot, "small", post("hello")).await).await, "main");
    assert_eq!(text(call(&snapshot, "small", post("four")).await).await, "main");
    assert_eq!(mirror.wait_seen(2).await[1].body, "four");
    assert_eq!(text(call(&snapshot, "heads", post("hello")).await).await, "main");
    assert_eq!(mirror.wait_seen(3).await[2].body, "");
    let bodies: Vec<String> = main.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["hello", "hello", "four", "hello"]);
}

#[tokio::test]
async fn a_listed_status_sends_the_request_to_the_fallback() {
    let first = TestServer::start(|_| status(502, "first")).await;
    let second = TestServer::named("second").await;
    let failover = |errors: Value| json!({ "failover": { "service": "first", "fallback": "second", "errors": errors } });
    let services = json!({
        "first": over(&first),
        "second": over(&second),
        "by-range": failover(json!({ "status": ["500-503"] })),
        "other": failover(json!({ "status": ["404", "503"] })),
        "limited": failover(json!({ "status": ["502"], "maxRequestBodyBytes": 4 })),
    });
    let snapshot = snapshot(services, None);
    assert_eq!(text(call(&snapshot, "by-range", post("hello")).await).await, "second");
    assert_eq!(second.seen()[0].body, "hello");
    assert_eq!(get(&snapshot, "other").await, "first");
    assert_eq!(text(call(&snapshot, "limited", post("four")).await).await, "second");
    let before = first.seen().len();
    let refused = call(&snapshot, "limited", post("hello")).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(refused).await, "Request body too large\n");
    assert_eq!(first.seen().len(), before);
}

#[tokio::test]
async fn position_and_health_live_on_across_reloads() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let services = || {
        json!({
            "a": checked(&a),
            "b": checked(&b),
            "w": { "weighted": { "services": [{ "name": "a" }, { "name": "b" }], "healthCheck": {} } },
        })
    };
    let mut now = snapshot(services(), None);
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(get(&now, "w").await);
        now = snapshot(services(), Some(&now));
    }
    assert_eq!(answers.iter().filter(|answer| *answer == "a").count(), 3, "{answers:?}");
    let service = &now.report.compiled[&Name::qualify("a", "file")];
    service.balancer().unwrap().set_all_up(false);
    now = snapshot(services(), Some(&now));
    for _ in 0..3 {
        assert_eq!(get(&now, "w").await, "b");
    }
}

/// R1: a killed server costs no idempotent request, and gets none after its first failure.
#[tokio::test]
async fn a_server_killed_under_load_costs_nothing() {
    let mut servers = Vec::new();
    for name in ["a", "b", "c", "d"] {
        servers.push(TestServer::named(name).await);
    }
    let urls: Value = servers.iter().map(|server| json!({ "url": server.url() })).collect();
    let services = json!({ "s": {
        "middlewares": ["again"],
        "loadBalancer": { "servers": urls, "passiveHealthCheck": { "failureWindow": "60s" } },
    } });
    let snapshot = snapshot(services, None);
    let failed = std::sync::atomic::AtomicUsize::new(0);
    let client = || async {
        for _ in 0..250 {
            let response = call(&snapshot, "s", request("GET", "/", &[])).await;
            if response.status != StatusCode::OK || text(response).await.len() != 1 {
                failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    };
    let load = futures_util::future::join_all((0..16).map(|_| client()));
    let mut killed = servers.remove(1);
    let kill = async {
        killed.wait_seen(100).await;
        killed.kill().await;
        let killed_at = std::time::Instant::now();
        let balancer = snapshot.report.compiled[&Name::qualify("s", "file")].balancer().unwrap();
        until(|| balancer.server_up().iter().any(|(_, up)| !up)).await;
        assert!(killed_at.elapsed() < std::time::Duration::from_secs(1));
    };
    tokio::join!(load, kill);
    assert_eq!(failed.into_inner(), 0);
    let left = |server: &TestServer| server.seen().len();
    assert!(servers.iter().all(|server| left(server) > 1000));
}
