//! A server that fails while others do not is ejected, tried and let in again.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, all_to, until};

/// A server that fails while it is told to.
fn failing(ill: &Arc<AtomicBool>) -> Server {
    let ill = Arc::clone(ill);
    Server::new(move |_, stream| {
        if ill.load(SeqCst) {
            stream.write_all(b"HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n")
        } else {
            stream.write_all(&ok("well"))
        }
    })
}

#[test]
fn an_endpoint_that_turns_to_failing_is_ejected_within_ten_requests_and_returns() {
    for workers in [1, 3] {
        let ill = Arc::<AtomicBool>::default();
        let (well, turning) = (Server::saying("well"), failing(&ill));
        let routes = format!(
            "{}[http.services.it.loadBalancer.passiveHealthCheck.ejection]\nbaseTime = \"500ms\"\n",
            all_to(&[well.address, turning.address])
        );
        let install = "[metrics.prometheus]\nentryPoint = \"secure\"\n";
        let gateway = Gateway::on_workers(workers, install, &routes);
        let url = turning.address;
        let metric = |name: &str| gateway.metric(name);
        let ejections = |reason: &str| {
            metric(&format!(
                "portcullis_service_ejections_total{{reason=\"{reason}\",service=\"it@file\",url=\"http://{url}\"}} "
            ))
        };
        let is_up = || {
            metric(&format!(
                "traefik_service_server_up{{service=\"it@file\",url=\"http://{url}\"}} "
            ))
        };
        for _ in 0..20 {
            assert_eq!(gateway.get("/").status, 200);
        }
        assert_eq!(turning.count(), 10);
        ill.store(true, SeqCst);
        let failed = (0..10).filter(|_| gateway.get("/").status == 500).count();
        assert_eq!(failed, 5, "{workers} workers");
        assert_eq!((ejections("consecutive"), is_up()), (Some(1.0), Some(0.0)));
        // Single requests try it; they fail, and it stays out for longer.
        let mut failed = 0;
        until("it was tried", || {
            failed += usize::from(gateway.get("/").status == 500);
            ejections("probe") >= Some(2.0)
        });
        assert_eq!(failed, 2, "{workers} workers");
        ill.store(false, SeqCst);
        until("it is back", || {
            assert_eq!(gateway.get("/").status, 200);
            is_up() == Some(1.0)
        });
        let before = turning.count();
        for _ in 0..20 {
            assert_eq!(gateway.get("/").status, 200);
        }
        assert_eq!(turning.count(), before + 10, "{workers} workers");
    }
}
