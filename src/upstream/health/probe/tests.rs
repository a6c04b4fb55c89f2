use portcullis_config::routing::http::ServersTransport;
use serde_json::{Value, json};

use super::*;
use crate::upstream::testing::{TestServer, Then, endpoint, ok, raw, status};

fn probe(settings: Value, url: &str) -> Result<Probe, String> {
    let settings: HealthCheck = serde_json::from_value(settings).unwrap();
    let mut made = |address: Address| {
        let scheme = if address.scheme == Scheme::H2c { "h2c" } else { "http" };
        endpoint(&format!("{scheme}://{}", address.authority), &ServersTransport::default())
    };
    Probe::new(&settings, url, &mut made)
}

async fn ask(settings: Value, url: &str) -> Result<(), String> {
    probe(settings, url).unwrap().ask().await
}

fn resolved(url: &str, link: &str) -> String {
    relative(url, link).map_or_else(|error| error, |target| target.to_string())
}

#[test]
fn the_path_is_resolved_like_a_link() {
    let table = [
        ("http://a", "", "/"),
        ("http://a/b/c?d", "", "/b/c?d"),
        ("http://a/b/c?d", "/health?x=1", "/health?x=1"),
        ("http://a/b/c?d", "health", "/b/health"),
        ("http://a/b/c/", "health#top", "/b/c/health"),
        ("http://a/b/c?d", "?e", "/b/c?e"),
        ("http://a/b/c", "../health", "/health"),
        (
            "http://a",
            "health:1/x",
            "healthCheck.path `health:1/x`: it may not name a scheme or a host",
        ),
        ("http://a", "//b/x", "healthCheck.path `//b/x`: it may not name a scheme or a host"),
    ];
    for (url, link, expected) in table {
        assert_eq!(resolved(url, link), expected, "{url} {link}");
    }
}

#[tokio::test]
async fn the_request_is_as_configured() {
    let server = TestServer::named("a").await;
    let settings = json!({
        "path": "/health?x",
        "method": "head",
        "hostname": "check.test",
        "headers": { "X-Check": "yes", "Host": "ignored" },
    });
    assert!(probe(settings, "http://127.0.0.1:1").is_ok());
    let settings = json!({
        "path": "/health?x",
        "port": server.address.port(),
        "hostname": "check.test",
        "headers": { "X-Check": "yes", "Host": "ignored" },
    });
    ask(settings, "http://127.0.0.1:1").await.unwrap();
    let head = &server.seen()[0].head;
    assert!(head.starts_with("get /health?x http/1.1\r\n"), "{head}");
    assert!(head.contains("host: check.test\r\n"), "{head}");
    assert!(head.contains("x-check: yes\r\n"), "{head}");
    assert!(!head.contains("ignored"), "{head}");
}

#[tokio::test]
async fn the_status_decides() {
    for (code, settings, healthy) in [
        (200, json!({}), true),
        (399, json!({}), true),
        (400, json!({}), false),
        (404, json!({ "status": 404 }), true),
        (200, json!({ "status": 404 }), false),
    ] {
        let server = TestServer::start(move |_| status(code, "")).await;
        assert_eq!(ask(settings, &server.url()).await.is_ok(), healthy, "{code}");
    }
}

#[tokio::test]
async fn redirects_are_followed_unless_unwanted() {
    let server = TestServer::start(|seen| match seen.head.split(' ').nth(1) {
        Some("/old") => {
            raw("HTTP/1.1 302 x\r\nlocation: new\r\ncontent-length: 0\r\n\r\n", Then::Keep)
        }
        Some("/loop") => {
            raw("HTTP/1.1 307 x\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n", Then::Keep)
        }
        Some("/new") => status(500, ""),
        _ => ok(""),
    })
    .await;
    let url = server.url();
    let error = ask(json!({ "path": "/old" }), &url).await.unwrap_err();
    assert!(error.contains("500"), "{error}");
    assert_eq!(ask(json!({ "path": "/old", "followRedirects": false }), &url).await, Ok(()));
    let error = ask(json!({ "path": "/loop" }), &url).await.unwrap_err();
    assert!(error.contains("redirects"), "{error}");
    let elsewhere = TestServer::start(move |_| {
        raw(
            &format!("HTTP/1.1 301 x\r\nlocation: {url}/new\r\ncontent-length: 0\r\n\r\n"),
            Then::Keep,
        )
    })
    .await;
    let error = ask(json!({}), &elsewhere.url()).await.unwrap_err();
    assert!(error.contains("500"), "{error}");
}

#[test]
fn wrong_settings_name_their_field() {
    for (settings, field) in [
        (json!({ "scheme": "ftp" }), "healthCheck.scheme"),
        (json!({ "port": 70000 }), "healthCheck.port"),
        (json!({ "method": "a b" }), "healthCheck.method"),
        (json!({ "hostname": "a\nb" }), "healthCheck.hostname"),
        (json!({ "headers": { "a b": "c" } }), "healthCheck.headers"),
        (json!({ "status": -1 }), "healthCheck.status"),
    ] {
        let error = probe(settings, "http://127.0.0.1:1").unwrap_err();
        assert!(error.starts_with(field), "{error}");
    }
}

/// A server of gRPC's health service that says `message` and `status`.
async fn grpc(message: &'static [u8], status: &'static str) -> String {
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    crate::net::task::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(asked, CHECK_REQUEST);
            let mut trailers = HeaderMap::new();
            trailers.insert(GRPC_STATUS, HeaderValue::from_static(status));
            let body = Full::new(Bytes::from_static(message));
            let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    });
    url
}

#[tokio::test]
async fn a_grpc_server_must_be_serving() {
    let settings = || json!({ "mode": "grpc" });
    assert_eq!(ask(settings(), &grpc(SERVING, "0").await).await, Ok(()));
    let not_serving = ask(settings(), &grpc(&[0, 0, 0, 0, 2, 8, 2], "0").await).await;
    assert_eq!(not_serving, Err("the server is not serving".to_owned()));
    let unimplemented = ask(settings(), &grpc(&[], "12").await).await.unwrap_err();
    assert!(unimplemented.contains("12"), "{unimplemented}");
}
