//! Faults behind, before and around the gateway, each with the promise that holds in it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::harness::client::Client;
use crate::harness::load::Load;
use crate::harness::server::{Gate, Server, ok};
use crate::harness::{Gateway, all_to, nobody, service, until};

fn retried(servers: &[SocketAddr], more: &str) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"again\"] }}\n\
         [http.middlewares.again.retry]\nattempts = 4\n{}{more}",
        service("it", servers)
    )
}

#[test]
fn r1_one_of_four_servers_killed_fails_no_request() {
    let servers = ["a", "b", "c", "d"].map(Server::saying);
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let gateway = Gateway::on_workers(3, "", &retried(&addresses, ""));
    let load = Load::start(gateway.web, 4);
    until("all servers are used", || servers.iter().all(|server| server.count() > 10));
    servers[1].kill();
    load.until_more(200);
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn r1_a_stale_connection_alone_is_retried_without_the_middleware() {
    // A server that closes each connection after its answer, without saying so.
    let server = Server::new(|_, stream| {
        stream.write_all(&ok("once"))?;
        Err(ErrorKind::Other.into())
    });
    let gateway = Gateway::new(&all_to(&[server.address]));
    for _ in 0..30 {
        assert_eq!(gateway.get("/").text(), "once");
    }
}

#[test]
fn a_client_that_goes_cancels_its_request() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&cancelled);
    let server = Server::new(move |seen, stream| {
        if seen.target == "/stream" {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")?;
        }
        // Nothing more, until the gateway gives up.
        let ended = stream.read(&mut [0; 1])? == 0;
        count.fetch_add(usize::from(ended), Relaxed);
        Err(ErrorKind::Other.into())
    });
    let gateway = Gateway::new(&all_to(&[server.address]));
    for (index, target) in ["/", "/stream"].into_iter().enumerate() {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n"));
        until("the server has the request", || server.count() > index);
        drop(client);
        until("the request is cancelled", || cancelled.load(Relaxed) > index);
    }
}

