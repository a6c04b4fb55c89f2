//! Listening sockets of entry points: opened, or inherited from systemd.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::cli::Activation;
use crate::install::{EntryPoint, Host};
use crate::net::listen::{self, Sharing};

/// Sockets that were handed over, by entry point name.
pub(super) type Inherited = Vec<(String, TcpListener)>;

/// Descriptor of the first socket that systemd hands over (sd_listen_fds, 3).
const FIRST: RawFd = 3;

/// The sockets that systemd handed over (`FileDescriptorName=` is the entry point).
pub(super) fn inherited(environment: &Activation) -> Inherited {
    if environment.process != Some(std::process::id()) {
        return Vec::new();
    }
    let names = environment.names.iter().enumerate();
    names
        .filter_map(|(index, name)| {
            let descriptor = FIRST + RawFd::try_from(index).ok()?;
            match take(descriptor) {
                Ok(listener) => Some((name.clone(), listener)),
                Err(error) => {
                    tracing::warn!(entry_point = %name, %error, "cannot use an inherited socket");
                    None
                }
            }
        })
        .collect()
}

#[allow(unsafe_code, reason = "descriptors of systemd come as numbers")]
fn take(descriptor: RawFd) -> io::Result<TcpListener> {
    // SAFETY: systemd opened this descriptor for this process (the process id was checked) and nothing else uses it.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let listener = TcpListener::from(owned);
    listener.set_nonblocking(true)?;
    listener.local_addr()?;
    Ok(listener)
}

/// Tells systemd, if it listens at `socket`, that the service is up (sd_notify, 3).
pub(super) fn notify_ready(socket: Option<&str>) {
    let Some(path) = socket else { return };
    let sent = UnixDatagram::unbound().and_then(|from| match path.strip_prefix('@') {
        Some(name) => {
            let address = SocketAddr::from_abstract_name(name)?;
            from.send_to_addr(b"READY=1", &address)
        }
        None => from.send_to(b"READY=1", path),
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell systemd that the service is up");
    }
}

/// `count` sockets for an entry point.
pub(super) fn open(
    name: &str,
    entry_point: &EntryPoint,
    count: usize,
    inherited: &mut Inherited,
) -> io::Result<Vec<TcpListener>> {
    if let Some(position) = inherited.iter().position(|(known, _)| known == name) {
        let (_, listener) = inherited.remove(position);
        // One queue that all workers take from.
        return (0..count).map(|_| listener.try_clone()).collect();
    }
    let sharing = if entry_point.reuse_port { Sharing::Allowed } else { Sharing::Refused };
    let port = entry_point.address.port();
    listen::bind(host(entry_point)?, port, count, sharing)
}

/// `count` sockets for a UDP entry point. Datagrams of one client always come to the same one.
pub(super) fn open_udp(entry_point: &EntryPoint, count: usize) -> io::Result<Vec<UdpSocket>> {
    let sharing = if entry_point.reuse_port { Sharing::Allowed } else { Sharing::Refused };
    listen::bind_udp(host(entry_point)?, entry_point.address.port(), count, sharing)
}

fn host(entry_point: &EntryPoint) -> io::Result<Option<IpAddr>> {
    match entry_point.address.host() {
        Host::Any => Ok(None),
        Host::Ip(ip) => Ok(Some(*ip)),
        Host::Name(name) => {
            let mut found = (name.as_str(), 0).to_socket_addrs()?;
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            found.next().map(|address| Some(address.ip())).ok_or_else(none)
        }
    }
}
