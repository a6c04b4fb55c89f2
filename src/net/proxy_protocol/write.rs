//! The PROXY protocol towards servers: who the client is, said before its bytes.

use std::net::{IpAddr, SocketAddr};

use super::SIGNATURE;

/// Which form of the header is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Text.
    One,
    /// Binary.
    Two,
}

/// Says that `source` connected to `target`.
pub fn header(version: Version, source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    let (source_ip, target_ip) = one_family(source.ip(), target.ip());
    let (source, target) = ((source_ip, source.port()), (target_ip, target.port()));
    match version {
        Version::One => text(source, target),
        Version::Two => binary(source, target),
    }
}

/// Says that nobody is behind the connection but the gateway itself: health checks.
pub fn local(version: Version) -> Vec<u8> {
    match version {
        Version::One => b"PROXY UNKNOWN\r\n".to_vec(),
        Version::Two => {
            let mut header = SIGNATURE.to_vec();
            header.extend_from_slice(&[0x20, 0, 0, 0]);
            header
        }
    }
}

/// A header has one family for both addresses: with two, the IPv4 one is written as IPv6.
fn one_family(source: IpAddr, target: IpAddr) -> (IpAddr, IpAddr) {
    match (source.to_canonical(), target.to_canonical()) {
        (IpAddr::V4(four), six @ IpAddr::V6(_)) => (four.to_ipv6_mapped().into(), six),
        (six @ IpAddr::V6(_), IpAddr::V4(four)) => (six, four.to_ipv6_mapped().into()),
        same => same,
    }
}

fn text(source: (IpAddr, u16), target: (IpAddr, u16)) -> Vec<u8> {
    let family = if source.0.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (Plain(source.0), Plain(target.0));
    format!("PROXY {family} {from} {to} {} {}\r\n", source.1, target.1).into_bytes()
}

/// An address in a form that every reader of version 1 knows: without the mixed notation of mapped addresses.
struct Plain(IpAddr);

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
                let [.., high, low] = six.segments();
                write!(f, "::ffff:{high:x}:{low:x}")
            }
            other => write!(f, "{other}"),
        }
    }
}

fn binary(source: (IpAddr, u16), target: (IpAddr, u16)) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    match (source.0, target.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[0x21, 0x11, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
                IpAddr::V6(six) => six.octets(),
            };
            header.extend_from_slice(&[0x21, 0x21, 0, 36]);
            header.extend_from_slice(&octets(from));
            header.extend_from_slice(&octets(to));
        }
    }
    header.extend_from_slice(&source.1.to_be_bytes());
    header.extend_from_slice(&target.1.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::super::{Start, parse};
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for (source, target) in [
            ("192.0.2.1:1234", "198.51.100.1:443"),
            ("[2001:db8::1]:1", "[2001:db8::2]:65535"),
            ("[::ffff:192.0.2.1]:9", "198.51.100.1:1"),
        ] {
            let (source, target): (SocketAddr, SocketAddr) =
                (source.parse().unwrap(), target.parse().unwrap());
            let canonical = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
            for version in [Version::One, Version::Two] {
                let header = header(version, source, target);
                let told = Some((canonical(source), canonical(target)));
                assert_eq!(parse(&header), Start::Header(header.len(), told), "{version:?}");
            }
        }
    }

    #[test]
    fn two_families_are_told_as_one() {
        let (source, target) = ("192.0.2.1:5".parse().unwrap(), "[2001:db8::1]:6".parse().unwrap());
        let line = header(Version::One, source, target);
        assert_eq!(&line[..], b"PROXY TCP6 ::ffff:c000:201 2001:db8::1 5 6\r\n");
        let told = "[::ffff:192.0.2.1]:5".parse().unwrap();
        assert_eq!(parse(&line), Start::Header(line.len(), Some((told, target))));
        let binary = header(Version::Two, source, target);
        assert_eq!(parse(&binary), Start::Header(52, Some((told, target))));
    }

    #[test]
    fn a_check_speaks_for_nobody() {
        for version in [Version::One, Version::Two] {
            let header = local(version);
            assert_eq!(parse(&header), Start::Header(header.len(), None));
        }
    }
}
