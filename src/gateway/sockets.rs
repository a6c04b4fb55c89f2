//! Listening sockets of entry points: opened, or inherited from systemd.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};

use crate::install::{EntryPoint, Host};
use crate::net::listen::{self, Sharing};

/// Sockets that were handed over, by entry point name.
pub(super) type Inherited = Vec<(String, TcpListener)>;

/// The sockets that systemd handed over (`FileDescriptorName=` is the entry point).
pub(super) fn inherited() -> Inherited {
    Vec::new()
}

/// Tells systemd that the service is up.
pub(super) fn notify_ready() {}

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
