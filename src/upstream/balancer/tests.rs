use std::collections::BTreeMap;

use portcullis_config::routing::http::ServersTransport;
use serde_json::{Value, json};

use super::*;
use crate::upstream::testing::{TestServer, connection, endpoint, ok, request, status, text};

fn compile(settings: Value, previous: Option<&Balancer>) -> Result<Balancer, String> {
    let settings: LoadBalancer = serde_json::from_value(settings).unwrap();
    let mut made = |address: Address| {
        let url = format!("http://{}", address.authority);
        endpoint(&url, &ServersTransport::default())
    };
    Balancer::compile(&Name::verbatim("s@file"), &settings, previous, &mut made)
}

async fn call(balancer: &Balancer, request: Request) -> Response {
    balancer.call(request, &Exchange::begin(connection())).await
}

async fn get(balancer: &Balancer) -> String {
    text(call(balancer, request("GET", "/", &[])).await).await
}

async fn spread(balancer: &Balancer, count: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..count {
        *spread.entry(get(balancer).await).or_default() += 1;
    }
    spread
}

fn urls(servers: &[&TestServer]) -> Value {
    servers.iter().map(|server| json!({ "url": server.url() })).collect()
}

#[tokio::test]
async fn requests_go_round_by_weight() {
    let (a, b, c) =
        (TestServer::named("a").await, TestServer::named("b").await, TestServer::named("c").await);
    let servers = json!([
        { "url": a.url(), "weight": 3 },
        { "url": b.url() },
        { "url": c.url(), "weight": 0 },
    ]);
    let balancer = compile(json!({ "servers": servers }), None).unwrap();
    let expected = [("a".to_owned(), 6), ("b".to_owned(), 2)];
    assert_eq!(spread(&balancer, 8).await, BTreeMap::from(expected));
    assert_eq!(balancer.server_status().len(), 3);
}

#[tokio::test]
async fn no_server_is_a_503_that_retries_leave_alone() {
    let balancer = compile(json!({ "servers": [{ "url": "http://a", "weight": -1 }] }), None);
    let balancer = balancer.unwrap();
    let exchange = Exchange::begin(connection());
    let response = balancer.call(request("GET", "/", &[]), &exchange).await;
    assert_eq!((response.status.as_u16(), response.fault), (503, Some(Fault::NoServer)));
    assert_eq!(text(response).await, "no available server\n");
    assert_eq!(exchange.into_facts().service.as_deref(), Some("s@file"));
    assert!(!balancer.is_up());
}

#[test]
fn a_wrong_strategy_or_url_is_an_error() {
    let error = compile(json!({ "strategy": "foo" }), None).unwrap_err();
    assert!(
        error.starts_with("strategy `foo`: expected wrr, p2c, hrw or leasttime, or"),
        "{error}"
    );
    assert!(compile(json!({ "servers": [{ "url": "1.2.3.4" }] }), None).is_err());
    for strategy in ["", "wrr", "p2c", "hrw", "leasttime", "ewma", "leastRequest", "hash"] {
        assert!(compile(json!({ "strategy": strategy }), None).is_ok());
    }
}

#[tokio::test]
async fn the_cookie_leads_back_to_its_server() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    for strategy in ["wrr", "p2c", "leasttime"] {
        let settings = json!({
            "strategy": strategy,
            "sticky": { "cookie": { "name": "c" } },
            "servers": urls(&[&a, &b]),
        });
        let balancer = compile(settings, None).unwrap();
        let first = call(&balancer, request("GET", "/", &[])).await;
        let line = first.headers["set-cookie"].to_str().unwrap().to_owned();
        let server = text(first).await;
        let (cookie, _) = line.split_once(';').unwrap();
        for _ in 0..4 {
            let again = call(&balancer, request("GET", "/", &[("cookie", cookie)])).await;
            assert!(!again.headers.contains_key("set-cookie"));
            assert_eq!(text(again).await, server);
        }
        let index = balancer.servers.iter().position(|it| cookie.ends_with(&value(it)));
        balancer.servers[index.unwrap()].standing.set_up(false);
        let other = call(&balancer, request("GET", "/", &[("cookie", cookie)])).await;
        assert!(other.headers.contains_key("set-cookie"));
        assert_ne!(text(other).await, server);
    }
}

fn value(server: &Server) -> String {
    let sticky = Sticky::new("x", &Default::default(), std::iter::once(&*server.url)).unwrap();
    let line = sticky.line(0).unwrap();
    let line = line.to_str().unwrap();
    line.split_once('=').unwrap().1.split_once(';').unwrap().0.to_owned()
}

