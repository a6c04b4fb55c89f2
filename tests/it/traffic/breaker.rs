//! Circuit breakers: one for all workers, across reloads, and shown in the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, service, until};

/// A server that fails while it is told to.
fn failing(ill: &Arc<AtomicBool>) -> Server {
    let ill = Arc::clone(ill);
    Server::new(move |_, stream| {
        use std::io::Write as _;
        if ill.load(SeqCst) {
            stream.write_all(b"HTTP/1.1 502 Ill\r\nContent-Length: 0\r\n\r\n")
        } else {
            stream.write_all(&ok("well"))
        }
    })
}

fn routes(breaker: &str, server: &Server) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"m\"] }}\n\
         [http.middlewares.m.circuitBreaker]\nexpression = \"NetworkErrorRatio() > 0.5\"\n{breaker}{}",
        service("it", &[server.address])
    )
}

const INSTALL: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";
const LABELS: &str = "{middleware=\"m@file\",router=\"all@file\"} ";

#[test]
fn a_breaker_is_one_for_all_workers_and_survives_reloads() {
    for workers in [1, 3] {
        let ill = Arc::new(AtomicBool::new(true));
        let server = failing(&ill);
        let routes = routes("fallbackDuration = \"1h\"\n", &server);
        let mut gateway = Gateway::on_workers(workers, INSTALL, &routes);
        assert_eq!(gateway.get("/").status, 502);
        for _ in 0..30 {
            let answer = gateway.get("/");
            assert_eq!((answer.status, answer.text()), (503, "Service Unavailable"));
        }
        gateway.reload(&format!("{routes}[http.services.other.loadBalancer]\nservers = []\n"));
        for _ in 0..10 {
            assert_eq!(gateway.get("/").status, 503, "{workers} workers");
        }
        assert_eq!(server.count(), 1, "{workers} workers");
        let metric =
            |name: &str| gateway.metric(&format!("portcullis_circuit_breaker_{name}{LABELS}"));
        assert_eq!(metric("opened_total"), Some(1.0));
        assert_eq!(metric("refused_total"), Some(40.0));
        assert_eq!(metric("state"), Some(2.0));
    }
}

#[test]
fn a_service_that_is_well_again_gets_more_and_more_and_then_all() {
    let ill = Arc::new(AtomicBool::new(true));
    let server = failing(&ill);
    let breaker = "fallbackDuration = \"200ms\"\nrecoveryDuration = \"1s\"\n";
    let gateway = Gateway::with(INSTALL, &routes(breaker, &server));
    assert_eq!(gateway.get("/").status, 502);
    assert_eq!(gateway.get("/").status, 503);
    ill.store(false, SeqCst);
    let mut refused = 0;
    until("the breaker is closed", || {
        refused += usize::from(gateway.get("/").status == 503);
        gateway.metric(&format!("portcullis_circuit_breaker_state{LABELS}")) == Some(0.0)
    });
    assert!(refused > 1 && server.count() > 1, "{refused} refused, {} passed", server.count());
    for _ in 0..30 {
        assert_eq!(gateway.get("/").status, 200);
    }
}
