//! Limits that hold without tuning: sizes, and times in which bytes must come or be taken.

use std::io::Write as _;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, all_to, until};

/// Short enough to be waited for.
const READ_TIMEOUT: &str = "[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n";

#[test]
fn a_head_above_64_kib_is_answered_431() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let head = |bytes: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(bytes))
    };
    assert_eq!(gateway.exchange(head(60 * 1024)).status, 200);
    assert_eq!(gateway.exchange(head(70 * 1024)).status, 431);
    assert_eq!(server.count(), 1);
}

#[test]
fn more_than_256_fields_are_answered_431() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let head = |fields: usize| {
        let lines: String = (1..fields).map(|i| format!("X-{i}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    assert_eq!(gateway.exchange(head(240)).status, 200);
    assert_eq!(gateway.exchange(head(257)).status, 431);
    assert_eq!(server.count(), 1);
}

#[test]
fn a_target_above_16_kib_is_answered_414() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let head = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes));
    assert_eq!(gateway.exchange(head(16_000)).status, 200);
    assert_eq!(gateway.exchange(head(17_000)).status, 414);
    assert_eq!(server.count(), 1);
}

#[test]
fn max_header_bytes_raises_the_limit() {
    let server = Server::saying("served");
    let gateway = Gateway::with(
        "[entryPoints.web.http]\nmaxHeaderBytes = 200000\n",
        &all_to(&[server.address]),
    );
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(gateway.exchange(head).status, 200);
}

#[test]
fn a_slow_head_is_closed_at_the_read_timeout() {
    let server = Server::saying("served");
    let gateway = Gateway::with(READ_TIMEOUT, &all_to(&[server.address]));
    for piece in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n"] {
        let mut client = gateway.client();
        client.send(piece);
        let took = client.until_closed();
        assert!(took > Duration::from_millis(800), "{piece:?} after {took:?}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_head_that_drips_is_closed_at_the_read_timeout() {
    let server = Server::saying("served");
    let gateway = Gateway::with(READ_TIMEOUT, &all_to(&[server.address]));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    until("the gateway has enough", || client.try_send("X-A: b\r\n").is_err());
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_slow_body_is_closed_at_the_read_timeout() {
    let server = Server::saying("served");
    let gateway = Gateway::with(READ_TIMEOUT, &all_to(&[server.address]));
    for body in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    {
        let mut client = gateway.client_sending(&format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"));
        client.until_closed();
    }
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(server.count(), 1);
}

#[test]
fn a_connection_without_requests_is_closed_at_the_idle_timeout() {
    let server = Server::saying("served");
    let gateway = Gateway::with(
        "[entryPoints.web.transport.respondingTimeouts]\nidleTimeout = \"1s\"\n",
        &all_to(&[server.address]),
    );
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "served");
    let took = client.until_closed();
    assert!(took > Duration::from_millis(800), "{took:?}");
}

#[test]
fn a_reader_that_stalls_is_closed_at_the_write_timeout_and_holds_little() {
    let server = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")?;
        let piece = [b'x'; 16 * 1024];
        loop {
            stream.write_all(&piece)?;
        }
    });
    let gateway = Gateway::with(
        "[entryPoints.web.transport.respondingTimeouts]\nwriteTimeout = \"2s\"\n",
        &all_to(&[server.address]),
    );
    let (memory, descriptors) = (gateway.resident(), gateway.descriptors());
    let clients: Vec<Client> = (0..10)
        .map(|_| {
            let mut client = gateway.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.head().unwrap().unwrap().status, 200);
            client
        })
        .collect();
    let grown = gateway.resident().saturating_sub(memory);
    assert!(grown < 20 * 1024, "{grown} KiB for ten stalled readers");
    until("stalled readers are closed", || gateway.descriptors() <= descriptors + 2);
    drop(clients);
}

#[test]
fn cve_2026_22045_stalled_sockets_are_closed_and_descriptors_return() {
    let server = Server::saying("served");
    let gateway = Gateway::with(
        "[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"3s\"\nidleTimeout = \"3s\"\n",
        &all_to(&[server.address]),
    );
    gateway.get("/");
    let (base, memory) = (gateway.descriptors(), gateway.resident());
    let states = ["", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\nHo", "PRI * HTTP/2.0\r\n\r\n"];
    let stalled: Vec<Client> = (0..500)
        .map(|i| {
            let mut client = gateway.client();
            let _ = client.try_send(states[i % states.len()]);
            client
        })
        .collect();
    assert_eq!(gateway.get("/").text(), "served");
    let each = gateway.resident().saturating_sub(memory) / 500;
    assert!(each < 256, "{each} KiB for each stalled socket");
    until("descriptors return", || gateway.descriptors() <= base + 2);
    assert_eq!(gateway.get("/").text(), "served");
    drop(stalled);
}

#[test]
fn a_large_answer_arrives_whole() {
    let body: &'static str = "0123456789abcdef".repeat(64 * 1024).leak();
    let server = Server::new(move |_, stream| stream.write_all(&ok(body)));
    let gateway = Gateway::new(&all_to(&[server.address]));
    assert_eq!(gateway.get("/").text(), body);
}
