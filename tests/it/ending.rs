//! The end of the gateway: nothing that was accepted is lost.

use std::io::Write as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::client::Client;
use crate::harness::frames::{self, GET, HEADERS};
use crate::harness::load::Load;
use crate::harness::server::{Gate, Server, ok};
use crate::harness::{Gateway, all_to, until};

/// A grace that is longer than any test machine needs and that a correct end never uses up.
const GRACE: &str = "[entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"20s\"\n";

fn behind_gate() -> (Server, Gate) {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |seen, stream| {
        if seen.target == "/slow" {
            inner.wait();
        }
        stream.write_all(&ok("done"))
    });
    (server, gate)
}

#[test]
fn sigterm_under_load_fails_no_request() {
    let server = Server::saying("served");
    let mut gateway = Gateway::on_workers(3, GRACE, &all_to(&[server.address]));
    let load = Load::start(gateway.web, 6);
    load.until_more(100);
    gateway.signal(Signal::SIGTERM);
    let begun = Instant::now();
    let status = gateway.wait();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(21));
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn a_request_under_way_is_answered_after_sigterm() {
    let (server, gate) = behind_gate();
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: it.example\r\n\r\n");
    until("the server has the request", || server.count() == 1);
    gateway.signal(Signal::SIGTERM);
    until("nobody listens", || Client::try_connect(gateway.web).is_err());
    assert!(gateway.is_alive());
    gate.open();
    let response = client.response();
    assert_eq!((response.text(), response.closes()), ("done", true));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn an_idle_connection_gets_one_last_answer() {
    let (server, gate) = behind_gate();
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    // Keeps the gateway draining.
    let mut slow = gateway.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: it.example\r\n\r\n");
    let mut idle = gateway.client();
    idle.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    assert!(!idle.response().closes());
    until("the server has both requests", || server.count() == 2);
    gateway.signal(Signal::SIGTERM);
    until("nobody listens", || Client::try_connect(gateway.web).is_err());
    idle.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    let last = idle.response();
    assert_eq!((last.status, last.closes()), (200, true));
    assert!(idle.rest().is_empty());
    gate.open();
    assert_eq!(slow.response().text(), "done");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn an_idle_connection_that_stays_silent_ends_before_the_grace() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut idle = gateway.client();
    idle.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    idle.response();
    gateway.signal(Signal::SIGTERM);
    let begun = Instant::now();
    assert_eq!(gateway.wait().code(), Some(0));
    // Five seconds in which a last request could have come, and as much again and more for a slow machine.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(idle.rest().is_empty());
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(
        "[entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"2s\"\n\
         [entryPoints.secure.transport.lifeCycle]\ngraceTimeOut = \"1s\"\n\
         [entryPoints.ready.transport.lifeCycle]\ngraceTimeOut = \"1s\"\n",
        &all_to(&[server.address]),
    );
    let mut idle = gateway.client();
    idle.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    idle.response();
    gateway.signal(Signal::SIGTERM);
    let begun = Instant::now();
    assert_eq!(gateway.wait().code(), Some(0));
    // The grace and the second that the promise allows, and as much again for a slow machine.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn h2_gets_goaway_and_its_streams_end() {
    let (server, gate) = behind_gate();
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    let slow = b"\x82\x86\x04\x05/slow\x41\x0ait.example";
    client.send(frames::frame(HEADERS, frames::END_STREAM | frames::END_HEADERS, 1, slow));
    until("the server has the request", || server.count() == 1);
    gateway.signal(Signal::SIGTERM);
    frames::read_until(&mut client, frames::GOAWAY);
    gate.open();
    let (_, stream, body) = frames::read_until(&mut client, frames::DATA);
    assert_eq!((stream, &*body), (1, &b"done"[..]));
    client.until_closed();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_sigint_ends_it_at_once() {
    let (server, gate) = behind_gate();
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nHost: it.example\r\n\r\n");
    until("the server has the request", || server.count() == 1);
    gateway.signal(Signal::SIGINT);
    until("nobody listens", || Client::try_connect(gateway.web).is_err());
    assert!(gateway.is_alive());
    let begun = Instant::now();
    gateway.signal(Signal::SIGINT);
    gateway.wait();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    gate.open();
}

#[test]
fn connections_in_the_accept_queue_are_served() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    // Stopped, the process takes nothing: the kernel queues connections and requests.
    gateway.signal(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    }
    gateway.signal(Signal::SIGTERM);
    gateway.signal(Signal::SIGCONT);
    for client in &mut clients {
        assert_eq!(client.response().text(), "served");
    }
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_goaway_leaves_room_for_requests_already_sent() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    frames::read_until(&mut client, frames::SETTINGS);
    gateway.signal(Signal::SIGSTOP);
    client.send(frames::frame(HEADERS, frames::END_STREAM | frames::END_HEADERS, 1, GET));
    gateway.signal(Signal::SIGTERM);
    gateway.signal(Signal::SIGCONT);
    let (_, stream, body) = frames::read_until(&mut client, frames::DATA);
    assert_eq!((stream, &*body), (1, &b"served"[..]));
    assert_eq!(gateway.wait().code(), Some(0));
}
