//! What stands before the bytes of a packet in a passage. Two versions of the program may speak here: what one does not know
//! it leaves alone, and a changed form gets a number of its own.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The head of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The socket is the other's.
    Yours,
    /// A datagram.
    Datagram(Origin),
}

/// Where a datagram came from and where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client.
    pub peer: SocketAddr,
    /// Our address; `None` where the socket has only one.
    pub local: Option<IpAddr>,
    /// The bits for Explicit Congestion Notification (RFC 3168).
    pub ecn: u8,
}

/// Bytes of every head: number, ECN, the client (family, address, port, scope), our address (family, address).
pub(super) const HEAD: usize = 2 + 1 + ADDRESS + 2 + 4 + 1 + ADDRESS;
const ADDRESS: usize = 16;

const YOURS: u8 = 1;
const DATAGRAM: u8 = 2;

impl Head {
    pub(super) fn write(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        match self {
            Self::Yours => head[0] = YOURS,
            Self::Datagram(Origin { peer, local, ecn }) => {
                head[0] = DATAGRAM;
                head[1] = *ecn;
                write_address(&mut head[2..19], Some(peer.ip()));
                head[19..21].copy_from_slice(&peer.port().to_be_bytes());
                if let SocketAddr::V6(peer) = peer {
                    head[21..25].copy_from_slice(&peer.scope_id().to_be_bytes());
                }
                write_address(&mut head[25..], *local);
            }
        }
        head
    }

    /// `None` is what another version may understand.
    pub(super) fn read(head: &[u8; HEAD]) -> Option<Self> {
        match head[0] {
            YOURS => Some(Self::Yours),
            DATAGRAM => {
                let port = u16::from_be_bytes([head[19], head[20]]);
                let scope = u32::from_be_bytes([head[21], head[22], head[23], head[24]]);
                let peer = match read_address(&head[2..19])?? {
                    IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
                    IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
                };
                let local = read_address(&head[25..])?;
                Some(Self::Datagram(Origin { peer, local, ecn: head[1] }))
            }
            _ => None,
        }
    }
}

fn write_address(place: &mut [u8], address: Option<IpAddr>) {
    match address {
        None => {}
        Some(IpAddr::V4(ip)) => {
            place[0] = 4;
            place[1..5].copy_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            place[0] = 6;
            place[1..=ADDRESS].copy_from_slice(&ip.octets());
        }
    }
}

/// `Some(None)` is no address; `None` is none that is known.
fn read_address(place: &[u8]) -> Option<Option<IpAddr>> {
    let (family, bytes) = place.split_first()?;
    match family {
        0 => Some(None),
        4 => Some(Some(IpAddr::from(*bytes.first_chunk::<4>()?))),
        6 => Some(Some(IpAddr::from(*bytes.first_chunk::<ADDRESS>()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let four: IpAddr = [192, 0, 2, 1].into();
        let six: IpAddr = "fe80::1".parse().unwrap();
        let scoped = SocketAddr::V6(SocketAddrV6::new("fe80::2".parse().unwrap(), 7, 0, 3));
        for peer in [SocketAddr::new(four, 65535), SocketAddr::new(six, 53), scoped] {
            for local in [None, Some(four), Some(six)] {
                let head = Head::Datagram(Origin { peer, local, ecn: 2 });
                assert_eq!(Head::read(&head.write()), Some(head));
            }
        }
        assert_eq!(Head::read(&Head::Yours.write()), Some(Head::Yours));
        let mut unknown = [0; HEAD];
        unknown[0] = 9;
        assert_eq!(Head::read(&unknown), None);
        // A datagram from nobody, and from a family that there is not.
        for family in [0, 7] {
            unknown[..3].copy_from_slice(&[DATAGRAM, 0, family]);
            assert_eq!(Head::read(&unknown), None);
        }
    }
}
