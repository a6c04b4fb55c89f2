//! h2 frames as bytes, for what no well-behaved client sends.

use std::net::SocketAddr;

use super::client::Client;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `GET / ` of `http`, host `it.example`: four entries of HPACK's static table, one with a literal value.
pub(crate) const GET: &[u8] = b"\x82\x86\x84\x41\x0ait.example";

/// The same as `POST`.
pub(crate) const POST: &[u8] = b"\x83\x86\x84\x41\x0ait.example";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A connection after its preface and first settings.
pub(crate) fn begin(address: SocketAddr) -> Client {
    begin_with(address, b"")
}

/// As [`begin`], with these settings (RFC 9113 section 6.5.1).
pub(crate) fn begin_with(address: SocketAddr, settings: &[u8]) -> Client {
    let mut client = Client::connect(address);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(SETTINGS, 0, 0, settings));
    client
}

/// The next frame: kind, flags, stream, payload.
pub(crate) fn read(client: &mut Client) -> (u8, u8, u32, Vec<u8>) {
    let head = client.bytes(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], head[4], stream, client.bytes(length))
}

/// Reads until a frame of this kind comes.
pub(crate) fn read_until(client: &mut Client, kind: u8) -> (u8, u32, Vec<u8>) {
    loop {
        let (found, flags, stream, payload) = read(client);
        if found == kind {
            return (flags, stream, payload);
        }
    }
}

/// Splits what a connection said into frames and tells whether one has this kind.
pub(crate) fn contains(mut bytes: &[u8], kind: u8) -> bool {
    while let [a, b, c, found, ..] = *bytes {
        if found == kind {
            return true;
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    false
}
