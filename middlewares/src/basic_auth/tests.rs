//! Tests of `basicAuth` through a chain.

use std::io::Write;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;

use super::*;
use crate::chain::Chain;
use crate::testing::{Echo, TestBuild, compile, request, run, run_now, settings, text};

const SHA: &str = "sha:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=";
const APR: &str = "apr:$apr1$saltsalt$NBMPZFGR7yazCdGvlWJji1";
const BCRYPT: &str = "anna:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

fn chain(settings: serde_json::Value) -> Chain {
    compile::<BasicAuth>(settings).unwrap()
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

fn with(credentials: &str) -> Request {
    request("GET", "h", "/", &[("authorization", &basic(credentials))])
}

async fn status(chain: &Chain, request: Request) -> u16 {
    run(chain, request).await.status.as_u16()
}

/// Whether the first look decides, without a slow hash.
fn is_decided_at_once(chain: &Chain, request: Request) -> Option<u16> {
    run(chain, request).now_or_never().map(|response| response.status.as_u16())
}

#[tokio::test]
async fn only_known_users_with_their_password_pass() {
    let chain = chain(json!({ "users": [SHA, APR, BCRYPT] }));
    for (credentials, expected) in [
        ("sha:test", 200),
        ("apr:test", 200),
        ("anna:secret", 200),
        ("anna:secret", 200),
        ("anna:Secret", 401),
        ("anna:secret:x", 401),
        ("anna:", 401),
        ("sha:secret", 401),
        ("nobody:test", 401),
        (":", 401),
        ("sha", 401),
    ] {
        assert_eq!(status(&chain, with(credentials)).await, expected, "{credentials}");
    }
}

#[test]
fn a_refusal_asks_for_credentials() {
    let refused = run_now(&chain(json!({ "users": [SHA] })), request("GET", "h", "/", &[]));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["content-type"], "text/plain");
    assert_eq!(refused.headers["www-authenticate"], "Basic realm=\"traefik\"");
    assert_eq!(refused.headers.len(), 2);
    assert_eq!(text(refused).now_or_never().unwrap(), "401 Unauthorized\n");
    let chain = chain(json!({ "users": [SHA], "realm": "a \"b\"" }));
    let refused = run_now(&chain, request("GET", "h", "/", &[]));
    assert_eq!(refused.headers["www-authenticate"], "Basic realm=\"a \\\"b\\\"\"");
}

#[test]
fn odd_credentials_are_refused() {
    let chain = chain(json!({ "users": [SHA] }));
    let encoded = STANDARD.encode("sha:test");
    for (value, expected) in [
        (format!("bAsic {encoded}"), 200),
        (format!("Basic  {encoded}"), 401),
        (format!("Bearer {encoded}"), 401),
        (encoded, 401),
        ("Basic !!!".to_owned(), 401),
        ("Basic".to_owned(), 401),
        (basic(&format!("sha:{}", "x".repeat(50_000))), 401),
    ] {
        let response = run_now(&chain, request("GET", "h", "/", &[("authorization", &value)]));
        assert_eq!(response.status, expected, "{value:.40}");
    }
    let twice = [("authorization", "foo"), ("authorization", &*basic("sha:test"))];
    assert_eq!(run_now(&chain, request("GET", "h", "/", &twice)).status, 401);
}

#[tokio::test]
async fn the_user_is_noted_even_when_refused() {
    let chain = chain(json!({ "users": [SHA] }));
    for credentials in ["nobody:x", "nobody:", "sha:x", "sha:test"] {
        let request = with(credentials);
        let exchange = Exchange::begin(Arc::clone(&request.connection));
        chain.run(request, &Echo, &exchange).await;
        let user = exchange.into_facts().user.unwrap();
        assert_eq!(Some(&*user), credentials.split(':').next());
    }
}

#[tokio::test]
async fn a_password_that_matched_is_remembered_for_a_while() {
    let chain = chain(json!({ "users": [BCRYPT] }));
    assert_eq!(is_decided_at_once(&chain, with("anna:secret")), None);
    assert_eq!(status(&chain, with("anna:secret")).await, 200);
    assert_eq!(is_decided_at_once(&chain, with("anna:secret")), Some(200));
    assert_eq!(status(&chain, with("anna:other")).await, 401);
    assert_eq!(is_decided_at_once(&chain, with("anna:secret")), Some(200));
    // Only now: a clock that jumps while a hash is computed would end the wait for it.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(is_decided_at_once(&chain, with("anna:secret")), None);
}

#[tokio::test]
async fn cve_2026_32595_unknown_users_take_the_same_time() {
    let chain = chain(json!({ "users": [BCRYPT] }));
    for credentials in ["anna:wrong", "nobody:wrong", "nobody:secret", ":secret"] {
        assert_eq!(is_decided_at_once(&chain, with(credentials)), None, "{credentials}");
        assert_eq!(status(&chain, with(credentials)).await, 401, "{credentials}");
    }
}

