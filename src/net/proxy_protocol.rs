//! The PROXY protocol, versions 1 and 2 (HAProxy's specification, sections 2.1 and 2.2): read on accepted connections,
//! written by [`mod@write`].

pub mod write;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis_config::units::IpRanges;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::peek;

/// Whose PROXY headers are believed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Everybody's.
    pub insecure: bool,
    /// These peers'.
    pub trusted: IpRanges,
}

/// The client's address and the one it connected to.
pub type Addresses = (SocketAddr, SocketAddr);

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not a PROXY header.
    Other,
    /// Perhaps the beginning of one.
    Incomplete,
    /// A whole one of so many bytes; without addresses for health checks (`LOCAL`, `UNKNOWN`).
    Header(usize, Option<Addresses>),
    /// It begins like one and is none.
    Malformed,
}

/// Largest header that is accepted; version 2 may carry more in additions that nobody here reads.
const LARGEST: usize = 4096;

/// Reads a header, if there is one, and nothing behind it. Gives its addresses if `peer` is trusted. Traefik: the header of
/// a peer that is not trusted is read and ignored. The caller limits the time.
pub async fn read(
    stream: &mut TcpStream,
    peer: IpAddr,
    trust: &Trust,
) -> io::Result<Option<Addresses>> {
    let mut seen = vec![0; LARGEST];
    let mut known = 0;
    let (length, addresses) = loop {
        let count = peek::beyond(stream, known, &mut seen).await?;
        match parse(seen.get(..count).unwrap_or_default()) {
            Start::Other => return Ok(None),
            Start::Header(length, addresses) => break (length, addresses),
            Start::Incomplete if count > known => known = count,
            Start::Incomplete | Start::Malformed => {
                let text = "the connection begins with a malformed PROXY header";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    };
    if let Some(header) = seen.get_mut(..length) {
        stream.read_exact(header).await?;
    }
    Ok(addresses.filter(|_| trust.insecure || trust.trusted.contains(peer)))
}

/// Judges the first bytes of a connection.
pub fn parse(bytes: &[u8]) -> Start {
    if bytes.is_empty() {
        return Start::Incomplete;
    }
    if bytes.starts_with(SIGNATURE) {
        return version_2(bytes);
    }
    if bytes.starts_with(WORD) {
        return version_1(bytes);
    }
    if SIGNATURE.starts_with(bytes) || WORD.starts_with(bytes) {
        Start::Incomplete
    } else {
        Start::Other
    }
}

const WORD: &[u8] = b"PROXY ";

/// Longest header of version 1 with its line end.
const LONGEST_LINE: usize = 107;

fn version_1(bytes: &[u8]) -> Start {
    let head = bytes.get(..LONGEST_LINE.min(bytes.len())).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Start::Incomplete } else { Start::Malformed };
    };
    let line = head.get(WORD.len()..end).map(std::str::from_utf8);
    let Some(Ok(line)) = line else { return Start::Malformed };
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["UNKNOWN", ..] => Start::Header(end + 2, None),
        [family @ ("TCP4" | "TCP6"), source, target, source_port, target_port] => {
            let address = |ip: &str, port: &str| -> Option<SocketAddr> {
                let ip: IpAddr = ip.parse().ok()?;
                let plain = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|_| plain)?;
                (ip.is_ipv4() == (*family == "TCP4")).then(|| SocketAddr::new(ip, port))
            };
            match (address(source, source_port), address(target, target_port)) {
                (Some(source), Some(target)) => Start::Header(end + 2, Some((source, target))),
                _ => Start::Malformed,
            }
        }
        _ => Start::Malformed,
    }
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn version_2(bytes: &[u8]) -> Start {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..SIGNATURE.len() + 4)
    else {
        return Start::Incomplete;
    };
    let begin = SIGNATURE.len() + 4;
    let length = begin + usize::from(u16::from_be_bytes([high, low]));
    if length > LARGEST || command >> 4 != 2 {
        return Start::Malformed;
    }
    let Some(body) = bytes.get(begin..length) else { return Start::Incomplete };
    match (command & 0x0f, family) {
        (0, _) => Start::Header(length, None),
        (1, 0x11) => addressed::<4>(length, body, |ip| Ipv4Addr::from(ip).into()),
        (1, 0x21) => addressed::<16>(length, body, |ip| Ipv6Addr::from(ip).into()),
        // Datagrams, unix sockets and what comes later: the connection's own addresses stay.
        (1, _) => Start::Header(length, None),
        _ => Start::Malformed,
    }
}

