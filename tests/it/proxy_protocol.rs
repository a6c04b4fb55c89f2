//! The PROXY protocol before HTTP, h2 and TLS: whom it is believed, and who sees the address that it tells.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::server::{Seen, Server};
use crate::harness::{DEADLINE, Gateway, all_to, frames, free_port, service, until};
use crate::tls::Secure;

/// Tests connect from 127.0.0.1.
const TRUSTED: &str = "[entryPoints.web.proxyProtocol]\ntrustedIPs = [\"127.0.0.1\"]\n";
const STRANGERS: &str = "[entryPoints.web.proxyProtocol]\ntrustedIPs = [\"192.0.2.0/24\"]\n";
const INSECURE: &str = "[entryPoints.web.proxyProtocol]\ninsecure = true\n";

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// `LOCAL` and `PROXY` of version 2.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Families with their transport.
const TCP4: u8 = 0x11;
const UDP4: u8 = 0x12;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: it.example\r\n\r\n";

/// A header of version 2.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

/// The addresses 192.0.2.7:1234 and 198.51.100.1:443.
const FOUR: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 4, 210, 1, 187];

/// The same for IPv6.
fn six(source: &str) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    [&ip(source)[..], &ip("2001:db8::1"), &[4, 210, 1, 187]].concat()
}

fn v1(line: &str) -> Vec<u8> {
    format!("PROXY {line}\r\n").into_bytes()
}

/// What the server saw of a request behind `header`.
fn seen_behind(gateway: &Gateway, server: &Server, header: &[u8]) -> Seen {
    let response = gateway.exchange([header, REQUEST].concat());
    assert_eq!(response.status, 200, "{}", header.escape_ascii());
    server.last()
}

fn assert_client(seen: &Seen, address: &str, about: &str) {
    assert_eq!(seen.header("x-forwarded-for"), Some(address), "{about}");
    assert_eq!(seen.header("x-real-ip"), Some(address), "{about}");
}

/// Headers that tell an address, and the address.
fn telling() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    // A TLV of type ALPN whose value looks like a request, and one without a value.
    let additions: &[u8] = &[0x01, 0, 6, b'G', b'E', b'T', b' ', b'/', b' ', 0x04, 0, 0];
    vec![
        ("v1 TCP4", v1("TCP4 192.0.2.7 198.51.100.1 1234 443"), "192.0.2.7"),
        ("v1 TCP6", v1("TCP6 2001:db8::7 2001:db8::1 1234 443"), "2001:db8::7"),
        ("v1 mapped", v1("TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1234 443"), "192.0.2.7"),
        ("v2 TCP4", v2(PROXY, TCP4, FOUR), "192.0.2.7"),
        ("v2 TCP6", v2(PROXY, TCP6, &six("2001:db8::7")), "2001:db8::7"),
        ("v2 mapped", v2(PROXY, TCP6, &six("::ffff:192.0.2.7")), "192.0.2.7"),
        ("v2 with TLVs", v2(PROXY, TCP4, &[FOUR, additions].concat()), "192.0.2.7"),
        ("v2 with much", v2(PROXY, TCP4, &[FOUR, &[0; 4000]].concat()), "192.0.2.7"),
    ]
}

/// Headers that tell none.
fn silent() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("v1 UNKNOWN", v1("UNKNOWN")),
        ("v1 UNKNOWN with more", v1("UNKNOWN 192.0.2.7 198.51.100.1 1234 443")),
        ("v2 LOCAL", v2(LOCAL, 0, b"")),
        ("v2 LOCAL with addresses", v2(LOCAL, TCP4, FOUR)),
        ("v2 unspecified", v2(PROXY, 0, b"")),
        ("v2 datagrams", v2(PROXY, UDP4, FOUR)),
        ("v2 unix", v2(PROXY, UNIX, &[b'/'; 216])),
    ]
}

