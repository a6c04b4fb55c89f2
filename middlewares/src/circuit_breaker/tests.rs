use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::time::Duration as Span;

use serde_json::json;

use super::*;
use crate::testing::{compile, request, text};
use crate::{Chain, Exchange, Service};

/// Answers with the status that it is told, after a while.
struct Server {
    status: AtomicU16,
    takes: Span,
    calls: AtomicUsize,
    streams: bool,
}

impl Server {
    fn new(status: u16, milliseconds: u64) -> Self {
        let takes = Span::from_millis(milliseconds);
        Self { status: status.into(), takes, calls: AtomicUsize::new(0), streams: false }
    }
}

impl Service for Server {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        self.calls.fetch_add(1, Relaxed);
        tokio::time::sleep(self.takes).await;
        let status = StatusCode::from_u16(self.status.load(Relaxed)).unwrap();
        let response = Response::bare(status);
        if self.streams { response.holding(()) } else { response }
    }
}

fn chain(settings: serde_json::Value) -> Chain {
    compile::<CircuitBreaker>(settings).unwrap()
}

async fn send(chain: &Chain, server: &Server) -> Response {
    let request = request("GET", "h", "/", &[]);
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    chain.run(request, server, &exchange).await
}

async fn status(chain: &Chain, server: &Server) -> u16 {
    send(chain, server).await.status.as_u16()
}

fn half_fail() -> serde_json::Value {
    json!({ "expression": "ResponseCodeRatio(500, 600, 0, 600) > 0.5" })
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_its_expression_holds_and_answers_for_the_service() {
    let (chain, server) = (chain(half_fail()), Server::new(500, 1));
    assert_eq!(status(&chain, &server).await, 500);
    let answer = send(&chain, &server).await;
    assert_eq!((answer.status.as_u16(), answer.headers.len()), (503, 0));
    assert_eq!(text(answer).await, "Service Unavailable");
    assert_eq!(server.calls.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn it_stays_closed_while_the_expression_does_not_hold() {
    let (chain, server) = (chain(half_fail()), Server::new(200, 1));
    for round in 0..100 {
        server.status.store(if round % 2 == 1 { 500 } else { 200 }, Relaxed);
        assert_ne!(status(&chain, &server).await, 503, "{round}");
        tokio::time::sleep(Span::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_expression_is_looked_at_once_in_a_period() {
    let settings = json!({ "expression": "NetworkErrorRatio() > 0.1", "checkPeriod": "1s" });
    let (chain, server) = (chain(settings), Server::new(200, 0));
    assert_eq!(status(&chain, &server).await, 200);
    server.status.store(502, Relaxed);
    for _ in 0..10 {
        assert_eq!(status(&chain, &server).await, 502);
    }
    tokio::time::sleep(Span::from_secs(1)).await;
    assert_eq!(status(&chain, &server).await, 502);
    assert_eq!(status(&chain, &server).await, 503);
}

#[tokio::test(start_paused = true)]
async fn it_recovers_by_and_by_and_closes() {
    let settings = json!({
        "expression": "NetworkErrorRatio() > 0.5",
        "fallbackDuration": "2s",
        "recoveryDuration": "10s",
        "responseCode": 429,
    });
    let (chain, server) = (chain(settings), Server::new(502, 0));
    assert_eq!(status(&chain, &server).await, 502);
    server.status.store(200, Relaxed);
    for _ in 0..19 {
        assert_eq!(status(&chain, &server).await, 429);
        tokio::time::sleep(Span::from_millis(100)).await;
    }
    tokio::time::sleep(Span::from_millis(101)).await;
    let mut passed = [0; 10];
    for second in &mut passed {
        for _ in 0..100 {
            *second += usize::from(status(&chain, &server).await == 200);
            tokio::time::sleep(Span::from_millis(10)).await;
        }
    }
    assert!(passed.is_sorted() && passed[0] < 10 && passed[9] > 80, "{passed:?}");
    tokio::time::sleep(Span::from_millis(100)).await;
    for _ in 0..100 {
        assert_eq!(status(&chain, &server).await, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_still_fails_opens_it_again() {
    let settings = json!({ "expression": "NetworkErrorRatio() > 0.5", "fallbackDuration": "1s" });
    let (chain, server) = (chain(settings), Server::new(502, 0));
    assert_eq!(status(&chain, &server).await, 502);
    for _ in 0..200 {
        tokio::time::sleep(Span::from_millis(50)).await;
        status(&chain, &server).await;
    }
    // One request in the beginning and few after each second of rest.
    let calls = server.calls.load(Relaxed);
    assert!((3..=12).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn latencies_are_of_whole_answers() {
    let settings = || json!({ "expression": "LatencyAtQuantileMS(50.0) > 100" });
    let (quick, slow) = (Server::new(200, 50), Server::new(200, 150));
    let closed = chain(settings());
    for _ in 0..10 {
        assert_eq!(status(&closed, &quick).await, 200);
    }
    let opened = chain(settings());
    assert_eq!(status(&opened, &slow).await, 200);
    assert_eq!(status(&opened, &slow).await, 503);
    // The head is quick, the body is not.
    let streams = Server { streams: true, ..Server::new(200, 0) };
    let opened = chain(settings());
    let lasting = send(&opened, &streams).await;
    assert_eq!(status(&opened, &quick).await, 200);
    tokio::time::sleep(Span::from_millis(500)).await;
    drop(lasting);
    let lasting = send(&opened, &streams).await;
    tokio::time::sleep(Span::from_millis(500)).await;
    drop(lasting);
    assert_eq!(status(&opened, &quick).await, 503);
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_wait_count() {
    let settings = json!({ "expression": "LatencyAtQuantileMS(50.0) > 100" });
    let (chain, hangs) = (chain(settings), Server::new(200, 60_000));
    let patience = Span::from_millis(200);
    assert!(tokio::time::timeout(patience, status(&chain, &hangs)).await.is_err());
    assert_eq!(status(&chain, &hangs).await, 503);
    let settings = json!({ "expression": "ResponseCodeRatio(499, 500, 0, 600) > 0.5" });
    let chain = compile::<CircuitBreaker>(settings).unwrap();
    assert!(tokio::time::timeout(patience, status(&chain, &hangs)).await.is_err());
    assert_eq!(status(&chain, &hangs).await, 503);
}

#[test]
fn settings_that_cannot_work_are_defects() {
    for (settings, word) in [
        (json!({}), "expression"),
        (json!({ "expression": "NetworkErrorRatio() > 1" }), "`NetworkErrorRatio() > 1`"),
        (json!({ "expression": "NetworkErrorRatio() > 0.5", "responseCode": 0 }), "responseCode"),
        (json!({ "expression": "NetworkErrorRatio() > 0.5", "responseCode": 101 }), "responseCode"),
        (json!({ "expression": "NetworkErrorRatio() > 0.5", "responseCode": 1000 }), "1000"),
    ] {
        let error = compile::<CircuitBreaker>(settings).err().unwrap();
        assert!(error.0.contains(word), "{error}");
    }
}

#[test]
fn the_api_shows_the_defaults_that_hold() {
    let shown = serde_json::to_value(CircuitBreaker::default()).unwrap();
    let expected = json!({
        "checkPeriod": "100ms",
        "fallbackDuration": "10s",
        "recoveryDuration": "10s",
        "responseCode": 503,
    });
    assert_eq!(shown, expected);
}
