//! TCP routers: bytes, ends, reloads, health, stalls, the end of the gateway.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::client::Client;
use crate::harness::lines::{Lines, all_to, service};
use crate::harness::{DEADLINE, Gateway, nobody, until};

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.web).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends a line and gives the answer; empty if the connection ended.
fn ask(stream: &mut TcpStream, line: &str) -> String {
    if stream.write_all(line.as_bytes()).is_err() {
        return String::new();
    }
    let (mut answer, mut byte) = (String::new(), [0]);
    while !answer.ends_with('\n') && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        answer.push(char::from(byte[0]));
    }
    answer
}

fn ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut rest);
    rest.is_empty()
}

/// The text at `path` of the gateway's entry point for the API.
fn api(gateway: &Gateway, path: &str) -> String {
    let mut client = Client::connect(gateway.secure);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: api\r\n\r\n"));
    client.response().text().to_owned()
}

const API: &str = "[api]\ninsecure = false\n[metrics.prometheus]\nmanualRouting = true\n";
const API_ROUTES: &str = "[http.routers.api]\nrule = \"PathPrefix(`/api`)\"\nservice = \"api@internal\"\n\
    entryPoints = [\"secure\"]\n[http.routers.metrics]\nrule = \"Path(`/metrics`)\"\n\
    service = \"prometheus@internal\"\nentryPoints = [\"secure\"]\n";

#[test]
fn large_transfers_arrive_whole_both_ways_at_once() {
    const SIZE: usize = 40_000_000;
    let server = Lines::doing(|stream| {
        // Echoes all of it, which needs both ways at once.
        let mut reader = stream.try_clone().unwrap();
        let _ = std::io::copy(&mut reader, stream);
        let _ = stream.shutdown(Shutdown::Write);
    });
    let routes = format!(
        "{}serversTransport = \"patient\"\n[tcp.serversTransports.patient]\nterminationDelay = \"30s\"\n",
        all_to(&[server.address])
    );
    let gateway = Gateway::on_workers(2, "", &routes);
    let bytes: Vec<u8> = (0..SIZE).map(|index| (index * 7 % 253) as u8).collect();
    let mut stream = connect(&gateway);
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).unwrap();
    sending.join().unwrap();
    assert_eq!(seen.len(), SIZE);
    assert!(seen == bytes);
}

#[test]
fn a_server_that_speaks_first_waits_for_nobody() {
    let server = Lines::doing(|stream| drop(stream.write_all(b"220 ready\r\n")));
    let gateway = Gateway::new(&all_to(&[server.address]));
    let begun = Instant::now();
    let mut greeting = String::new();
    connect(&gateway).read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "220 ready\r\n");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_connection_survives_a_reload_and_keeps_its_server() {
    let (old, new) = (Lines::named("old"), Lines::named("new"));
    let mut gateway = Gateway::new(&all_to(&[old.address]));
    let mut stream = connect(&gateway);
    assert_eq!(ask(&mut stream, "one\n"), "old one\n");
    gateway.reload(&all_to(&[new.address]));
    assert_eq!(ask(&mut stream, "two\n"), "old two\n");
    assert_eq!(ask(&mut connect(&gateway), "three\n"), "new three\n");
    gateway.reload("");
    assert_eq!(ask(&mut stream, "four\n"), "old four\n");
}

#[test]
fn permits_and_positions_are_kept_over_reloads() {
    let servers = [Lines::named("a"), Lines::named("b")];
    let routes = |extra: &str| {
        format!(
            "{}[tcp.middlewares.few.inFlightConn]\namount = 1\n{extra}",
            all_to(&servers.each_ref().map(|it| it.address))
                .replace("service = \"it\"", "service = \"it\"\nmiddlewares = [\"few\"]")
        )
    };
    let mut gateway = Gateway::new(&routes(""));
    let mut first = connect(&gateway);
    let answer = ask(&mut first, "x\n");
    gateway.reload(&routes(&service("other", &[nobody()])));
    assert!(ended(&mut connect(&gateway)), "the permit was forgotten");
    drop(first);
    let mut next = String::new();
    until("the permit is free", || {
        next = ask(&mut connect(&gateway), "x\n");
        !next.is_empty()
    });
    assert_ne!(next, answer, "the position was forgotten");
}

