//! Tests of `inFlightReq`.

use std::sync::atomic::{AtomicU32, Ordering};

use http_body_util::BodyExt;
use serde_json::json;

use super::*;
use crate::chain::{Chain, Service};
use crate::exchange::Exchange;
use crate::message::{Body, Copied};
use crate::testing::{compile, request, request_from, run, text};

fn chain(settings: serde_json::Value) -> Chain {
    compile::<InFlightReq>(settings).unwrap()
}

#[tokio::test]
async fn a_request_counts_until_its_body_has_been_sent() {
    let chain = chain(json!({ "amount": 1 }));
    let mut first = run(&chain, request("GET", "h", "/", &[])).await;
    let refused = run(&chain, request("GET", "h", "/", &[])).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.is_empty());
    assert_eq!(text(refused).await, "max connections reached: 1");
    assert_eq!(run(&chain, request("GET", "other", "/", &[])).await.status, 200);

    while first.body.frame().await.is_some() {}
    let second = run(&chain, request("GET", "h", "/", &[])).await;
    assert_eq!(second.status, 200);
    drop(second);
    assert_eq!(run(&chain, request("GET", "h", "/", &[])).await.status, 200);
}

#[tokio::test]
async fn nothing_or_less_refuses_everything() {
    for amount in [0, -1] {
        let refused = run(&chain(json!({ "amount": amount })), request("GET", "h", "/", &[])).await;
        assert_eq!(refused.status, 429);
        assert_eq!(text(refused).await, format!("max connections reached: {amount}"));
    }
    assert_eq!(run(&chain(json!({})), request("GET", "h", "/", &[])).await.status, 429);
}

#[tokio::test]
async fn sources_are_what_the_criterion_says() {
    let chain = chain(json!({ "amount": 1, "sourceCriterion": { "ipStrategy": {} } }));
    let _held = run(&chain, request("GET", "a", "/", &[])).await;
    assert_eq!(run(&chain, request("GET", "b", "/", &[])).await.status, 429);
    let peer = "192.0.2.2:1".parse().unwrap();
    assert_eq!(run(&chain, request_from(peer, "GET", "a", "/", &[])).await.status, 200);
}

/// Answers 101 with a tunnel that is over when polled.
struct Switches;

impl Service for Switches {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS, Body::Empty);
        response.tunnel = Some(Box::pin(std::future::ready(Copied::default())));
        response
    }
}

#[tokio::test]
async fn an_upgraded_request_counts_until_its_tunnel_ends() {
    let chain = chain(json!({ "amount": 1 }));
    let request = || request("GET", "h", "/", &[]);
    let exchange = Exchange::begin(request().into_parts().connection);
    let mut switched = chain.run(request(), &Switches, &exchange).await;
    drop(std::mem::take(&mut switched.body));
    assert_eq!(run(&chain, request()).await.status, 429);
    switched.tunnel.take().unwrap().await;
    assert_eq!(run(&chain, request()).await.status, 200);
}

/// Never answers.
struct Stuck;

impl Service for Stuck {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_client_that_goes_away_counts_no_longer() {
    let chain = chain(json!({ "amount": 1 }));
    let request = || request("GET", "h", "/", &[]);
    let exchange = Exchange::begin(request().into_parts().connection);
    let mut waiting = Box::pin(chain.run(request(), &Stuck, &exchange));
    tokio::select! {
        biased;
        _ = &mut waiting => unreachable!("nobody answers"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(run(&chain, request()).await.status, 429);
    drop(waiting);
    assert_eq!(run(&chain, request()).await.status, 200);
}

#[test]
fn threads_never_exceed_the_amount_and_leave_nothing_behind() {
    let running = Arc::new(Running::new(3));
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..2000_u128 {
                    let _other = running.admit(100 + round);
                    if let Some(_permit) = running.admit(7) {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(running.sources(), 0);
}