#[tokio::test]
async fn hrw_keeps_a_client_and_sets_no_cookie() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let settings = json!({
        "strategy": "hrw",
        "sticky": { "cookie": {} },
        "servers": urls(&[&a, &b]),
    });
    let balancer = compile(settings, None).unwrap();
    let first = call(&balancer, request("GET", "/", &[])).await;
    assert!(!first.headers.contains_key("set-cookie"));
    let chosen = text(first).await;
    assert_eq!(spread(&balancer, 5).await, BTreeMap::from([(chosen, 5)]));
}

#[tokio::test]
async fn p2c_counts_until_the_body_ended() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let settings = json!({ "strategy": "p2c", "servers": urls(&[&a, &b]) });
    let balancer = compile(settings, None).unwrap();
    let busy = call(&balancer, request("GET", "/", &[])).await;
    let counts = || balancer.servers.iter().map(|it| it.standing.in_flight()).sum::<usize>();
    assert_eq!(counts(), 1);
    let idle = spread(&balancer, 10).await;
    assert_eq!(idle.len(), 1);
    assert!(!idle.contains_key(&text(busy).await));
    assert_eq!(counts(), 0);
}

#[tokio::test]
async fn a_dead_server_is_left_out_after_one_failure() {
    let (a, mut b) = (TestServer::named("a").await, TestServer::named("b").await);
    b.stop().await;
    let settings = json!({
        "passiveHealthCheck": { "failureWindow": "60s" },
        "servers": urls(&[&a, &b]),
    });
    let balancer = compile(settings, None).unwrap();
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(call(&balancer, request("GET", "/", &[])).await.fault.is_some());
    }
    assert_eq!(failed, 1);
    assert!(balancer.server_status().iter().all(|(_, up)| *up));
    let up: Vec<bool> = balancer.server_up().into_iter().map(|(_, up)| up).collect();
    assert_eq!(up, [true, false]);
}

#[tokio::test]
async fn standings_and_position_live_on() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let settings = |servers: &[&TestServer]| json!({ "passiveHealthCheck": { "failureWindow": "60s" }, "servers": urls(servers) });
    let first = compile(settings(&[&a, &b]), None).unwrap();
    let before = get(&first).await;
    let second = compile(settings(&[&a, &b]), Some(&first)).unwrap();
    assert_ne!(get(&second).await, before);
    assert!(Arc::ptr_eq(&first.turns, &second.turns));
    let bad = TestServer::start(|_| status(500, "bad")).await;
    let third = compile(settings(&[&bad]), Some(&second)).unwrap();
    assert_eq!(get(&third).await, "bad");
    let fourth = compile(settings(&[&a, &bad]), Some(&third)).unwrap();
    assert_eq!(spread(&fourth, 3).await, BTreeMap::from([("a".to_owned(), 3)]));
}

#[tokio::test]
async fn the_base_path_and_the_host_are_those_of_the_url_if_wanted() {
    let server = TestServer::start(|seen| ok(&seen.head)).await;
    let servers = json!([{ "url": format!("{}/base/?q", server.url()), "preservePath": true }]);
    let settings = json!({ "passHostHeader": false, "servers": servers });
    let balancer = compile(settings, None).unwrap();
    let head = text(call(&balancer, request("GET", "/x?y", &[])).await).await;
    assert!(head.starts_with("get /base/x?y http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.address)), "{head}");
    let servers = json!([{ "url": format!("{}/base", server.url()) }]);
    let balancer = compile(json!({ "servers": servers }), None).unwrap();
    let head = get(&balancer).await;
    assert!(head.starts_with("get / http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: example.com\r\n"), "{head}");
}

#[tokio::test]
async fn hash_leads_the_same_to_the_same_and_others_elsewhere() {
    let servers = [TestServer::named("a").await, TestServer::named("b").await];
    let urls = urls(&servers.each_ref());
    let settings = |by: Value| json!({ "strategy": "hash", "hash": by, "servers": urls });
    let said = |balancer: &Balancer, name: &'static str, value: String| {
        let request = request("GET", "/", &[(name, &value)]);
        balancer.pick(&request, Standing::is_up).unwrap()
    };
    let by_header = compile(settings(json!({ "header": "x-user" })), None).unwrap();
    let by_cookie = compile(settings(json!({ "cookie": "user" })), Some(&by_header)).unwrap();
    let tables =
        [&by_header, &by_cookie].map(|it| format!("{:p}", it.hash.as_ref().unwrap().table()));
    assert_eq!(tables[0], tables[1]);
    let mut counts = [0; 2];
    for user in 0..200 {
        let index = said(&by_header, "x-user", user.to_string());
        assert_eq!(said(&by_header, "x-user", user.to_string()), index);
        assert_eq!(said(&by_cookie, "cookie", format!("a=1; user={user}")), index);
        counts[index] += 1;
    }
    assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
    let by_client = compile(settings(json!({})), None).unwrap();
    let first = by_client.pick(&request("GET", "/", &[]), Standing::is_up);
    assert_eq!(by_header.pick(&request("GET", "/", &[]), Standing::is_up), first);
    let both = compile(settings(json!({ "header": "a", "cookie": "b" })), None).unwrap_err();
    assert!(both.contains("only one of"), "{both}");
    assert!(compile(settings(json!({ "header": "a b" })), None).unwrap_err().contains("`a b`"));
}

#[tokio::test]
async fn the_fewest_requests_for_the_weight_are_at_one_server_next() {
    let (a, b) = (TestServer::named("a").await, TestServer::named("b").await);
    let servers = json!([{ "url": a.url(), "weight": 3 }, { "url": b.url() }]);
    let balancer =
        compile(json!({ "strategy": "leastRequest", "servers": servers }), None).unwrap();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(call(&balancer, request("GET", "/", &[])).await);
    }
    let busy: Vec<usize> = balancer.servers.iter().map(|it| it.standing.in_flight()).collect();
    assert_eq!(busy, [6, 2]);
}

