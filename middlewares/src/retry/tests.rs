//! Tests of `retry` over a service that follows a script; time is paused.

use std::collections::VecDeque;
use std::sync::Arc;

use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::chain::{Chain, Service};
use crate::exchange::Exchange;
use crate::message::Body;
use crate::message::between::ATTEMPT;
use crate::testing::{compile, request, text};

/// What the service does with one attempt.
#[derive(Clone, Copy)]
enum Act {
    /// Reads the body and answers.
    Answer(u16),
    /// Answers without reading the body.
    Unread(u16),
    /// Cannot be reached.
    Unreachable,
    /// Reads the body, then breaks.
    Breaks,
    /// Answers after some seconds.
    Slow(u64, u16),
}

/// Does one act after the other, the last one for ever; remembers the bodies.
struct Script {
    acts: Mutex<VecDeque<Act>>,
    bodies: Mutex<Vec<String>>,
}

impl Script {
    fn of(acts: &[Act]) -> Self {
        Self { acts: Mutex::new(acts.iter().copied().collect()), bodies: Mutex::default() }
    }

    fn attempts(&self) -> usize {
        self.bodies.lock().len()
    }

    fn next(&self) -> Act {
        let mut acts = self.acts.lock();
        let act = *acts.front().unwrap();
        if acts.len() > 1 {
            acts.pop_front();
        }
        act
    }
}

impl Service for Script {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        let act = self.next();
        let read = match act {
            Act::Unread(_) | Act::Unreachable => String::new(),
            Act::Answer(_) | Act::Breaks | Act::Slow(..) => {
                let bytes = request.into_parts().body.collect().await.unwrap().to_bytes();
                String::from_utf8(bytes.to_vec()).unwrap()
            }
        };
        self.bodies.lock().push(read);
        let status = |code| StatusCode::from_u16(code).unwrap();
        let failed = |sent| {
            Response::bare(StatusCode::BAD_GATEWAY).because(Fault::Unreachable(sent))
        };
        match act {
            Act::Answer(code) | Act::Unread(code) => Response::bare(status(code)),
            Act::Unreachable => failed(Sent::Nothing),
            Act::Breaks => failed(Sent::Some),
            Act::Slow(seconds, code) => {
                tokio::time::sleep(Span::from_secs(seconds)).await;
                Response::bare(status(code))
            }
        }
    }
}

fn chain(settings: serde_json::Value) -> Chain {
    compile::<Retry>(settings).unwrap()
}

fn streamed(text: &'static str) -> Body {
    Body::from(text).holding(())
}

/// Runs one request; the status that came and the number of attempts.
async fn send(chain: &Chain, method: &str, body: Body, script: &Script) -> (u16, usize) {
    let mut request = request(method, "h", "/", &[]);
    request.body = body;
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    let response = chain.run(request, script, &exchange).await;
    let retries = exchange.facts(|facts| facts.retries);
    assert_eq!(retries as usize + 1, script.attempts());
    (response.status.as_u16(), script.attempts())
}

async fn get(settings: serde_json::Value, acts: &[Act]) -> (u16, usize) {
    send(&chain(settings), "GET", Body::Empty, &Script::of(acts)).await
}

#[tokio::test]
async fn unreachable_servers_are_tried_up_to_the_number_of_attempts() {
    let settings = || json!({ "attempts": 3 });
    assert_eq!(get(settings(), &[Act::Unreachable, Act::Answer(200)]).await, (200, 2));
    assert_eq!(get(settings(), &[Act::Unreachable]).await, (502, 3));
    assert_eq!(get(settings(), &[Act::Breaks]).await, (502, 1));
    assert_eq!(get(settings(), &[Act::Answer(503)]).await, (503, 1));
}

