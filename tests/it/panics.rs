//! R25: a panic costs one request, or one connection if its answer has begun; never the process or what others share.
//! `panic@internal` is there in debug builds only.

use std::io::Write as _;

use crate::harness::client::Client;
use crate::harness::frames::{self, END_HEADERS, END_STREAM, HEADERS};
use crate::harness::server::{Gate, Server, ok};
use crate::harness::{Gateway, service, until};

/// `/panic…` panics, everything else is for the server; the metrics are at `secure`.
fn gateway(server: &Server) -> Gateway {
    let routes = format!(
        "[http.routers]\n\
         panic = {{ rule = \"PathPrefix(`/panic`)\", service = \"panic@internal\" }}\n\
         copied = {{ rule = \"PathPrefix(`/copied`)\", service = \"copied\" }}\n\
         all = {{ rule = \"PathPrefix(`/`)\", service = \"it\", priority = 1 }}\n\
         [http.services.copied.mirroring]\nservice = \"it\"\nmirrors = [{{ name = \"panic@internal\", percent = 100 }}]\n{}",
        service("it", &[server.address])
    );
    Gateway::with("[metrics.prometheus]\nentryPoint = \"secure\"\n", &routes)
}

fn panics(gateway: &Gateway) -> f64 {
    gateway.metric("portcullis_panics_total ").unwrap()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n")
}

#[test]
fn r25_a_panic_is_a_500_for_its_request_alone() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |seen, stream| {
        if seen.target == "/held" {
            inner.wait();
        }
        stream.write_all(&ok("served"))
    });
    let gateway = gateway(&server);
    // On the one worker there is: a request that waits for its server, and an idle connection to that server.
    let mut held = gateway.client_sending(&get("/held"));
    until("the request is with the server", || server.count() == 1);
    assert_eq!(gateway.get("/").text(), "served");
    let connections = server.connections();
    for round in 1..=30 {
        assert_eq!(gateway.get("/panic").status, 500);
        assert_eq!(gateway.get("/").text(), "served");
        assert_eq!(panics(&gateway) as usize, round);
    }
    // The pool is as it was.
    assert_eq!(server.connections(), connections);
    gate.open();
    assert_eq!(held.response().text(), "served");
    let log = gateway.log();
    assert!(log.contains("panic: a test asked for a panic; please report this"), "{log}");
    assert!(log.contains("backtrace=") && log.contains("router=panic@file"), "{log}");
}

#[test]
fn r25_the_connection_of_a_panic_goes_on_or_closes_in_order() {
    let server = Server::saying("served");
    let gateway = gateway(&server);
    let mut client = gateway.client();
    client.send(
        "POST /panic HTTP/1.1\r\nHost: it.example\r\nContent-Length: 5\r\n\r\nhello\
         GET / HTTP/1.1\r\nHost: it.example\r\nConnection: close\r\n\r\n",
    );
    let failed = client.response();
    assert_eq!(failed.status, 500);
    match client.try_response("GET").unwrap() {
        Some(next) => assert_eq!(next.text(), "served"),
        None => assert!(failed.closes()),
    }
}

#[test]
fn r25_a_panic_in_a_body_never_makes_a_whole_response() {
    let server = Server::saying("served");
    let mut gateway = gateway(&server);
    gateway.get("/");
    let (base, connections) = (gateway.descriptors(), server.connections());
    for _ in 0..20 {
        let mut client = gateway.client_sending(&get("/panic/body"));
        let whole = client.try_response("GET").ok().flatten();
        assert!(whole.is_none(), "{whole:?}");
    }
    assert!(gateway.is_alive());
    assert_eq!(gateway.get("/").text(), "served");
    assert_eq!(server.connections(), connections);
    assert_eq!(panics(&gateway) as usize, 20);
    until("descriptors return", || gateway.descriptors() <= base + 1);
}

#[test]
fn r25_in_h2_the_other_streams_go_on() {
    let server = Server::saying("served");
    let gateway = gateway(&server);
    let mut client = frames::begin(gateway.web);
    let path = |path: &str| {
        [b"\x82\x86\x04", &[path.len() as u8][..], path.as_bytes(), b"\x41\x0ait.example"].concat()
    };
    for (stream, target) in [(1, "/panic"), (3, "/panic/body"), (5, "/")] {
        client.send(frames::frame(HEADERS, END_STREAM | END_HEADERS, stream, &path(target)));
    }
    let mut outcomes = [None; 3];
    until("all streams are over", || {
        let (kind, flags, stream, payload) = frames::read(&mut client);
        let Some(outcome) = (stream as usize).checked_sub(1).map(|it| it / 2) else { return false };
        match kind {
            // Of HPACK's static table: 8 is 200, 14 is 500.
            HEADERS if payload.first() == Some(&0x8e) => outcomes[outcome] = Some("500"),
            frames::RST_STREAM => outcomes[outcome] = Some("reset"),
            frames::DATA if flags & END_STREAM != 0 => {
                outcomes[outcome].get_or_insert("whole");
            }
            _ => {}
        }
        outcomes.iter().all(Option::is_some)
    });
    assert_eq!(outcomes, [Some("500"), Some("reset"), Some("whole")]);
    assert_eq!(gateway.get("/").text(), "served");
}

#[test]
fn r25_a_panic_beside_a_request_does_not_show_in_it() {
    let server = Server::saying("served");
    let gateway = gateway(&server);
    let mut client: Client = gateway.client();
    for _ in 0..10 {
        client.send(get("/copied"));
        assert_eq!(client.response().text(), "served");
    }
    until("the copies panicked", || panics(&gateway) as usize == 10);
    assert_eq!(gateway.get("/").text(), "served");
}
