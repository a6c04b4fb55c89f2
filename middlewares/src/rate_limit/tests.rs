//! Tests of `rateLimit` through a chain; time is paused.

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::chain::Chain;
use crate::testing::{compile, request, request_from, run, text};

fn chain(settings: serde_json::Value) -> Chain {
    compile::<RateLimit>(settings).unwrap()
}

async fn get(chain: &Chain) -> Response {
    run(chain, request("GET", "h", "/", &[])).await
}

#[tokio::test(start_paused = true)]
async fn too_early_is_refused_with_the_time_to_come_again() {
    let chain = chain(json!({ "average": 1, "period": "10s", "burst": 2 }));
    assert_eq!(get(&chain).await.status, 200);
    assert_eq!(get(&chain).await.status, 200);
    tokio::time::advance(Span::from_millis(100)).await;
    let refused = get(&chain).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "10");
    assert_eq!(refused.headers["x-retry-in"], "9.9s");
    assert_eq!(refused.headers.len(), 2);
    assert_eq!(text(refused).await, "Too Many Requests");
    tokio::time::advance(Span::from_millis(9900)).await;
    assert_eq!(get(&chain).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_little_early_is_held_back() {
    let chain = chain(json!({ "average": 10 }));
    assert_eq!(get(&chain).await.status, 200);
    tokio::time::advance(Span::from_millis(60)).await;
    let before = Instant::now();
    assert_eq!(get(&chain).await.status, 200);
    let waited = before.elapsed();
    assert!((Span::from_millis(39)..Span::from_millis(42)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn sources_have_buckets_of_their_own() {
    let chain = chain(json!({ "average": 1 }));
    assert_eq!(get(&chain).await.status, 200);
    assert_eq!(get(&chain).await.status, 429);
    let other = request_from("192.0.2.2:1".parse().unwrap(), "GET", "h", "/", &[]);
    assert_eq!(run(&chain, other).await.status, 200);

    let by_header = self::chain(json!({
        "average": 1, "sourceCriterion": { "requestHeaderName": "X-Key" },
    }));
    for (key, expected) in [("a", 200), ("a", 429), ("b", 200)] {
        let response = run(&by_header, request("GET", "h", "/", &[("x-key", key)])).await;
        assert_eq!(response.status, expected, "{key}");
    }
}

#[tokio::test]
async fn without_an_average_there_is_no_limit() {
    for average in [0, -1] {
        assert!(chain(json!({ "average": average, "burst": 1 })).is_empty());
    }
}

#[test]
fn the_longest_wait_follows_the_rate() {
    assert_eq!(longest_wait(0.1), Span::from_millis(500));
    assert_eq!(longest_wait(1.9), Span::from_millis(500));
    assert_eq!(longest_wait(10.0), Span::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_burst_below_one_is_one_and_no_period_a_second() {
    let chain = chain(json!({ "average": 1, "burst": -5, "period": 0 }));
    assert_eq!(get(&chain).await.status, 200);
    assert_eq!(get(&chain).await.headers["retry-after"], "1");
}

#[test]
fn settings_that_cannot_work_are_defects() {
    for (settings, word) in [
        (json!({ "average": 1, "period": "-1s" }), "negative"),
        (json!({ "average": 1, "redis": { "endpoints": ["r:6379"] } }), "not served yet"),
        (
            json!({ "sourceCriterion": { "requestHost": true, "requestHeaderName": "a" } }),
            "only one",
        ),
    ] {
        let error = compile::<RateLimit>(settings).err().unwrap();
        assert!(error.0.contains(word), "{error}");
    }
}

#[test]
fn the_api_shows_the_defaults_that_hold() {
    let shown = serde_json::to_value(RateLimit::default()).unwrap();
    assert_eq!(shown, json!({ "period": "1s", "burst": 1 }));
}