#[tokio::test]
async fn an_unsent_request_is_repeated_whatever_it_is() {
    let chain = chain(json!({ "attempts": 3 }));
    let script = Script::of(&[Act::Unreachable, Act::Unreachable, Act::Answer(200)]);
    assert_eq!(send(&chain, "POST", streamed("order"), &script).await, (200, 3));
    assert_eq!(script.bodies.lock()[2], "order");
}

#[tokio::test]
async fn network_errors_can_be_left_alone() {
    let settings =
        json!({ "attempts": 3, "status": ["500"], "disableRetryOnNetworkError": true });
    assert_eq!(get(settings, &[Act::Unreachable]).await, (502, 1));
}

#[tokio::test]
async fn listed_statuses_are_tried_again_and_the_last_passes() {
    let settings = || json!({ "attempts": 3, "status": ["500", "502-504"] });
    assert_eq!(get(settings(), &[Act::Answer(503), Act::Answer(200)]).await, (200, 2));
    assert_eq!(get(settings(), &[Act::Answer(500)]).await, (500, 3));
    assert_eq!(get(settings(), &[Act::Answer(505)]).await, (505, 1));
    assert_eq!(get(settings(), &[Act::Breaks, Act::Answer(200)]).await, (200, 2));
}

#[tokio::test]
async fn methods_that_act_once_are_not_repeated_after_an_answer() {
    let acts = [Act::Answer(500), Act::Answer(200)];
    let careful = chain(json!({ "attempts": 2, "status": ["500"] }));
    let bold = json!({ "attempts": 2, "status": ["500"], "retryNonIdempotentMethod": true });
    for method in ["POST", "PATCH", "LOCK"] {
        let script = Script::of(&acts);
        assert_eq!(send(&careful, method, streamed("x"), &script).await, (500, 1), "{method}");
        let script = Script::of(&acts);
        assert_eq!(send(&chain(bold.clone()), method, streamed("x"), &script).await, (200, 2));
    }
    for method in ["PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let script = Script::of(&acts);
        assert_eq!(send(&careful, method, streamed("x"), &script).await, (200, 2), "{method}");
        assert_eq!(*script.bodies.lock(), ["x", "x"]);
    }
}

#[tokio::test]
async fn a_body_longer_than_is_kept_is_sent_once() {
    let acts = [Act::Answer(500), Act::Answer(200)];
    for (most, expected) in [(5, (200, 2)), (4, (500, 1)), (0, (500, 1)), (-1, (200, 2))] {
        let chain =
            chain(json!({ "attempts": 2, "status": ["500"], "maxRequestBodyBytes": most }));
        let script = Script::of(&acts);
        assert_eq!(send(&chain, "PUT", streamed("12345"), &script).await, expected, "{most}");
    }
    let chain = chain(json!({ "attempts": 2, "status": ["500"], "maxRequestBodyBytes": 0 }));
    assert_eq!(send(&chain, "PUT", Body::Empty, &Script::of(&acts)).await, (200, 2));
}

