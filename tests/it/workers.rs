//! What belongs to the process and not to a worker: each test runs with one worker and with three, whose clients come on
//! connections of their own, so that the kernel spreads them over the workers.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::harness::client::{Client, Response};
use crate::harness::server::{Gate, Server, ok};
use crate::harness::{Gateway, all_to, service, until};

const WORKERS: [usize; 2] = [1, 3];

/// Routes: everything through one middleware to one server.
fn through(middleware: &str, server: &Server) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"m\"] }}\n\
         [http.middlewares.m.{middleware}\n{}",
        service("it", &[server.address])
    )
}

/// So many requests at once, each on its own connection; the answers in any order.
fn at_once(gateway: &Gateway, count: usize) -> Vec<Response> {
    let clients: Vec<Client> = (0..count)
        .map(|_| gateway.client_sending("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n"))
        .collect();
    clients.into_iter().map(|mut client| client.response()).collect()
}

fn count_of(responses: &[Response], status: u16) -> usize {
    responses.iter().filter(|response| response.status == status).count()
}

/// A server that answers once the gate is open.
fn held(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::new(move |_, stream| {
        gate.wait();
        stream.write_all(&ok("held"))
    })
}

#[test]
fn a_rate_limit_is_one_for_all_workers() {
    for workers in WORKERS {
        let server = Server::saying("served");
        let limit = "rateLimit]\naverage = 1\nperiod = \"1h\"\nburst = 20\n";
        let gateway = Gateway::on_workers(workers, "", &through(limit, &server));
        let responses = at_once(&gateway, 60);
        assert_eq!((count_of(&responses, 200), count_of(&responses, 429)), (20, 40), "{workers}");
        assert_eq!(server.count(), 20);
    }
}

