//! Floods of HTTP/1, of TLS and from servers, and those of h2 that are no requests: memory stays within a bound, others
//! are served, nothing panics.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::frames::{self, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, frame};
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, all_to, until};

/// What one connection may cost, in KiB, with the allocator's slack of a debug build.
const BOUND: u64 = 24 * 1024;

const INSTALL: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";

/// Has `flood` do its worst to a gateway before `server`; then everything must be as before.
fn withstands(server: &Server, flood: impl FnOnce(&Gateway)) {
    let gateway = Gateway::with(INSTALL, &all_to(&[server.address]));
    assert_eq!(gateway.get("/calm").text(), "served");
    let before = gateway.resident();
    flood(&gateway);
    assert_eq!(gateway.get("/calm").text(), "served");
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} KiB more after the flood");
    assert_eq!(gateway.metric("portcullis_panics_total "), Some(0.0));
}

/// Sends `piece` until the gateway closes; fails if it takes all of `most` bytes.
fn must_end(client: &mut Client, piece: &[u8], most: usize) {
    let portion = piece.repeat((64 * 1024 / piece.len()).max(1));
    for _ in 0..most / portion.len() {
        if client.try_send(&portion).is_err() {
            return;
        }
    }
    panic!("{most} bytes were taken of what never ends");
}

/// Sends `piece` for so many bytes, or until the gateway closes.
fn may_end(client: &mut Client, piece: &[u8], bytes: usize) {
    let portion = piece.repeat((64 * 1024 / piece.len()).max(1));
    for _ in 0..bytes / portion.len() {
        if client.try_send(&portion).is_err() {
            return;
        }
    }
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// More than both kernels hold for a connection that nobody reads.
const MUCH: usize = 64 << 20;

#[test]
fn a_head_that_never_ends() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        for beginning in ["", "GET /", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "GET / HTTP/1.1\r\n"] {
            for piece in [&b"x"[..], b"X-Field: value\r\n"] {
                must_end(&mut gateway.client_sending(beginning), piece, MUCH);
            }
        }
    });
    assert_eq!(server.count(), 2);
}

#[test]
fn empty_lines_before_a_request_without_end() {
    let server = Server::saying("served");
    withstands(&server, |gateway| may_end(&mut gateway.client(), b"\r\n", 4 << 20));
}

#[test]
fn a_chunk_extension_that_never_ends() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        must_end(&mut gateway.client_sending(&format!("{CHUNKED}1;")), b"x", MUCH);
        // And many that do end.
        must_end(
            &mut gateway.client_sending(CHUNKED),
            b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n",
            MUCH,
        );
    });
}

#[test]
fn a_chunk_size_that_never_ends() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        // Zeros may lead a number (RFC 9112 section 7.1): they take no memory, and end at the read timeout.
        may_end(&mut gateway.client_sending(CHUNKED), b"0", 4 << 20);
        must_end(&mut gateway.client_sending(CHUNKED), b"1", MUCH);
    });
    let install = "[entryPoints.web.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n";
    let gateway = Gateway::with(install, &all_to(&[server.address]));
    let mut client = gateway.client_sending(CHUNKED);
    until("the gateway has enough", || client.try_send("0").is_err());
}

#[test]
fn trailers_that_never_end() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        must_end(
            &mut gateway.client_sending(&format!("{CHUNKED}1\r\na\r\n0\r\n")),
            b"X-Field: value\r\n",
            MUCH,
        );
    });
}

#[test]
fn chunks_of_one_byte() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        let mut client = gateway.client_sending(CHUNKED);
        client.send(b"1\r\na\r\n".repeat(200_000));
        client.send("0\r\n\r\n");
        assert_eq!(client.response().text(), "served");
    });
    let longest = server.seen().iter().map(|seen| seen.body.len()).max();
    assert_eq!(longest, Some(200_000));
}

#[test]
fn requests_of_a_client_that_reads_no_answer() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        let stream = TcpStream::connect(gateway.web).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut client = Client::on(stream);
        // It is read no faster than its answers are taken.
        must_end(&mut client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", MUCH);
    });
}

#[test]
fn cve_2024_28869_announced_lengths_take_no_memory() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000000000000\r\n\r\n";
        let clients: Vec<Client> = (0..50).map(|_| gateway.client_sending(head)).collect();
        for _ in 0..20 {
            assert_eq!(gateway.get("/").text(), "served");
        }
        drop(clients);
    });
}

/// So many bytes of frames on one connection of h2.
fn frames_flood(piece: impl Fn(u32) -> Vec<u8>) {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        let mut client = frames::begin(gateway.web);
        client.send(frame(HEADERS, END_HEADERS, 1, frames::POST));
        for portion in 0..300 {
            let bytes: Vec<u8> = (0..200).flat_map(|index| piece(portion * 200 + index)).collect();
            if client.try_send(bytes).is_err() {
                return;
            }
        }
    });
}