#[tokio::test]
async fn an_early_answer_leaves_the_body_whole() {
    let chain = chain(json!({ "attempts": 2, "status": ["503"] }));
    let script = Script::of(&[Act::Unread(503), Act::Answer(200)]);
    assert_eq!(send(&chain, "PUT", streamed("later"), &script).await, (200, 2));
    assert_eq!(*script.bodies.lock(), ["", "later"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_about_twice_the_first() {
    let settings = json!({ "attempts": 3, "initialInterval": "100ms" });
    for _ in 0..20 {
        let before = Instant::now();
        assert_eq!(get(settings.clone(), &[Act::Unreachable]).await, (502, 3));
        let waited = before.elapsed().as_secs_f64();
        assert!((0.119..0.366).contains(&waited), "{waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_timeout() {
    let settings = json!({ "attempts": 5, "status": ["500"], "timeout": "1500ms" });
    assert_eq!(get(settings.clone(), &[Act::Slow(1, 500)]).await, (500, 2));
    let settings = json!({ "attempts": 5, "initialInterval": "10s", "timeout": "1s" });
    let before = Instant::now();
    assert_eq!(get(settings, &[Act::Unreachable]).await, (502, 1));
    assert_eq!(before.elapsed(), Span::ZERO);
}

#[tokio::test]
async fn facts_are_those_of_the_last_attempt() {
    struct Notes(Script);
    impl Service for Notes {
        async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
            let response = self.0.call(request, exchange).await;
            exchange.note(|facts| facts.fault = response.fault.or(facts.fault));
            response
        }
    }
    let script = Notes(Script::of(&[Act::Unreachable, Act::Answer(200)]));
    let request = request("GET", "h", "/", &[]);
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    let response = chain(json!({ "attempts": 2 })).run(request, &script, &exchange).await;
    assert_eq!(text(response).await, "OK");
    assert_eq!(exchange.facts(|facts| (facts.retries, facts.fault)), (1, None));
}

#[tokio::test]
async fn an_upgrade_keeps_its_wish_over_attempts_and_is_final() {
    #[derive(Clone)]
    struct Wish;
    struct Upgrades(Script);
    impl Service for Upgrades {
        async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
            assert!(request.extensions.get::<Wish>().is_some());
            self.0.call(request, exchange).await
        }
    }
    let chain = chain(json!({ "attempts": 3, "status": ["100-599"] }));
    let script = Upgrades(Script::of(&[Act::Unreachable, Act::Answer(101)]));
    let mut request = request("GET", "h", "/", &[("upgrade", "websocket")]);
    request.extensions.insert(Wish);
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    assert_eq!(chain.run(request, &script, &exchange).await.status, 101);
    assert_eq!(script.0.attempts(), 2);
}

#[test]
fn one_attempt_needs_no_step() {
    assert!(chain(json!({ "attempts": 1 })).is_empty());
}

#[test]
fn settings_that_cannot_work_are_defects() {
    for (settings, word) in [
        (json!({}), "attempts"),
        (json!({ "attempts": -1 }), "attempts"),
        (json!({ "attempts": 2, "disableRetryOnNetworkError": true }), "status"),
        (json!({ "attempts": 2, "status": ["bad"] }), "`bad`"),
        (json!({ "attempts": 2, "status": ["504-500"] }), "`504-500`"),
        (json!({ "attempts": 2, "status": ["-"] }), "`-`"),
    ] {
        let error = compile::<Retry>(settings).err().unwrap();
        assert!(error.0.contains(word), "{error}");
    }
}

#[test]
fn the_api_shows_the_defaults_that_hold() {
    let shown = serde_json::to_value(Retry::default()).unwrap();
    assert_eq!(shown, json!({ "maxRequestBodyBytes": 2_097_152 }));
}

/// Notes the attempt that each request tells of.
struct Numbers(Script, Mutex<Vec<Option<String>>>);

impl Service for Numbers {
    async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
        let number = request.headers.get(ATTEMPT);
        self.1.lock().push(number.map(|value| value.to_str().unwrap().to_owned()));
        self.0.call(request, exchange).await
    }
}

/// The status and the numbers of the attempts of a request that comes with this number.
async fn nested(
    settings: serde_json::Value,
    number: Option<&str>,
    act: Act,
) -> (u16, Vec<Option<String>>) {
    let script = Numbers(Script::of(&[act]), Mutex::default());
    let headers: Vec<_> = number.into_iter().map(|it| ("x-portcullis-attempt", it)).collect();
    let request = request("GET", "h", "/", &headers);
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    let response = chain(settings).run(request, &script, &exchange).await;
    (response.status.as_u16(), script.1.into_inner())
}

#[tokio::test]
async fn what_somebody_before_us_repeats_is_not_repeated() {
    let refuse = || json!({ "attempts": 3, "status": ["503"], "nested": "refuse" });
    let number = |text: &str| Some(text.to_owned());
    let all = vec![number("0"), number("1"), number("2")];
    assert_eq!(nested(refuse(), None, Act::Answer(503)).await, (503, all.clone()));
    assert_eq!(nested(refuse(), Some("nonsense"), Act::Answer(503)).await, (503, all));
    let once = |text| (503, vec![number(text)]);
    assert_eq!(nested(refuse(), Some("0"), Act::Answer(503)).await, once("0"));
    assert_eq!(nested(refuse(), Some("2"), Act::Answer(503)).await, once("2"));
    // Nobody else can tell that it reached no server.
    let thrice = (502, vec![number("0"); 3]);
    assert_eq!(nested(refuse(), Some("0"), Act::Unreachable).await, thrice);
    assert_eq!(nested(refuse(), Some("1"), Act::Unreachable).await, (502, vec![number("1")]));
    let allow = || json!({ "attempts": 2, "status": ["503"] });
    assert_eq!(nested(allow(), None, Act::Answer(503)).await, (503, vec![None; 2]));
    assert_eq!(nested(allow(), Some("1"), Act::Answer(503)).await, (503, vec![number("1"); 2]));
}

#[tokio::test(start_paused = true)]
async fn a_budget_limits_repetitions_by_service() {
    struct Named(Script);
    impl Service for Named {
        async fn call<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Response {
            let service = if request.target.path() == "/a" { "a@file" } else { "b@file" };
            exchange.note(|facts| facts.service = Some(service.into()));
            self.0.call(request, exchange).await
        }
    }
    let settings = json!({ "attempts": 2, "status": ["503"], "budget": {} });
    let (chain, script) = (chain(settings), Named(Script::of(&[Act::Answer(503)])));
    let send = async |target: &str, count: usize| {
        let before = script.0.attempts();
        for _ in 0..count {
            let request = request("GET", "h", target, &[]);
            let exchange = Exchange::begin(Arc::clone(&request.connection));
            assert_eq!(chain.run(request, &script, &exchange).await.status, 503);
        }
        script.0.attempts() - before - count
    };
    assert_eq!(send("/a", 100).await, 21);
    assert_eq!(send("/b", 1).await, 1);
    tokio::time::sleep(Span::from_secs(1)).await;
    assert_eq!(send("/a", 100).await, 30);
    tokio::time::sleep(Span::from_secs(3600)).await;
    assert_eq!(send("/a", 4).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_like_a_504() {
    let settings = json!({ "attempts": 3, "status": ["504"], "perTryTimeout": "500ms" });
    let before = Instant::now();
    let acts = [Act::Slow(60, 200), Act::Answer(200)];
    assert_eq!(get(settings.clone(), &acts).await, (200, 2));
    assert_eq!(before.elapsed(), Span::from_millis(500));
    assert_eq!(get(settings, &[Act::Slow(60, 200)]).await, (504, 3));
    let once = json!({ "attempts": 1, "perTryTimeout": "500ms" });
    assert_eq!(get(once, &[Act::Slow(60, 200)]).await, (504, 1));
    // Who knows whether the server has acted.
    let unlisted = json!({ "attempts": 3, "perTryTimeout": "500ms" });
    assert_eq!(get(unlisted, &[Act::Slow(60, 200)]).await, (504, 1));
}

#[test]
fn own_settings_that_cannot_work_are_defects() {
    for (settings, word) in [
        (json!({ "attempts": 2, "nested": "never" }), "nested: `never`"),
        (json!({ "attempts": 2, "budget": { "percent": -1 } }), "budget.percent"),
        (json!({ "attempts": 2, "budget": { "minPerSecond": -1 } }), "budget.minPerSecond"),
        (json!({ "attempts": 2, "budget": { "window": "10ms" } }), "budget.window"),
        (json!({ "attempts": 2, "budget": { "percentage": 1 } }), "percentage"),
    ] {
        let error = compile::<Retry>(settings).err().unwrap();
        assert!(error.0.contains(word), "{error}");
    }
}
