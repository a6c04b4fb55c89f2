//! Repetitions never become the load that keeps a failing service down.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, service, until};

const INSTALL: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";
const TRUSTING: &str = "[entryPoints.web.forwardedHeaders]\ninsecure = true\n";

/// Routes: everything is tried up to five times with a budget, and not where a gateway before does so.
fn careful(server: std::net::SocketAddr) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"again\"] }}\n\
         [http.middlewares.again.retry]\nattempts = 5\nstatus = [\"503\"]\nnested = \"refuse\"\nbudget = {{}}\n{}",
        service("it", &[server])
    )
}

/// A server that fails every second request.
fn half_failing() -> Server {
    let count = AtomicUsize::new(0);
    Server::new(move |_, stream| {
        if count.fetch_add(1, SeqCst).is_multiple_of(2) {
            stream.write_all(b"HTTP/1.1 503 Ill\r\nContent-Length: 0\r\n\r\n")
        } else {
            stream.write_all(&ok("well"))
        }
    })
}

/// A server that fails always.
fn failing() -> Server {
    Server::sending(b"HTTP/1.1 503 Ill\r\nContent-Length: 0\r\n\r\n")
}

/// Asks with some clients for so long; how many requests that were.
fn ask_for(gateway: &Gateway, time: Duration) -> usize {
    let (end, count) = (Instant::now() + time, Arc::<AtomicUsize>::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.web);
                while Instant::now() < end {
                    client.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
                    client.response();
                    count.fetch_add(1, SeqCst);
                }
            });
        }
    });
    count.load(SeqCst)
}

/// Attempts stay within 1.2 times the requests, 10 in each second, and the one that the beginning allows.
fn assert_bounded(requests: usize, attempts: usize, took: Duration) {
    let most = 1.2 * requests as f64 + 10.0 * took.as_secs_f64() + 1.0;
    assert!(attempts as f64 <= most, "{attempts} attempts of {requests} requests in {took:?}");
    assert!(attempts > requests, "nothing was repeated");
    println!("{requests} requests, {attempts} attempts, {most:.0} allowed");
}

#[test]
fn a_server_that_fails_half_its_answers_gets_a_fifth_more_requests_at_most() {
    for workers in [1, 3] {
        let server = half_failing();
        let gateway = Gateway::on_workers(workers, INSTALL, &careful(server.address));
        let begun = Instant::now();
        let requests = ask_for(&gateway, Duration::from_secs(2));
        assert_bounded(requests, server.count(), begun.elapsed());
        let line = "portcullis_retry_budget_exhausted_total{middleware=\"again@file\",service=\"it@file\"} ";
        assert!(gateway.metric(line).unwrap() > 0.0);
    }
}

#[test]
fn three_gateways_in_a_row_that_all_repeat_do_not_multiply() {
    let server = failing();
    let last = Gateway::with(TRUSTING, &careful(server.address));
    let middle = Gateway::with(TRUSTING, &careful(last.web));
    let first = Gateway::new(&careful(middle.web));
    let begun = Instant::now();
    let requests = ask_for(&first, Duration::from_secs(2));
    assert_bounded(requests, server.count(), begun.elapsed());
}

#[test]
fn what_an_outside_client_says_of_attempts_is_not_believed() {
    let server = failing();
    let gateway = Gateway::new(&careful(server.address));
    for name in ["X-Portcullis-Attempt", "X_Portcullis_Attempt"] {
        let request = format!("GET / HTTP/1.1\r\nHost: it.example\r\n{name}: 3\r\n\r\n");
        let mut before = 0;
        // As soon as the budget allows it.
        until("the request is sent again", || {
            before = server.count();
            assert_eq!(gateway.exchange(&request).status, 503);
            server.count() > before + 1
        });
        let numbers: Vec<_> = server.seen()[before..]
            .iter()
            .map(|seen| seen.header("x-portcullis-attempt").unwrap().parse::<usize>().unwrap())
            .collect();
        assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
        assert!(server.last().header("x_portcullis_attempt").is_none());
    }
    let trusting = Gateway::with(TRUSTING, &careful(server.address));
    let before = server.count();
    let request = "GET / HTTP/1.1\r\nHost: it.example\r\nX-Portcullis-Attempt: 3\r\n\r\n";
    assert_eq!(trusting.exchange(request).status, 503);
    assert_eq!(server.count(), before + 1);
    assert_eq!(server.last().header("x-portcullis-attempt"), Some("3"));
}