#[tokio::test]
async fn a_server_that_fails_does_not_attract_requests_by_failing_quickly() {
    let (a, bad) = (TestServer::named("a").await, TestServer::start(|_| status(500, "bad")).await);
    let settings = json!({ "strategy": "ewma", "servers": urls(&[&a, &bad]) });
    let spread = spread(&compile(settings, None).unwrap(), 20).await;
    assert!(spread["a"] >= 19, "{spread:?}");
}

#[tokio::test]
async fn an_ejected_server_is_tried_by_one_request_and_comes_back() {
    let ill = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = Arc::clone(&ill);
    let a = TestServer::named("a").await;
    let b = TestServer::start(move |_| {
        if seen.load(std::sync::atomic::Ordering::SeqCst) { status(500, "bad") } else { ok("b") }
    })
    .await;
    let ejection = json!({ "consecutiveFailures": 2, "baseTime": "1s", "jitter": 0 });
    let settings = json!({
        "passiveHealthCheck": { "ejection": ejection },
        "servers": urls(&[&a, &b]),
    });
    let balancer = compile(settings, None).unwrap();
    let before = spread(&balancer, 20).await;
    assert_eq!(before, BTreeMap::from([("a".to_owned(), 18), ("bad".to_owned(), 2)]));
    assert_eq!(balancer.server_up().iter().filter(|(_, up)| *up).count(), 1);
    crate::upstream::testing::until(|| balancer.servers[1].standing.is_up()).await;
    // Its time is over, and it is as ill as before: one request tries it.
    let tried = spread(&balancer, 20).await;
    assert_eq!(tried["bad"], 1);
    ill.store(false, std::sync::atomic::Ordering::SeqCst);
    crate::upstream::testing::until(|| balancer.servers[1].standing.is_up()).await;
    assert_eq!(spread(&balancer, 20).await["b"], 10);
    assert_eq!(balancer.server_up().iter().filter(|(_, up)| *up).count(), 2);
}

#[test]
fn workers_share_one_position() {
    let servers: Value = (0..4).map(|n| json!({ "url": format!("http://127.0.0.{n}") })).collect();
    let balancer = compile(json!({ "servers": servers }), None).unwrap();
    let balancer = &balancer;
    let picks = |_| {
        let mut counts = [0_usize; 4];
        let request = request("GET", "/", &[]);
        for _ in 0..1000 {
            counts[balancer.pick(&request, Standing::is_up).unwrap()] += 1;
        }
        counts
    };
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|worker| scope.spawn(move || picks(worker))).collect();
        threads.into_iter().fold([0; 4], |mut sums, thread| {
            for (sum, count) in sums.iter_mut().zip(thread.join().unwrap()) {
                *sum += count;
            }
            sums
        })
    });
    assert_eq!(sums, [750; 4]);
}

#[test]
fn a_request_to_a_server_takes_little_memory() {
    use crate::net::future_size::{assert_within, of_3};
    assert_within("a request to a server", of_3(Balancer::call), 1000..=2304);
}