/// Bytes that begin like a header and are none.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let bare = |text: &str| text.as_bytes().to_vec();
    let mut too_long = v2(PROXY, TCP4, &[FOUR, &[0; 5000]].concat());
    too_long.truncate(4096);
    vec![
        ("too few words", v1("TCP4 192.0.2.7 198.51.100.1 1234")),
        ("too many words", v1("TCP4 192.0.2.7 198.51.100.1 1234 443 1")),
        ("two spaces", v1("TCP4  192.0.2.7 198.51.100.1 1234 443")),
        ("no address", v1("TCP4 192.0.2.777 198.51.100.1 1234 443")),
        ("the other family", v1("TCP4 2001:db8::7 2001:db8::1 1234 443")),
        ("an unknown family", v1("TCP5 192.0.2.7 198.51.100.1 1234 443")),
        ("CVE-2026-26310: an address with a zone", v1("TCP6 fe80::1%lo fe80::2%lo 1234 443")),
        ("a port out of range", v1("TCP4 192.0.2.7 198.51.100.1 65536 443")),
        ("a port with a sign", v1("TCP4 192.0.2.7 198.51.100.1 +1 443")),
        ("LF alone", bare("PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\n\r\n")),
        ("a line without end", bare(&format!("PROXY UNKNOWN {}", "x".repeat(200)))),
        ("a line of 108 bytes", v1(&format!("UNKNOWN {}", "x".repeat(92)))),
        ("v2 of version 1", v2(0x11, TCP4, FOUR)),
        ("v2 with an unknown command", v2(0x22, TCP4, FOUR)),
        ("v2 with half an address", v2(PROXY, TCP4, &FOUR[..11])),
        ("v2 for IPv6 with addresses of IPv4", v2(PROXY, TCP6, FOUR)),
        ("v2 that is too long", too_long),
    ]
}

#[test]
fn a_trusted_peer_tells_who_the_client_is() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    for (name, header, address) in telling() {
        assert_client(&seen_behind(&gateway, &server, &header), address, name);
    }
}

#[test]
fn headers_without_addresses_leave_the_peer() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    for (name, header) in silent() {
        assert_client(&seen_behind(&gateway, &server, &header), "127.0.0.1", name);
    }
    assert_client(&seen_behind(&gateway, &server, b""), "127.0.0.1", "no header");
}

#[test]
fn a_peer_that_is_not_trusted_is_read_and_not_believed() {
    let server = Server::saying("served");
    let gateway = Gateway::with(STRANGERS, &all_to(&[server.address]));
    for (name, header, _) in telling() {
        assert_client(&seen_behind(&gateway, &server, &header), "127.0.0.1", name);
    }
    for (name, header) in silent() {
        assert_client(&seen_behind(&gateway, &server, &header), "127.0.0.1", name);
    }
}

#[test]
fn insecure_believes_everybody() {
    let server = Server::saying("served");
    let gateway = Gateway::with(INSECURE, &all_to(&[server.address]));
    for (name, header, address) in telling() {
        assert_client(&seen_behind(&gateway, &server, &header), address, name);
    }
}

#[test]
fn a_trusted_address_is_the_same_on_a_socket_for_both_families() {
    let server = Server::saying("served");
    let both = free_port();
    let install = format!(
        "[entryPoints.both]\naddress = \":{both}\"\n\
         [entryPoints.both.proxyProtocol]\ntrustedIPs = [\"127.0.0.1\"]\n"
    );
    let routes = format!(
        "[http.routers.all]\nrule = \"PathPrefix(`/`)\"\nentryPoints = [\"both\"]\nservice = \"it\"\n{}",
        service("it", &[server.address])
    );
    let _gateway = Gateway::with(&install, &routes);
    // The peer is `::ffff:127.0.0.1` here.
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], both)));
    client.send([&v2(PROXY, TCP4, FOUR), REQUEST].concat());
    assert_eq!(client.response().status, 200);
    assert_client(&server.last(), "192.0.2.7", "both");
}