/// Two addresses of `N` bytes, then two ports; what follows is additions.
fn addressed<const N: usize>(length: usize, body: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Start {
    let Some((source, rest)) = body.split_first_chunk::<N>() else { return Start::Malformed };
    let Some((target, rest)) = rest.split_first_chunk::<N>() else { return Start::Malformed };
    let Some((ports, _)) = rest.split_first_chunk::<4>() else { return Start::Malformed };
    let [a, b, c, d] = *ports;
    let source = SocketAddr::new(ip(*source), u16::from_be_bytes([a, b]));
    let target = SocketAddr::new(ip(*target), u16::from_be_bytes([c, d]));
    Start::Header(length, Some((source, target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &str, target: &str) -> Option<Addresses> {
        Some((source.parse().unwrap(), target.parse().unwrap()))
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_line_of_version_1_tells_both_addresses() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\nGET";
        let expected = addresses("192.0.2.1:1234", "198.51.100.1:443");
        assert_eq!(parse(line), Start::Header(line.len() - 3, expected));
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
        let expected = addresses("[2001:db8::1]:1", "[2001:db8::2]:2");
        assert_eq!(parse(line), Start::Header(line.len(), expected));
        assert_eq!(parse(b"PROXY UNKNOWN what ever\r\n"), Start::Header(25, None));
    }

    #[test]
    fn pieces_are_incomplete_and_other_bytes_are_other() {
        for part in [&b"P"[..], b"PROXY", b"PROXY TCP4 1.2.3.4", b"\r\n\r\n\0", SIGNATURE] {
            assert_eq!(parse(part), Start::Incomplete, "{part:?}");
        }
        for other in [&b"POST / HTTP/1.1"[..], b"PRI * HTTP/2.0", b"\x16\x03\x01", b"GET"] {
            assert_eq!(parse(other), Start::Other, "{other:?}");
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 1234\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 70000 2\r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Start::Malformed, "{line}");
        }
        assert_eq!(parse(format!("PROXY {}", "x".repeat(200)).as_bytes()), Start::Malformed);
    }

    #[test]
    fn version_2_tells_both_addresses_and_its_length_is_obeyed() {
        let body = [192, 0, 2, 1, 198, 51, 100, 1, 4, 210, 1, 187];
        let expected = addresses("192.0.2.1:1234", "198.51.100.1:443");
        let mut bytes = v2(0x21, 0x11, &body);
        assert_eq!(parse(&bytes), Start::Header(28, expected));
        bytes.extend(b"GET / HTTP/1.1");
        assert_eq!(parse(&bytes), Start::Header(28, expected));
        // CVE-2026-47692: additions belong to the header, not to the stream behind it.
        let with_additions = [&body[..], &[0x04, 0, 3, b'G', b'E', b'T']].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &with_additions)), Start::Header(34, expected));
    }

    #[test]
    fn version_2_without_addresses_or_with_wrong_ones() {
        assert_eq!(parse(&v2(0x20, 0, b"")), Start::Header(16, None));
        assert_eq!(parse(&v2(0x21, 0x11, b"short")), Start::Malformed);
        assert_eq!(parse(&v2(0x11, 0x11, &[0; 12])), Start::Malformed);
        assert_eq!(parse(&v2(0x22, 0x11, &[0; 12])), Start::Malformed);
        let mut huge = v2(0x21, 0x11, &[0; 12]);
        huge[14] = 0xff;
        assert_eq!(parse(&huge), Start::Malformed);
    }
}
