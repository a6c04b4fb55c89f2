//! UDP sockets: one for each worker on one address.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::listen::Sharing;

/// Bytes that the kernel may hold for a worker that is busy; it gives less where its limits say so.
const BUFFER: usize = 2 << 20;

/// Opens `count` sockets on the port of `address`. The kernel hands each packet to the same one as the other packets
/// between the same addresses. An unspecified IPv6 address takes IPv4, too.
pub fn bind(address: SocketAddr, count: usize, sharing: Sharing) -> io::Result<Vec<UdpSocket>> {
    if sharing == Sharing::Refused {
        // As with TCP: a first socket without the option that shares the port finds out whether somebody is there.
        open(address, false)?;
    }
    (0..count).map(|_| open(address, true)).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = set(&socket, BUFFER) {
            tracing::debug!(%error, "the buffers of a UDP socket stay as they are");
        }
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_others_do_not() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = bind(free, 3, Sharing::Refused).unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == free));
        let error = bind(free, 1, Sharing::Refused).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(bind(free, 1, Sharing::Allowed).is_ok());
    }

    #[test]
    fn packets_of_one_client_come_to_one_socket() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = bind(free, 4, Sharing::Refused).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            client.send_to(b"x", free).unwrap();
        }
        let count =
            |socket: &UdpSocket| std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count();
        let mut counts: Vec<usize> = sockets.iter().map(count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 20]);
    }
}
