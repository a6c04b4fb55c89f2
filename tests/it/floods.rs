//! Floods on h2 and what must not grow: each ends with its connection, others are served, memory stays within a bound.

use crate::harness::client::Client;
use crate::harness::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, POST,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};
use crate::harness::server::Server;
use crate::harness::{Gateway, all_to, until};

/// What a flood of one connection may cost, in KiB, with the allocator's slack of a debug build.
const BOUND: u64 = 24 * 1024;

/// Runs `flood` on one connection of a gateway and asserts what must hold after it.
fn withstands(flood: impl FnOnce(&mut Client)) -> Aftermath {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    gateway.get("/");
    let before = gateway.resident();
    let mut client = frames::begin(gateway.web);
    flood(&mut client);
    assert_eq!(gateway.get("/").text(), "served");
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < BOUND, "{grown} KiB more after the flood");
    Aftermath { client, requests: server.count(), _gateway: gateway }
}

/// What is left after a flood.
struct Aftermath {
    client: Client,
    requests: usize,
    _gateway: Gateway,
}

impl Aftermath {
    /// The gateway must have ended the connection.
    fn ended_closed(mut self) {
        let said = self.client.rest();
        assert!(frames::contains(&said, GOAWAY), "closed without GOAWAY: {} bytes", said.len());
    }
}

/// Sends `piece` again and again until the gateway closes or `limit` pieces were sent.
fn repeat(client: &mut Client, limit: usize, piece: impl Fn(u32) -> Vec<u8>) {
    // In portions, so that the flood is one of frames and not of system calls.
    for portion in 0..limit / 100 {
        let bytes: Vec<u8> =
            (0..100).flat_map(|index| piece((portion * 100 + index) as u32)).collect();
        if client.try_send(bytes).is_err() {
            return;
        }
    }
}

#[test]
fn cve_2023_44487_rapid_reset() {
    let aftermath = withstands(|client| {
        repeat(client, 20_000, |index| {
            let stream = index * 2 + 1;
            let mut bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
            bytes.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
            bytes
        });
    });
    assert!(aftermath.requests < 5_000, "{} requests reached the server", aftermath.requests);
    aftermath.ended_closed();
}

#[test]
fn cve_2025_8671_made_you_reset() {
    // Each stream is reset by the gateway, for a window update of zero, which is an error of the stream.
    let aftermath = withstands(|client| {
        repeat(client, 20_000, |index| {
            let stream = index * 2 + 1;
            let mut bytes = frame(HEADERS, END_HEADERS, stream, POST);
            bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
            bytes
        });
    });
    assert!(aftermath.requests < 5_000, "{} requests reached the server", aftermath.requests);
    aftermath.ended_closed();
}

#[test]
fn ghsa_7f4j_64p6_5h5v_continuation_flood() {
    let aftermath = withstands(|client| {
        client.send(frame(HEADERS, 0, 1, GET));
        // A literal field without indexing, 4,000 bytes of value, in every frame; the end never comes.
        let mut field = b"\x00\x01x\x7f\xa1\x1e".to_vec();
        field.extend([b'a'; 4000]);
        repeat(client, 20_000, |_| frame(CONTINUATION, 0, 1, &field));
    });
    assert_eq!(aftermath.requests, 2);
    aftermath.ended_closed();
}

#[test]
fn empty_continuation_flood() {
    let aftermath = withstands(|client| {
        client.send(frame(HEADERS, 0, 1, GET));
        repeat(client, 100_000, |_| frame(CONTINUATION, 0, 1, b""));
    });
    assert_eq!(aftermath.requests, 2);
    aftermath.ended_closed();
}

#[test]
fn settings_flood() {
    // Every one wants an acknowledgement that the client does not read.
    drop(withstands(|client| repeat(client, 50_000, |_| frame(SETTINGS, 0, 0, b""))));
}

#[test]
fn ping_flood() {
    drop(withstands(|client| repeat(client, 50_000, |_| frame(PING, 0, 0, b"12345678"))));
}