#[test]
fn a_limit_of_requests_in_flight_is_one_for_all_workers() {
    for workers in WORKERS {
        let gate = Gate::default();
        let server = held(&gate);
        let routes = through("inFlightReq]\namount = 5\n", &server);
        let gateway = Gateway::on_workers(workers, "", &routes);
        let refused = Arc::<AtomicUsize>::default();
        let one = |_| -> JoinHandle<u16> {
            let mut client = gateway.client_sending("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
            let refused = Arc::clone(&refused);
            std::thread::spawn(move || {
                let status = client.response().status;
                refused.fetch_add(usize::from(status == 429), SeqCst);
                status
            })
        };
        let clients: Vec<_> = (0..30).map(one).collect();
        until("all but five are refused", || refused.load(SeqCst) == 25 && server.count() == 5);
        gate.open();
        let statuses: Vec<u16> = clients.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{workers}");
        // Every permit is given back.
        for _ in 0..10 {
            until("the permits are back", || gateway.get("/").status == 200);
        }
    }
}

#[test]
fn turns_are_taken_by_all_workers_together() {
    for workers in WORKERS {
        let servers = ["a", "b", "c"].map(Server::saying);
        let addresses = servers.each_ref().map(|server| server.address);
        let gateway = Gateway::on_workers(workers, "", &all_to(&addresses));
        for response in at_once(&gateway, 60) {
            assert_eq!(response.status, 200);
        }
        let counts = servers.each_ref().map(Server::count);
        assert_eq!(counts, [20; 3], "{workers} workers");
    }
}

#[test]
fn weights_hold_for_all_workers_together() {
    for workers in WORKERS {
        let servers = ["a", "b"].map(Server::saying);
        let [a, b] = servers.each_ref().map(|server| server.address);
        // Of servers, and of services.
        let of_servers = format!(
            "[http.services.it.loadBalancer]\n\
             servers = [{{ url = \"http://{a}\", weight = 3 }}, {{ url = \"http://{b}\" }}]\n"
        );
        let of_services = format!(
            "[http.services.it.weighted]\nservices = [{{ name = \"a\", weight = 3 }}, {{ name = \"b\", weight = 1 }}]\n{}{}",
            service("a", &[a]),
            service("b", &[b])
        );
        for services in [of_servers, of_services] {
            let before = servers.each_ref().map(Server::count);
            let gateway = Gateway::on_workers(
                workers,
                "",
                &format!(
                    "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\" }}\n{services}"
                ),
            );
            assert_eq!(count_of(&at_once(&gateway, 80), 200), 80);
            let a = servers[0].count() - before[0];
            assert!((59..=61).contains(&a), "{a} of 80 with {workers} workers: {services}");
        }
    }
}

#[test]
fn a_share_of_mirrored_requests_is_one_for_all_workers() {
    for workers in WORKERS {
        let (main, mirror) = (Server::saying("main"), Server::saying("mirror"));
        let routes = format!(
            "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"both\" }}\n\
             [http.services.both.mirroring]\nservice = \"main\"\nmirrors = [{{ name = \"mirror\", percent = 25 }}]\n{}{}",
            service("main", &[main.address]),
            service("mirror", &[mirror.address])
        );
        let gateway = Gateway::on_workers(workers, "", &routes);
        assert_eq!(count_of(&at_once(&gateway, 60), 200), 60);
        until("the copies are sent", || mirror.count() >= 15);
        assert_eq!((main.count(), mirror.count()), (60, 15), "{workers} workers");
    }
}

#[test]
fn the_less_busy_server_is_the_same_for_all_workers() {
    for workers in WORKERS {
        let gate = Gate::default();
        let servers = [held(&gate), held(&gate)];
        let addresses = servers.each_ref().map(|server| server.address);
        let routes = all_to(&addresses).replace("servers =", "strategy = \"p2c\"\nservers =");
        let gateway = Gateway::on_workers(workers, "", &routes);
        let mut clients = Vec::new();
        for round in 1..=20 {
            clients.push(gateway.client_sending("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n"));
            let total = || servers.iter().map(Server::count).sum::<usize>();
            until("the request is with a server", || total() == round);
            let [a, b] = servers.each_ref().map(Server::count);
            assert!(a.abs_diff(b) <= 1, "{a} and {b} requests with {workers} workers");
        }
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
    }
}

#[test]
fn failures_count_for_all_workers_together() {
    for workers in WORKERS {
        let well = Server::saying("well");
        let ill = Server::sending(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        let routes = format!(
            "{}[http.services.it.loadBalancer.passiveHealthCheck]\nmaxFailedAttempts = 3\nfailureWindow = \"1h\"\n",
            all_to(&[well.address, ill.address])
        );
        let gateway = Gateway::on_workers(workers, "", &routes);
        let failed = (0..60).filter(|_| gateway.get("/").status == 500).count();
        assert_eq!((failed, ill.count()), (3, 3), "{workers} workers");
        assert_eq!(well.count(), 57);
    }
}

#[test]
fn probes_are_sent_once_and_obeyed_by_all_workers() {
    for workers in WORKERS {
        let ill = Arc::<AtomicBool>::default();
        let inner = Arc::clone(&ill);
        let flapping = Server::new(move |seen, stream| {
            let fails = seen.target == "/health" && inner.load(SeqCst);
            stream.write_all(if fails {
                b"HTTP/1.1 503 Ill\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            })
        });
        let well = Server::saying("well");
        let routes = format!(
            "{}[http.services.it.loadBalancer.healthCheck]\npath = \"/health\"\ninterval = \"500ms\"\n",
            all_to(&[well.address, flapping.address])
        );
        let begun = Instant::now();
        let gateway = Gateway::on_workers(workers, "", &routes);
        let served = || flapping.seen().iter().filter(|seen| seen.target != "/health").count();
        let probes = || well.seen().iter().filter(|seen| seen.target == "/health").count();
        assert_eq!(count_of(&at_once(&gateway, 20), 200), 20);
        assert_eq!(served(), 10, "{workers} workers");
        ill.store(true, SeqCst);
        until("the probes find out", || gateway.log().contains("server is unhealthy"));
        let before = served();
        assert_eq!(count_of(&at_once(&gateway, 40), 200), 40);
        assert_eq!(served(), before, "with {workers} workers");
        ill.store(false, SeqCst);
        until("the probes find out again", || gateway.log().contains("server is healthy again"));
        at_once(&gateway, 20);
        assert_eq!(served(), before + 10, "with {workers} workers");
        // One probe in each interval, however many workers there are.
        until("some rounds are over", || probes() >= 4);
        let most = begun.elapsed().as_millis() / 500 + 1;
        assert!(probes() as u128 <= most, "{} probes, at most {most} are due", probes());
    }
}

#[test]
fn idle_connections_are_limited_for_the_process() {
    for workers in WORKERS {
        let gate = Gate::default();
        let server = held(&gate);
        let routes = format!(
            "{}serversTransport = \"few\"\n[http.serversTransports.few]\nmaxIdleConnsPerHost = 6\n",
            all_to(&[server.address])
        );
        let gateway = Gateway::on_workers(workers, "", &routes);
        until("the harness has let go", || gateway.connections() == 0);
        let base = gateway.descriptors();
        let mut clients: Vec<Client> = (0..24)
            .map(|_| gateway.client_sending("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n"))
            .collect();
        until("all requests are with the server", || server.count() == 24);
        assert!(gateway.descriptors() >= base + 48);
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        drop(clients);
        until("what is above the limit is closed", || gateway.descriptors() <= base + 6);
        assert!(gateway.descriptors() > base, "no connection is kept");
    }
}

#[test]
fn a_sticky_session_is_known_to_all_workers() {
    for workers in WORKERS {
        let servers = ["a", "b", "c"].map(Server::saying);
        let addresses = servers.each_ref().map(|server| server.address);
        let routes = format!(
            "{}[http.services.it.loadBalancer.sticky.cookie]\nname = \"seat\"\n",
            all_to(&addresses)
        );
        let gateway = Gateway::on_workers(workers, "", &routes);
        let first = gateway.get("/");
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        for _ in 0..20 {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
            assert_eq!(gateway.exchange(request).text(), first.text(), "{workers} workers");
        }
    }
}

#[test]
fn counters_are_sums_over_all_workers() {
    for workers in WORKERS {
        let server = Server::saying("served");
        let install = "[metrics.prometheus]\nentryPoint = \"secure\"\n";
        let gateway = Gateway::on_workers(workers, install, &all_to(&[server.address]));
        assert_eq!(count_of(&at_once(&gateway, 40), 200), 40);
        let line = "traefik_service_requests_total{code=\"200\",method=\"GET\",protocol=\"http\",service=\"it@file\"} ";
        until("the counter is complete", || gateway.metric(line) == Some(40.0));
    }
}