#[test]
fn a_server_that_is_down_costs_no_connection() {
    let server = Lines::named("up");
    let gateway = Gateway::new(&all_to(&[nobody(), server.address, nobody()]));
    for _ in 0..12 {
        assert_eq!(ask(&mut connect(&gateway), "x\n"), "up x\n");
    }
    let gateway = Gateway::new(&all_to(&[nobody()]));
    assert!(ended(&mut connect(&gateway)));
}

#[test]
fn the_health_check_leaves_servers_out_and_the_api_tells() {
    let (good, bad) = (Lines::named("good"), Lines::named("bad"));
    let routes = format!(
        "{}{API_ROUTES}[tcp.services.it.loadBalancer.healthCheck]\nsend = \"check\\n\"\n\
         expect = \"good check\\n\"\ninterval = \"50ms\"\ntimeout = \"5s\"\n",
        all_to(&[good.address, bad.address])
    );
    let gateway = Gateway::with(API, &routes);
    let status = |address| {
        format!("\"{address}\":\"{}\"", if address == good.address { "UP" } else { "DOWN" })
    };
    until("the API tells", || {
        let shown = api(&gateway, "/api/tcp/services/it@file");
        shown.contains(&status(good.address)) && shown.contains(&status(bad.address))
    });
    for _ in 0..6 {
        assert_eq!(ask(&mut connect(&gateway), "x\n"), "good x\n");
    }
    let metrics = api(&gateway, "/metrics");
    let up =
        |address| format!("traefik_service_server_up{{service=\"it@file\",url=\"{address}\"}}");
    assert!(metrics.contains(&format!("{} 1", up(good.address))), "{metrics}");
    assert!(metrics.contains(&format!("{} 0", up(bad.address))), "{metrics}");
}

