//! Listening sockets: one for each worker on one address, and their end without a lost connection.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that wait to be accepted on one socket.
const BACKLOG: i32 = 4096;

/// Whether other processes may listen on the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// They may: `reusePort`.
    Allowed,
    /// A second one is an error.
    Refused,
}

/// Opens `count` sockets on one address, so that each worker has its own queue. `host` = `None` listens on all addresses,
/// IPv4 and IPv6. Port 0 takes a free one.
pub fn bind(
    host: Option<IpAddr>,
    port: u16,
    count: usize,
    sharing: Sharing,
) -> io::Result<Vec<std::net::TcpListener>> {
    let mut address = SocketAddr::new(host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port);
    if sharing == Sharing::Refused {
        // Sockets of this process share the port by the option that would let any other process in, too. A first
        // socket without it finds out whether somebody is there.
        let probe = open(Type::STREAM, address, host.is_none(), false)?;
        probe.listen(1)?;
        address.set_port(probe.local_addr()?.as_socket().map_or(port, |local| local.port()));
    }
    let mut sockets: Vec<std::net::TcpListener> = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = open(Type::STREAM, address, host.is_none(), true)?;
        socket.listen(BACKLOG)?;
        let socket: std::net::TcpListener = socket.into();
        address.set_port(socket.local_addr()?.port());
        sockets.push(socket);
    }
    Ok(sockets)
}

/// As [`bind`], for datagrams.
pub fn bind_udp(
    host: Option<IpAddr>,
    port: u16,
    count: usize,
    sharing: Sharing,
) -> io::Result<Vec<std::net::UdpSocket>> {
    let mut address = SocketAddr::new(host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port);
    let open = |address, shared| open(Type::DGRAM, address, host.is_none(), shared);
    if sharing == Sharing::Refused {
        let probe = open(address, false)?;
        address.set_port(probe.local_addr()?.as_socket().map_or(port, |local| local.port()));
    }
    let mut sockets: Vec<std::net::UdpSocket> = Vec::with_capacity(count);
    for _ in 0..count {
        let socket: std::net::UdpSocket = open(address, true)?.into();
        address.set_port(socket.local_addr()?.port());
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Bytes that the kernel may hold for a worker that is busy; it gives less where its limits say so.
const BUFFER: usize = 2 << 20;

fn open(kind: Type, address: SocketAddr, both: bool, shared: bool) -> io::Result<Socket> {
    match open_one(kind, address, both, shared) {
        // A machine without IPv6.
        Err(error) if both && error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
            let any = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
            open_one(kind, SocketAddr::new(any, address.port()), false, shared)
        }
        result => result,
    }
}

fn open_one(kind: Type, address: SocketAddr, both: bool, shared: bool) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
        // Accepted connections inherit it: clients that vanished without a word do not stay.
        socket.set_tcp_keepalive(&KEEP_ALIVE)?;
    } else {
        for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
            if let Err(error) = set(&socket, BUFFER) {
                tracing::debug!(%error, "the buffers of a UDP socket stay as they are");
            }
        }
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!both)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Traefik: clients are asked every 15 s whether they are still there.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(15));

/// Waits a little after a failed accept: with no file descriptors left it would fail again at once, for ever.
pub async fn refused(entry_point: &str, error: &io::Error) {
    let transient = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !transient {
        tracing::warn!(entry_point, %error, "cannot accept connections; is `ulimit -n` large enough?");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How long connections in the making get to arrive in the queue.
const LAST_ARRIVALS: Duration = Duration::from_millis(100);

/// Whether another process accepts from the sockets of this one.
static HANDED_OVER: AtomicBool = AtomicBool::new(false);

/// Says that another process holds all listening sockets of this one and accepts from them: from now on they are left
/// to it as they are, for the life of this process.
pub fn hand_over() {
    HANDED_OVER.store(true, Ordering::Relaxed);
}

/// Closes a listening socket without resetting a connection: no new handshake begins, those under way end in the queue,
/// the queue is emptied. After [`hand_over`] it only lets go of the socket: the queue is the other process's.
pub async fn empty(listener: TcpListener, mut take: impl FnMut(TcpStream, SocketAddr)) {
    if HANDED_OVER.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = drop_syn(&listener) {
        tracing::debug!(%error, "cannot filter new handshakes");
    }
    let end = tokio::time::Instant::now() + LAST_ARRIVALS;
    while let Ok(accepted) = tokio::time::timeout_at(end, listener.accept()).await {
        if let Ok((stream, peer)) = accepted {
            take(stream, peer);
        }
    }
}

/// Has the kernel drop every segment with SYN that comes for this socket (a classic BPF program over the TCP header); the
/// client asks again a second later and finds the port closed, or the next process.
fn drop_syn(listener: &TcpListener) -> io::Result<()> {
    const FLAGS_OFFSET: u32 = 13;
    const SYN: u32 = 0x02;
    let filter = [
        // A = byte at FLAGS_OFFSET; if A & SYN then drop else take all.
        SockFilter::new(0x30, 0, 0, FLAGS_OFFSET),
        SockFilter::new(0x45, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    socket2::SockRef::from(listener).attach_filter(&filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_has_a_socket_for_each_worker() {
        let sockets = bind(Some([127, 0, 0, 1].into()), 0, 3, Sharing::Refused).unwrap();
        let ports: Vec<u16> =
            sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[tokio::test]
    async fn a_second_process_is_an_error_unless_sharing_is_allowed() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let host = Some([127, 0, 0, 1].into());
        let error = bind(host, port, 1, Sharing::Refused).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn all_addresses_are_both_families() {
        let sockets = bind(None, 0, 1, Sharing::Refused).unwrap();
        let port = sockets[0].local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
    }

    #[tokio::test]
    async fn connections_in_the_queue_are_taken_before_the_end() {
        let mut sockets = bind(Some([127, 0, 0, 1].into()), 0, 1, Sharing::Refused).unwrap();
        let listener = TcpListener::from_std(sockets.remove(0)).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = std::net::TcpStream::connect(address).unwrap();
        let mut taken = Vec::new();
        empty(listener, |stream, peer| taken.push((stream, peer))).await;
        assert_eq!(taken[0].1, waiting.local_addr().unwrap());
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn workers_share_a_port_and_others_do_not() {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = bind_udp(Some(free.ip()), free.port(), 3, Sharing::Refused).unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == free));
        let error = bind_udp(Some(free.ip()), free.port(), 1, Sharing::Refused).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(bind_udp(Some(free.ip()), free.port(), 1, Sharing::Allowed).is_ok());
    }

    #[test]
    fn packets_of_one_client_come_to_one_socket() {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = bind_udp(Some(free.ip()), free.port(), 4, Sharing::Refused).unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            client.send_to(b"x", free).unwrap();
        }
        let count = |socket: &std::net::UdpSocket| {
            std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count()
        };
        let mut counts: Vec<usize> = sockets.iter().map(count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 20]);
    }
}