#[tokio::test]
async fn cve_2026_71326_remembered_users_are_never_mixed_up() {
    let same = BCRYPT.replace("anna", "annas");
    let chain = chain(json!({ "users": [BCRYPT, same] }));
    assert_eq!(status(&chain, with("anna:secret")).await, 200);
    assert_eq!(is_decided_at_once(&chain, with("annas:secret")), None);
    assert_eq!(status(&chain, with("annas:ecret")).await, 401);
    assert_eq!(is_decided_at_once(&chain, with("nobody:secret")), None);
    assert_eq!(status(&chain, with("nobody:secret")).await, 401);
}

#[test]
fn cve_2026_33433_the_user_header_cannot_be_forged() {
    let chain = chain(json!({ "users": [SHA], "headerField": "X-Web-User" }));
    let authorization = basic("sha:test");
    let forged = [
        ("authorization", authorization.as_str()),
        ("X-WEB-USER", "root"),
        ("x-web-user", "root"),
        ("x_web_user", "root"),
        ("X-Web_User", "root"),
        ("x-web-users", "kept"),
    ];
    let seen = run_now(&chain, request("GET", "h", "/", &forged)).headers;
    assert_eq!(seen.get_all("saw-x-web-user").iter().collect::<Vec<_>>(), ["sha"]);
    assert!(!seen.contains_key("saw-x_web_user") && !seen.contains_key("saw-x-web_user"));
    assert_eq!(seen["saw-x-web-users"], "kept");
    assert_eq!(seen["saw-authorization"], authorization);
}

#[tokio::test]
async fn cve_2026_54763_a_field_with_underscores_has_twins_too() {
    let chain = chain(json!({ "users": [BCRYPT], "headerField": "x_user", "removeHeader": true }));
    let authorization = basic("anna:secret");
    let forged = [("authorization", &*authorization), ("X-User", "root"), ("X_USER", "root")];
    for _ in 0..2 {
        let seen = run(&chain, request("GET", "h", "/", &forged)).await.headers;
        assert_eq!(seen.get_all("saw-x_user").iter().collect::<Vec<_>>(), ["anna"]);
        assert!(!seen.contains_key("saw-x-user"));
        assert!(!seen.contains_key("saw-authorization"));
    }
}

#[test]
fn users_of_a_file_count_and_later_ones_win() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "# people\n\n  {SHA}  \nother:{{SHA}}x\nanna:x\n").unwrap();
    let path = file.path().to_str().unwrap();
    let other = SHA.replace("sha", "other");
    let chain = chain(json!({ "usersFile": path, "users": [other] }));
    assert_eq!(run_now(&chain, with("sha:test")).status, 200);
    assert_eq!(run_now(&chain, with("other:test")).status, 200);
    assert_eq!(run_now(&chain, with("anna:x")).status, 401);
}

#[test]
fn a_file_is_read_again_though_its_path_stays() {
    let kept = crate::kind("basicAuth").unwrap().keeps_steps;
    assert!(kept(&settings("users: ['a:b']")));
    assert!(!kept(&settings("usersfile: /etc/users")));
}

#[test]
fn without_users_nothing_opens() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for settings in [
        json!({}),
        json!({ "usersFile": empty.path().to_str().unwrap() }),
        json!({ "usersFile": "/does/not/exist" }),
        json!({ "users": ["abc"] }),
        json!({ "users": [SHA, "abc:d:e"] }),
        json!({ "users": [SHA], "headerField": "a b" }),
        json!({ "users": [SHA], "realm": "a\u{1}" }),
        json!({ "users": ["a\u{1}:x"], "headerField": "x-user" }),
    ] {
        let error = compile::<BasicAuth>(settings.clone()).err();
        assert!(error.is_some(), "{settings}");
        assert!(!error.unwrap().0.contains(":d:e"), "secrets stay out of messages");
    }
    let plain = chain(json!({ "users": ["anna:secret"] }));
    assert_eq!(run_now(&plain, with("anna:secret")).status, 401);
}

#[tokio::test]
async fn an_overload_of_hashes_is_answered_503() {
    let mut settings = BasicAuth { users: Vec::new(), ..BasicAuth::default() };
    settings.users = serde_json::from_value(json!([BCRYPT])).unwrap();
    let door = Door {
        accounts: account::read("", &settings.users).unwrap(),
        decoys: account::read("", &settings.users).unwrap().into_values().collect(),
        choice: RandomState::new(),
        challenge: challenge("").unwrap(),
        identity: None,
        sent: Credentials::Kept,
        lane: Box::leak(Box::new(Lane::new(1, 0))),
    };
    let response = run(&Chain::new(vec![Step::wrap(door)]), with("anna:secret")).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.headers["retry-after"], "1");
}

#[test]
fn hashes_are_never_shown() {
    let settings: BasicAuth =
        serde_json::from_value(json!({ "users": [SHA, "broken"], "removeHeader": true })).unwrap();
    assert_eq!(
        serde_json::to_value(&settings).unwrap(),
        json!({ "users": ["sha:REDACTED", "REDACTED"], "removeHeader": true })
    );
    let debug = format!("{settings:?}");
    assert!(!debug.contains("qUqP5") && !debug.contains("broken"), "{debug}");
    let mut build = TestBuild::new();
    let error = settings.compile(&mut build).err().unwrap();
    assert!(!error.0.contains("broken"), "{error}");
}