#[test]
fn api_and_metrics_tell_of_routers_and_connections() {
    let server = Lines::named("it");
    let routes = format!(
        "{}{API_ROUTES}[tcp.routers.bad]\nrule = \"HostSNI(`*`)\"\nservice = \"lost\"\n\
         entryPoints = [\"web\"]\npriority = -5\n",
        all_to(&[server.address])
    );
    let gateway = Gateway::with(API, &routes);
    let overview = api(&gateway, "/api/overview");
    assert!(
        overview.contains("\"tcp\":{\"middlewares\":{\"errors\":0,\"total\":0,\"warnings\":0},\"routers\":{\"errors\":1,\"total\":2,\"warnings\":0}")
            || overview.contains("\"routers\":{\"total\":2,\"warnings\":0,\"errors\":1}"),
        "{overview}"
    );
    let bad = api(&gateway, "/api/tcp/routers/bad@file");
    assert!(bad.contains("\"status\":\"disabled\"") && bad.contains("does not exist"), "{bad}");
    let good = api(&gateway, "/api/tcp/routers/all@file");
    assert!(
        good.contains("\"status\":\"enabled\"") && good.contains("\"using\":[\"web\"]"),
        "{good}"
    );
    let mut stream = connect(&gateway);
    assert_eq!(ask(&mut stream, "12345\n"), "it 12345\n");
    let open = "traefik_open_connections{entrypoint=\"web\",protocol=\"TCP\"}";
    until("one is open", || api(&gateway, "/metrics").contains(&format!("{open} 1\n")));
    drop(stream);
    until("none is open", || api(&gateway, "/metrics").contains(&format!("{open} 0\n")));
    let metrics = api(&gateway, "/metrics");
    for line in [
        "portcullis_tcp_connections_total{service=\"it@file\"} 1\n",
        "portcullis_tcp_received_bytes_total{service=\"it@file\"} 6\n",
        "portcullis_tcp_sent_bytes_total{service=\"it@file\"} 9\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[test]
fn open_connections_may_finish_after_sigterm_and_are_cut_at_the_end_of_the_grace() {
    let server = Lines::named("it");
    let grace =
        |time: &str| format!("[entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"{time}\"\n");
    let mut gateway = Gateway::with(&grace("25s"), &all_to(&[server.address]));
    let mut stream = connect(&gateway);
    assert_eq!(ask(&mut stream, "one\n"), "it one\n");
    gateway.signal(Signal::SIGTERM);
    until("nobody listens", || TcpStream::connect(gateway.web).is_err());
    assert_eq!(ask(&mut stream, "two\n"), "it two\n");
    drop(stream);
    assert_eq!(gateway.wait().code(), Some(0));

    let mut gateway = Gateway::with(&grace("300ms"), &all_to(&[server.address]));
    let mut stream = connect(&gateway);
    assert_eq!(ask(&mut stream, "one\n"), "it one\n");
    gateway.signal(Signal::SIGTERM);
    assert!(ended(&mut stream));
    assert_eq!(gateway.wait().code(), Some(0));
}

/// A whole `ClientHello`, and who it asks for.
fn hello(name: &'static str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name).unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// CVE-2026-25949 (PostgreSQL's prelude), CVE-2026-26999 (deadline cleared before TLS is forwarded) and their like.
#[test]
fn whoever_stalls_is_closed_at_the_deadline() {
    let server = Lines::named("it");
    let routes = format!(
        "[tcp.routers.ends]\nrule = \"HostSNI(`ends.test`)\"\nservice = \"it\"\ntls = {{}}\nentryPoints = [\"web\"]\n\
         [tcp.routers.passes]\nrule = \"HostSNI(`passes.test`)\"\nservice = \"it\"\nentryPoints = [\"web\"]\n\
         tls = {{ passthrough = true }}\n{}",
        service("it", &[server.address])
    );
    let install = "[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n\
                   [entryPoints.web.proxyProtocol]\ninsecure = true\n";
    let gateway = Gateway::with(install, &routes);
    let (ends, passes) = (hello("ends.test"), hello("passes.test"));
    let in_prelude = |rest: &[u8]| [&SSL_REQUEST[..], rest].concat();
    let states: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"PROXY TCP4 1.2.".to_vec(),
        b"\x16".to_vec(),
        ends[..20].to_vec(),
        passes[..passes.len() - 1].to_vec(),
        ends.clone(),
        SSL_REQUEST[..3].to_vec(),
        SSL_REQUEST.to_vec(),
        in_prelude(&passes[..7]),
        in_prelude(&ends),
        b"GET / HTTP/1.1\r\nHos".to_vec(),
    ];
    let base = gateway.descriptors();
    let begun = Instant::now();
    let stalled: Vec<_> = (0..20)
        .flat_map(|_| &states)
        .map(|bytes| {
            let mut stream = connect(&gateway);
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    for mut stream in stalled {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    // Connecting takes its time on a slow machine; a connection that is never closed would take 30 s.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    until("all descriptors are back", || gateway.descriptors() <= base + 1);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_hello_in_shreds_finds_its_router() {
    let server = Lines::doing(|stream| {
        let mut first = [0; 3];
        let _ = stream.read_exact(&mut first);
        let _ = stream.write_all(&first);
    });
    let routes = format!(
        "[tcp.routers.passes]\nrule = \"HostSNI(`passes.test`)\"\nservice = \"it\"\nentryPoints = [\"web\"]\n\
         tls = {{ passthrough = true }}\n{}",
        service("it", &[server.address])
    );
    let gateway = Gateway::new(&routes);
    let whole = hello("PASSES.test");
    let shreds: Vec<u8> = whole[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    for bytes in [whole, shreds] {
        let mut stream = connect(&gateway);
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(113) {
            stream.write_all(piece).unwrap();
        }
        let mut first = [0; 3];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first, bytes[..3]);
    }
}