#[test]
fn without_the_option_a_header_is_a_bad_request() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for (name, header, _) in telling() {
        let mut client = gateway.client();
        client.send([&header, REQUEST].concat());
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_header_may_come_byte_by_byte() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    for (name, header, address) in telling() {
        if header.len() > 200 {
            continue;
        }
        let mut client = gateway.client();
        for byte in [&header, REQUEST].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().status, 200, "{name}");
        assert_client(&server.last(), address, name);
    }
}

#[test]
fn the_address_is_that_of_all_requests_of_the_connection() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    let mut client = gateway.client();
    client.send(v2(PROXY, TCP4, FOUR));
    for _ in 0..3 {
        client.send(REQUEST);
        assert_eq!(client.response().status, 200);
        assert_client(&server.last(), "192.0.2.7", "again");
    }
    // A second header is no header.
    client.send(v1("TCP4 192.0.2.8 198.51.100.1 1 2"));
    client.rest();
    assert_eq!(server.count(), 3);
}

#[test]
fn what_begins_like_a_header_and_is_none_ends_the_connection() {
    let server = Server::saying("served");
    for install in [TRUSTED, STRANGERS] {
        let gateway = Gateway::with(install, &all_to(&[server.address]));
        for (name, header) in malformed() {
            let mut client = gateway.client();
            let _ = client.try_send([&header, REQUEST].concat());
            let said = client.rest();
            assert!(said.is_empty(), "{name}: {}", said.escape_ascii());
        }
        assert_eq!(gateway.get("/").status, 200);
    }
    // One for each gateway at the end, none for what was malformed.
    assert_eq!(server.count(), 2);
}

/// Beginnings of headers.
fn beginnings() -> Vec<Vec<u8>> {
    let whole = v2(PROXY, TCP4, FOUR);
    let mut found = vec![b"P".to_vec(), b"PROXY TCP4 192.0".to_vec(), b"PROXY UNKNOWN\r".to_vec()];
    found.extend([1, SIGNATURE.len(), 16, whole.len() - 1].map(|end| whole[..end].to_vec()));
    found
}

#[test]
fn a_header_that_stalls_is_closed_at_the_read_timeout() {
    let server = Server::saying("served");
    let install =
        format!("{TRUSTED}[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n");
    let gateway = Gateway::with(&install, &all_to(&[server.address]));
    let base = gateway.descriptors();
    for beginning in beginnings() {
        let mut client = gateway.client();
        client.send(&beginning);
        let took = client.until_closed();
        assert!(took > Duration::from_millis(800), "{} {took:?}", beginning.escape_ascii());
        assert!(took < DEADLINE / 2, "{} {took:?}", beginning.escape_ascii());
    }
    // One that goes on for ever has the same deadline.
    let mut client = gateway.client();
    client.send(&v2(PROXY, TCP4, &[0; 4000])[..28]);
    until("the gateway has enough", || client.try_send([0]).is_err());
    until("descriptors return", || gateway.descriptors() <= base + 1);
    assert_eq!(server.count(), 0);
}

#[test]
fn a_client_that_closes_within_a_header_is_not_waited_for() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    for beginning in beginnings() {
        let mut stream = TcpStream::connect(gateway.web).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(&beginning).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // The end or a reset, long before the read timeout of a minute.
        if let Ok(count) = stream.read(&mut [0; 16]) {
            assert_eq!(count, 0, "{}", beginning.escape_ascii());
        }
    }
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn headers_that_stall_cost_no_processor_time() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    let stalled: Vec<Client> = (0..300).map(|_| gateway.client_sending("PROXY TCP4 1")).collect();
    assert_eq!(gateway.get("/").status, 200);
    let (cpu, begun) = (gateway.cpu(), Instant::now());
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(gateway.get("/").status, 200);
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = gateway.cpu().saturating_sub(cpu);
    assert!(used < begun.elapsed() / 2, "{used:?} of processor time in {:?}", begun.elapsed());
    drop(stalled);
}

