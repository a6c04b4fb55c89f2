//! Which connections are used again, and what happens to requests on those that break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use portcullis_config::routing::http::ServersTransport;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Body, Fault, Request, Response, Sent};

use crate::upstream::endpoint::Endpoint;
use crate::upstream::forward::{Forwarding, HostHeader, forward};
use crate::upstream::testing::{
    TestServer, Then, connection, endpoint, ok, raw, request, text, until,
};

fn plain(url: &str) -> Arc<Endpoint> {
    endpoint(url, &ServersTransport::default())
}

async fn send(endpoint: &Arc<Endpoint>, request: Request) -> Response {
    let how = Forwarding { host: HostHeader::Client, base_path: None };
    forward(request, endpoint, &how, &Exchange::begin(connection())).await
}

async fn get(endpoint: &Arc<Endpoint>) -> Response {
    send(endpoint, request("GET", "/", &[])).await
}

fn idle(endpoint: &Endpoint) -> usize {
    endpoint.h1.here().len()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = TestServer::named("a").await;
    let endpoint = plain(&server.url());
    for _ in 0..3 {
        assert_eq!(text(get(&endpoint).await).await, "a");
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
    assert_eq!(idle(&endpoint), 1);
}

/// Closes each connection on its second request, without an answer.
async fn forgetful() -> TestServer {
    let seconds = parking_lot::Mutex::new(std::collections::HashSet::new());
    TestServer::start(move |seen| {
        if seconds.lock().insert(seen.connection) { ok("a") } else { raw("", Then::Close) }
    })
    .await
}

#[tokio::test]
async fn a_request_that_meets_a_stale_connection_is_resent_once() {
    let server = forgetful().await;
    let endpoint = plain(&server.url());
    assert_eq!(text(get(&endpoint).await).await, "a");
    assert_eq!(text(get(&endpoint).await).await, "a");
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test]
async fn a_request_with_a_body_or_another_effect_is_not_resent_once_sent() {
    for method in ["POST", "PATCH", "PUT"] {
        let server = forgetful().await;
        let endpoint = plain(&server.url());
        assert_eq!(text(get(&endpoint).await).await, "a");
        let mut request = request(method, "/", &[("content-length", "2")]);
        request.body = Body::from("ok");
        let response = send(&endpoint, request).await;
        assert_eq!(response.fault, Some(Fault::Unreachable(Sent::Some)), "{method}");
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_fresh_connection_that_breaks_is_not_tried_again() {
    let server = TestServer::start(|_| raw("", Then::Close)).await;
    let response = get(&plain(&server.url())).await;
    assert_eq!(response.fault, Some(Fault::Unreachable(Sent::Some)));
    assert_eq!(response.status, 502);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    let server =
        TestServer::start(|_| raw("HTTP/1.1 200 x\r\ncontent-length: 1\r\n\r\na", Then::Close))
            .await;
    let endpoint = plain(&server.url());
    let mut post = request("POST", "/", &[("content-length", "1")]);
    post.body = Body::from("x");
    assert_eq!(text(get(&endpoint).await).await, "a");
    until(|| {
        endpoint.sweep(Instant::now());
        idle(&endpoint) == 0
    })
    .await;
    assert_eq!(text(send(&endpoint, post).await).await, "a");
}

/// R3.
#[tokio::test]
async fn a_reset_in_the_middle_of_a_response_never_looks_like_its_end() {
    let heads =
        ["content-length: 9\r\n\r\npart", "transfer-encoding: chunked\r\n\r\n4\r\npart\r\n"];
    for (head, then) in heads.into_iter().flat_map(|h| [(h, Then::Reset), (h, Then::Close)]) {
        let server =
            TestServer::start(move |_| raw(&format!("HTTP/1.1 200 x\r\n{head}"), then)).await;
        let endpoint = plain(&server.url());
        let response = get(&endpoint).await;
        // A reset may even overtake the head.
        if response.fault.is_none() {
            assert!(response.body.collect().await.is_err(), "{head} {then:?}");
        }
        assert_eq!(idle(&endpoint), 0);
        assert_eq!(server.seen().len(), 1);
    }
}

/// CVE-2026-71324: bytes beyond a response must not be taken for the next one.
#[tokio::test]
async fn a_connection_with_surplus_bytes_is_not_used_again() {
    const EVIL: &str = "HTTP/1.1 200 x\r\ncontent-length: 4\r\n\r\nevil";
    let server = TestServer::start(|seen| match seen.connection {
        0 => raw(&format!("HTTP/1.1 200 x\r\ncontent-length: 1\r\n\r\na{EVIL}"), Then::Keep),
        _ => ok("b"),
    })
    .await;
    let endpoint = plain(&server.url());
    assert_eq!(text(get(&endpoint).await).await, "a");
    assert_eq!(idle(&endpoint), 0);
    assert_eq!(text(get(&endpoint).await).await, "b");
}

#[tokio::test]
async fn surplus_bytes_that_come_late_are_not_taken_for_an_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = plain(&format!("http://{}", listener.local_addr().unwrap()));
    let first = crate::net::task::spawn({
        let endpoint = Arc::clone(&endpoint);
        async move { text(get(&endpoint).await).await }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = [0; 1024];
    assert!(stream.read(&mut bytes).await.unwrap() > 0);
    stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1\r\n\r\na").await.unwrap();
    assert_eq!(first.await.unwrap(), "a");
    assert_eq!(idle(&endpoint), 1);
    stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 4\r\n\r\nevil").await.unwrap();
    until(|| {
        endpoint.sweep(Instant::now());
        idle(&endpoint) == 0
    })
    .await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_to_its_end_takes_its_connection_along() {
    let server =
        TestServer::start(|_| raw("HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\npart", Then::Keep))
            .await;
    let endpoint = plain(&server.url());
    drop(get(&endpoint).await);
    assert_eq!(idle(&endpoint), 0);
}

#[tokio::test]
async fn idle_connections_are_closed_when_their_time_is_over() {
    let server = TestServer::named("a").await;
    let endpoint = plain(&server.url());
    assert_eq!(text(get(&endpoint).await).await, "a");
    endpoint.sweep(Instant::now() + Duration::from_secs(89));
    assert_eq!(idle(&endpoint), 1);
    endpoint.sweep(Instant::now() + Duration::from_secs(91));
    assert_eq!(idle(&endpoint), 0);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_wanted() {
    for (setting, kept) in [(0, 2), (3, 3), (-1, 0)] {
        let server = TestServer::named("a").await;
        let settings =
            ServersTransport { max_idle_conns_per_host: setting, ..ServersTransport::default() };
        let endpoint = endpoint(&server.url(), &settings);
        let responses = futures_util::future::join_all((0..5).map(|_| get(&endpoint))).await;
        for response in responses {
            assert_eq!(text(response).await, "a");
        }
        assert_eq!(idle(&endpoint), kept);
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_fault_of_which_nothing_was_sent() {
    let mut server = TestServer::named("a").await;
    server.stop().await;
    let response = get(&plain(&server.url())).await;
    assert_eq!(response.fault, Some(Fault::Unreachable(Sent::Nothing)));
    assert!(response.fault.is_some_and(Fault::is_safe_to_retry));
}