#[test]
fn rustsec_2026_0258_empty_data_flood() {
    let aftermath = withstands(|client| {
        client.send(frame(HEADERS, END_HEADERS, 1, POST));
        repeat(client, 200_000, |_| frame(DATA, 0, 1, b""));
    });
    drop(aftermath);
}

#[test]
fn priority_flood() {
    const PRIORITY: u8 = 2;
    drop(withstands(|client| {
        repeat(client, 100_000, |index| frame(PRIORITY, 0, index * 2 + 1, &[0, 0, 0, 0, 7]));
    }));
}

#[test]
fn cve_2026_47774_cookie_crumbs_bomb() {
    // One long cookie goes into the table; each byte after it repeats the whole field.
    let value = [b'c'; 3000];
    let mut block = GET.to_vec();
    block.extend(b"\x60\x7f\xb9\x16");
    block.extend(value);
    let mut bomb = block.clone();
    bomb.extend([0xbe; 8000]);
    let aftermath = withstands(|client| {
        for stream in 0..50 {
            let bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream * 2 + 1, &bomb);
            if client.try_send(bytes).is_err() {
                return;
            }
        }
    });
    assert_eq!(aftermath.requests, 2, "a bomb went off at the server");
    drop(aftermath);
}

#[test]
fn a_header_list_above_the_limit_is_refused_and_the_connection_goes_on() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    // 30 fields of 3,000 bytes, in frames of the usual size.
    let mut block = GET.to_vec();
    for _ in 0..30 {
        block.extend(b"\x00\x01x\x7f\xb9\x16");
        block.extend([b'a'; 3000]);
    }
    let mut pieces = block.chunks(16_000);
    client.send(frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()));
    let rest: Vec<&[u8]> = pieces.collect();
    for (index, piece) in rest.iter().enumerate() {
        let flags = if index + 1 == rest.len() { END_HEADERS } else { 0 };
        client.send(frame(CONTINUATION, flags, 1, piece));
    }
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, GET));
    let mut answered = [false; 2];
    until("both streams are over", || {
        let (kind, flags, stream, _) = frames::read(&mut client);
        if stream > 0 && (kind == RST_STREAM || flags & END_STREAM != 0) {
            answered[(stream / 2) as usize] = true;
        }
        answered == [true; 2]
    });
    assert_eq!(server.count(), 1);
}

#[test]
fn a_reader_without_window_holds_little() {
    let body: &'static str = "z".repeat(4 << 20).leak();
    let server = Server::new(move |_, stream| {
        use std::io::Write as _;
        stream.write_all(&crate::harness::server::ok(body))
    });
    let gateway = Gateway::new(&all_to(&[server.address]));
    gateway.get("/");
    let before = gateway.resident();
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no stream may send a byte of its body.
    let mut client = frames::begin_with(gateway.web, &[0, 4, 0, 0, 0, 0]);
    for stream in 0..50 {
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream * 2 + 1, GET));
    }
    until("the server has all requests", || server.count() == 51);
    assert_eq!(gateway.get("/").status, 200);
    let grown = gateway.resident().saturating_sub(before);
    // 256 KiB for each stream on both sides.
    assert!(grown < 50 * 256 + 8 * 1024, "{grown} KiB for 50 streams");
}

#[test]
fn stream_numbers_are_not_used_twice() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 5, GET));
    frames::read_until(&mut client, DATA);
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, GET));
    assert!(frames::contains(&client.rest(), GOAWAY));
    assert_eq!(server.count(), 1);
}

#[test]
fn more_streams_than_agreed_are_refused() {
    let server = Server::saying("served");
    server.freeze();
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    for stream in 0..300 {
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream * 2 + 1, GET));
    }
    // REFUSED_STREAM for what is above 250.
    for _ in 0..50 {
        let (_, _, payload) = frames::read_until(&mut client, RST_STREAM);
        assert_eq!(payload, 7u32.to_be_bytes());
    }
    server.thaw();
}