#[test]
fn rules_and_address_lists_see_the_told_address() {
    let (inside, outside) = (Server::saying("inside"), Server::saying("outside"));
    let routes = format!(
        "[http.routers]\n\
         inside = {{ rule = \"ClientIP(`192.0.2.0/24`) || ClientIP(`2001:db8::/64`)\", service = \"inside\" }}\n\
         listed = {{ rule = \"Path(`/listed`)\", priority = 1000, service = \"inside\", middlewares = [\"listed\"] }}\n\
         all = {{ rule = \"PathPrefix(`/`)\", service = \"outside\", priority = 1 }}\n\
         [http.middlewares.listed.ipAllowList]\nsourceRange = [\"192.0.2.0/24\", \"2001:db8::/64\"]\n{}{}",
        service("inside", &[inside.address]),
        service("outside", &[outside.address]),
    );
    let ask = |gateway: &Gateway, header: &[u8], target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n");
        let response = gateway.exchange([header, request.as_bytes()].concat());
        (response.status, response.text().to_owned())
    };
    let inside_is = (200, "inside".to_owned());
    let gateway = Gateway::with(TRUSTED, &routes);
    for (name, header, _) in telling() {
        assert_eq!(ask(&gateway, &header, "/"), inside_is, "{name}");
        assert_eq!(ask(&gateway, &header, "/listed"), inside_is, "{name}");
    }
    let elsewhere = v1("TCP4 198.51.100.9 198.51.100.1 1 2");
    assert_eq!(ask(&gateway, &elsewhere, "/"), (200, "outside".to_owned()));
    assert_eq!(ask(&gateway, &elsewhere, "/listed").0, 403);
    // Of a stranger the header opens nothing.
    let gateway = Gateway::with(STRANGERS, &routes);
    for (name, header, _) in telling() {
        assert_eq!(ask(&gateway, &header, "/"), (200, "outside".to_owned()), "{name}");
        assert_eq!(ask(&gateway, &header, "/listed").0, 403, "{name}");
    }
}

#[test]
fn h2_may_follow() {
    let server = Server::saying("served");
    let gateway = Gateway::with(TRUSTED, &all_to(&[server.address]));
    for (name, header, address) in telling() {
        let mut client = gateway.client();
        let flags = frames::END_STREAM | frames::END_HEADERS;
        let hello = [
            &header,
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            &frames::frame(frames::SETTINGS, 0, 0, b""),
            &frames::frame(frames::HEADERS, flags, 1, frames::GET),
        ];
        client.send(hello.concat());
        let (_, _, body) = frames::read_until(&mut client, frames::DATA);
        assert_eq!(body, b"served", "{name}");
        assert_client(&server.last(), address, name);
    }
}

#[test]
fn tls_may_follow() {
    let install = TRUSTED.replace("web", "secure");
    let secure = Secure::with(&install);
    for (name, header, address) in telling() {
        // Small pieces too: the header ends within a segment that has more.
        for size in [1, usize::MAX] {
            let mut client = secure.connect_behind(&header, "open.example", size, &[]);
            client.send("GET / HTTP/1.1\r\nHost: open.example\r\n\r\n");
            assert_eq!(client.response().text(), "secret", "{name}");
            assert_client(&secure.server.last(), address, name);
            assert_eq!(secure.server.last().header("x-forwarded-proto"), Some("https"));
        }
    }
    // The policy of a name does not depend on the header before it.
    let mut client = secure.connect_behind(&v1("UNKNOWN"), "strict.example", usize::MAX, &[]);
    let refused = client
        .try_send("GET / HTTP/1.1\r\nHost: strict.example\r\n\r\n")
        .and_then(|()| client.try_response("GET"));
    assert!(!refused.is_ok_and(|response| response.is_some()));
}