#[test]
fn r2_a_server_that_hangs_costs_only_what_it_has() {
    let (frozen, well) = (Server::saying("frozen"), Server::saying("well"));
    let gateway = Gateway::new(&format!(
        "[http.routers]\n\
         frozen = {{ rule = \"PathPrefix(`/frozen`)\", service = \"frozen\" }}\n\
         well = {{ rule = \"PathPrefix(`/`)\", service = \"well\" }}\n\
         [http.serversTransports.short.forwardingTimeouts]\nresponseHeaderTimeout = \"2s\"\n\
         [http.services.frozen.loadBalancer]\nserversTransport = \"short\"\n\
         servers = [{{ url = \"http://{}\" }}]\n{}",
        frozen.address,
        service("well", &[well.address]),
    ));
    assert_eq!(gateway.get("/frozen").text(), "frozen");
    frozen.freeze();
    let begun = Instant::now();
    let mut waiting: Vec<Client> = (0..20)
        .map(|_| gateway.client_sending("GET /frozen HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    for _ in 0..50 {
        assert_eq!(gateway.get("/").text(), "well");
    }
    for client in &mut waiting {
        assert_eq!(client.response().status, 504);
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    frozen.thaw();
    until("the server is used again", || gateway.get("/frozen").status == 200);
}

#[test]
fn r3_a_response_that_breaks_off_never_looks_whole() {
    let server = Server::new(|seen, stream| {
        stream.write_all(match seen.target.as_str() {
            "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "/chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
            _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        })?;
        Err(ErrorKind::Other.into())
    });
    let gateway = Gateway::new(&retried(&[server.address], ""));
    for target in ["/length", "/chunk", "/between"] {
        let mut client =
            gateway.client_sending(&format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n"));
        let whole = client.try_response("GET").ok().flatten();
        assert!(whole.is_none(), "{target} looks whole: {whole:?}");
    }
    // Never retried after the first byte, and no connection used twice.
    assert_eq!((server.count(), server.connections()), (3, 3));
}

#[test]
fn r5_slow_clients_do_not_slow_others() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut slow: Vec<Client> = (0..200)
        .map(|index| {
            gateway.client_sending(if index % 2 == 0 {
                "GET / HTTP/1.1\r\nHost: a\r\n"
            } else {
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
            })
        })
        .collect();
    let load = Load::start(gateway.web, 2);
    for client in &mut slow {
        client.send("X");
    }
    load.until_more(200);
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn r6_a_server_that_drips_holds_up_nobody_else() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |seen, stream| {
        if seen.target == "/load" {
            return stream.write_all(&ok("quick"));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")?;
        inner.wait();
        stream.write_all(b"b")
    });
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut slow: Vec<Client> =
        (0..50).map(|_| gateway.client_sending("GET /drip HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    until("the server drips", || server.count() == 50);
    let load = Load::start(gateway.web, 2);
    load.until_more(200);
    assert_eq!(load.failures(), [] as [String; 0]);
    gate.open();
    for client in &mut slow {
        assert_eq!(client.response().text(), "ab");
    }
}

#[test]
fn r11_and_r12_are_tests_of_reloads_and_what_never_was_good_serves_nothing() {
    let gateway = Gateway::new("");
    std::fs::write(gateway.routes_folder().join("broken.toml"), "[http.routers").unwrap();
    std::fs::write(gateway.routes_folder().join("also.yml"), "http: [").unwrap();
    assert_eq!(gateway.get("/").status, 404);
}

#[test]
fn r13_memory_after_many_changes_is_memory_before() {
    let server = Server::saying("served");
    let routes = |round: usize| {
        let routers: String = (0..50)
            .map(|index| {
                format!(
                    "[http.routers.r{index}]\nrule = \"Host(`{index}-{round}.example`)\"\nservice = \"it\"\n"
                )
            })
            .collect();
        format!("{}{routers}", all_to(&[server.address]))
    };
    let mut gateway = Gateway::new(&routes(0));
    let load = Load::start(gateway.web, 2);
    for round in 1..20 {
        gateway.reload(&routes(round));
    }
    let before = gateway.resident();
    for round in 20..60 {
        gateway.reload(&routes(round));
    }
    let after = gateway.resident();
    assert_eq!(load.failures(), [] as [String; 0]);
    assert!(after < before + before / 10 + 4096, "{before} KiB, then {after} KiB");
}

#[test]
fn r14_is_the_end_and_a_server_that_is_away_is_a_502() {
    let gateway = Gateway::new(&all_to(&[nobody()]));
    assert_eq!(gateway.get("/").status, 502);
    assert_eq!(
        gateway.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").status,
        502
    );
}

#[test]
fn r21_without_descriptors_it_waits_and_recovers() {
    let server = Server::saying("served");
    let mut gateway = Gateway::new(&all_to(&[server.address]));
    assert_eq!(gateway.get("/").text(), "served");
    let mut kept = gateway.client_sending("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.response().text(), "served");
    let limit = gateway.descriptors() + 20;
    limit_descriptors(&gateway, limit);
    let crowd: Vec<Client> = (0..100).map(|_| gateway.client()).collect();
    until("the gateway has no descriptors left", || gateway.descriptors() + 2 >= limit);
    let (cpu, begun) = (gateway.cpu(), Instant::now());
    // What is connected is served meanwhile; the time passes with it.
    while begun.elapsed() < Duration::from_secs(2) {
        kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(kept.response().text(), "served");
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = gateway.cpu().saturating_sub(cpu);
    assert!(used < begun.elapsed() / 2, "{used:?} of processor time in {:?}", begun.elapsed());
    drop(crowd);
    until("it recovers", || {
        let mut client = gateway.client();
        client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_ok()
            && client.try_response("GET").is_ok_and(|it| it.is_some_and(|it| it.status == 200))
    });
    assert!(gateway.is_alive());
}

/// Sets the limit of another process, as `prlimit` of util-linux does.
fn limit_descriptors(gateway: &Gateway, limit: usize) {
    let status = std::process::Command::new("prlimit")
        .args([format!("--pid={}", gateway.pid()), format!("--nofile={limit}:{limit}")])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn r28_an_access_log_that_nobody_reads_blocks_nobody() {
    let server = Server::saying("served");
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("access.log");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // Held open and never read.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let install = format!("[accessLog]\nfilePath = {pipe:?}\n");
    let gateway = Gateway::with(&install, &all_to(&[server.address]));
    let load = Load::start(gateway.web, 2);
    // More lines than the pipe's 64 KiB hold.
    load.until_more(1500);
    assert_eq!(load.failures(), [] as [String; 0]);
}
