//! The end of the gateway.

use std::io::Write as _;

use nix::sys::signal::Signal;

use crate::harness::http3::{Secure, answer, get, in_time, until};
use crate::harness::server::{Gate, Server, ok};

const GRACE: &str = "[entryPoints.secure.transport.lifeCycle]\ngraceTimeOut = \"20s\"\n";

#[tokio::test]
async fn requests_under_way_are_answered_and_idle_connections_end() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |seen, stream| {
        if seen.target == "/slow" {
            inner.wait();
        }
        stream.write_all(&ok("done"))
    });
    let mut secure = Secure::with(1, GRACE, &[server.address]);
    let mut busy = secure.client("open.example").await;
    let mut idle = secure.client("open.example").await;
    assert_eq!(idle.get("/").await.unwrap().body, b"done");
    let mut slow = busy.begin(get("/slow")).await.unwrap();
    in_time(slow.finish()).await.unwrap();
    until("the server has both requests", || server.count() == 2).await;
    secure.gateway.signal(Signal::SIGTERM);
    let end = in_time(idle.driver).await.unwrap();
    assert!(end.is_h3_no_error(), "{end}");
    assert!(secure.gateway.is_alive());
    assert!(busy.get("/new").await.is_err(), "a request after the end is taken");
    gate.open();
    assert_eq!(answer(&mut slow).await.unwrap().body, b"done");
    let end = in_time(busy.driver).await.unwrap();
    assert!(end.is_h3_no_error(), "{end}");
    let status = tokio::task::spawn_blocking(move || secure.gateway.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