#[test]
fn window_update_flood() {
    frames_flood(|_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()));
    frames_flood(|_| frame(WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes()));
}

#[test]
fn goaway_storm() {
    frames_flood(|_| frame(frames::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0, b'x', b'y']));
}

#[test]
fn unknown_frames_flood() {
    frames_flood(|index| frame(0x50 + (index % 100) as u8, 0xff, index % 7, &[0; 64]));
}

#[test]
fn empty_headers_flood() {
    // A request without any field is malformed; each is an error of its stream.
    frames_flood(|index| frame(HEADERS, END_STREAM | END_HEADERS, index * 2 + 3, b""));
}

#[test]
fn hpack_table_thrash() {
    // The table shrinks to nothing and grows again, and is filled, in every block.
    let mut block = b"\x20\x3f\xe1\x1f".to_vec();
    block.extend(frames::GET);
    for index in 0..40u8 {
        block.extend([0x40, 2, b'x', b'a' + index % 26, 0x7f, 0x01]);
        block.extend([b'v'; 128]);
    }
    frames_flood(move |index| frame(HEADERS, END_STREAM | END_HEADERS, index * 2 + 3, &block));
}

#[test]
fn cve_2026_26999_a_hello_that_stalls_or_drips_has_a_deadline() {
    let server = Server::saying("served");
    let install = "[entryPoints.secure.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n";
    let gateway = Gateway::with(install, &all_to(&[server.address]));
    let base = gateway.descriptors();
    for beginning in
        [&b"\x16"[..], b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    {
        let mut client = Client::connect(gateway.secure);
        client.send(beginning);
        client.until_closed();
        let mut client = Client::connect(gateway.secure);
        client.send(beginning);
        until("the gateway has enough", || client.try_send([0]).is_err());
    }
    until("descriptors return", || gateway.descriptors() <= base + 1);
}

#[test]
fn a_hello_that_never_ends() {
    let server = Server::saying("served");
    withstands(&server, |gateway| {
        let mut client = Client::connect(gateway.secure);
        // A ClientHello that announces 16 MiB, in records of 16 KiB.
        let record = |bytes: &[u8]| [&[0x16, 3, 1, 0x40, 0x00][..], bytes].concat();
        let mut first = vec![1, 0xff, 0xff, 0xff, 3, 3];
        first.resize(16 * 1024, 0);
        let _ = client.try_send(record(&first));
        must_end(&mut client, &record(&[0; 16 * 1024]), MUCH);
        // Records without content are none the wiser.
        let mut client = Client::connect(gateway.secure);
        must_end(&mut client, b"\x16\x03\x01\x00\x00", MUCH);
        // Nor are alerts, which the protocol allows to be ignored.
        let mut client = Client::connect(gateway.secure);
        must_end(&mut client, b"\x15\x03\x01\x00\x02\x01\x5a", MUCH);
    });
}

/// A server that answers `/calm` as it should, and everything else with these bytes again and again.
fn raving(beginning: &'static [u8], piece: &'static [u8]) -> Server {
    Server::new(move |seen, stream| {
        if seen.target == "/calm" {
            return stream.write_all(&crate::harness::server::ok("served"));
        }
        stream.write_all(beginning)?;
        let portion = piece.repeat((64 * 1024 / piece.len()).max(1));
        loop {
            stream.write_all(&portion)?;
        }
    })
}

#[test]
fn a_response_head_that_never_ends_is_an_error() {
    for (beginning, piece) in [
        (&b""[..], &b"x"[..]),
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Field: value\r\n"),
    ] {
        let server = raving(beginning, piece);
        withstands(&server, |gateway| {
            // Traefik: 500 for what is no HTTP, 502 for connections that break.
            let status = gateway.get("/raving").status;
            assert!(matches!(status, 500 | 502), "{status} {}", beginning.escape_ascii());
        });
    }
}

#[test]
fn chunks_of_a_response_that_never_end_break_off() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    let server = raving(HEAD, b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n");
    withstands(&server, |gateway| {
        let begun = Instant::now();
        let mut client = gateway.client_sending("GET /raving HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.try_response("GET").is_err());
        assert!(begun.elapsed() < DEADLINE, "the client gave up, not the gateway");
    });
}

#[test]
fn a_server_that_says_continue_for_ever_holds_up_nobody_else() {
    let server =
        raving(b"", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    withstands(&server, |gateway| {
        let _client = gateway.client_sending("GET /raving HTTP/1.1\r\nHost: a\r\n\r\n");
        until("the server raves", || server.count() == 2);
        for _ in 0..20 {
            assert_eq!(gateway.get("/calm").text(), "served");
        }
    });
}

#[test]
fn a_server_that_says_continue_for_ever_is_given_up() {
    let server = raving(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    withstands(&server, |gateway| {
        let status = gateway.get("/raving").status;
        assert!(matches!(status, 500 | 502), "{status}");
    });
}
