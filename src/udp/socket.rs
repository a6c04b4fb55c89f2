//! `Socket`: a UDP socket that answers from the address that was asked.
//!
//! A socket on all addresses would otherwise answer from the one that the routing table prefers, and clients drop such
//! answers.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A UDP socket that answers from the address that was asked.
#[derive(Debug)]
pub struct Socket(UdpSocket);

/// Where a datagram came from and where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Between {
    /// The client.
    pub peer: SocketAddr,
    /// Our address; `None` where the socket has only one.
    pub local: Option<IpAddr>,
}

impl Socket {
    /// Takes over a bound socket.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        match socket.local_addr()? {
            SocketAddr::V4(address) if address.ip().is_unspecified() => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            SocketAddr::V6(address) if address.ip().is_unspecified() => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
            _ => {}
        }
        Ok(Self(UdpSocket::from_std(socket)?))
    }

    /// Waits for a datagram; gives its length and its way. What does not fit into `buffer` is cut off.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Between)> {
        self.0.async_io(Interest::READABLE, || self.receive_now(buffer)).await
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<(usize, Between)> {
        let mut control = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
        let mut slices = [IoSliceMut::new(buffer)];
        let descriptor = self.0.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(
            descriptor,
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let peer = message.address.as_ref().and_then(address).ok_or_else(nobody)?;
        let local = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(told) => {
                Some(IpAddr::from(told.ipi_addr.s_addr.to_ne_bytes()))
            }
            ControlMessageOwned::Ipv6PacketInfo(told) => Some(IpAddr::from(told.ipi6_addr.s6_addr)),
            _ => None,
        });
        Ok((message.bytes, Between { peer, local }))
    }

    /// Sends a datagram the way back; without waiting, since a datagram that does not go now may get lost.
    pub fn send(&self, bytes: &[u8], way: Between) -> io::Result<()> {
        let Between { peer, local } = way;
        let (four, six);
        let control = match local {
            None => None,
            Some(IpAddr::V4(ip)) => {
                let source = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let none = in_addr { s_addr: 0 };
                four = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none };
                Some(ControlMessage::Ipv4PacketInfo(&four))
            }
            Some(IpAddr::V6(ip)) => {
                let source = in6_addr { s6_addr: ip.octets() };
                six = in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                Some(ControlMessage::Ipv6PacketInfo(&six))
            }
        };
        let (slices, flags) = ([IoSlice::new(bytes)], MsgFlags::empty());
        let descriptor = self.0.as_raw_fd();
        match peer {
            SocketAddr::V4(peer) => sendmsg(
                descriptor,
                &slices,
                control.as_slice(),
                flags,
                Some(&SockaddrIn::from(peer)),
            ),
            SocketAddr::V6(peer) => sendmsg(
                descriptor,
                &slices,
                control.as_slice(),
                flags,
                Some(&SockaddrIn6::from(peer)),
            ),
        }?;
        Ok(())
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let four = storage.as_sockaddr_in().map(|it| SocketAddr::V4(SocketAddrV4::from(*it)));
    four.or_else(|| storage.as_sockaddr_in6().map(|it| SocketAddr::V6(SocketAddrV6::from(*it))))
}

fn nobody() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the datagram has no sender")
}

/// A socket to one server.
pub fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(server);
    let socket = socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.connect(&server.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked_at(bound: &str, target: [u8; 4]) {
        let socket = Socket::new(std::net::UdpSocket::bind(bound).unwrap()).unwrap();
        let port = socket.0.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"question", (IpAddr::from(target), port)).await.unwrap();
        let mut buffer = [0; 64];
        let (length, way) = socket.receive(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"question");
        assert_eq!(way.peer.port(), client.local_addr().unwrap().port());
        socket.send(b"answer", way).unwrap();
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"answer");
        assert_eq!(from, (IpAddr::from(target), port).into());
    }

    #[tokio::test]
    async fn answers_come_from_the_address_that_was_asked() {
        for target in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 5, 6, 7]] {
            asked_at("0.0.0.0:0", target).await;
            asked_at("[::]:0", target).await;
        }
        asked_at("127.0.0.3:0", [127, 0, 0, 3]).await;
    }

    #[tokio::test]
    async fn ipv6_clients_are_answered_too() {
        let socket = Socket::new(std::net::UdpSocket::bind("[::]:0").unwrap()).unwrap();
        let port = socket.0.local_addr().unwrap().port();
        let client = UdpSocket::bind("[::1]:0").await.unwrap();
        client.connect(("::1", port)).await.unwrap();
        client.send(b"q").await.unwrap();
        let mut buffer = [0; 8];
        let (_, way) = socket.receive(&mut buffer).await.unwrap();
        assert_eq!(way.local, Some("::1".parse().unwrap()));
        socket.send(b"a", way).unwrap();
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 1);
    }
}
