//! Listening sockets of entry points: opened, or inherited from systemd or the gateway before this one.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use socket2::{Socket, Type};

use crate::cli::Activation;
use crate::install::{EntryPoint, Host};
use crate::net::handover::{self, Succession, Tell};
use crate::net::listen::{self, Sharing};

/// The listening sockets of this process, by the name of their entry point.
#[derive(Default)]
pub(super) struct Sockets {
    inherited: Vec<(String, Socket)>,
    /// Names of those whose address systemd chose.
    pub(super) activated: Vec<String>,
    /// One of each socket that is open, for the gateway that follows this one.
    kept: Vec<(String, OwnedFd)>,
    /// Those who read from UDP sockets, by the name of the socket: they are told when somebody else does.
    readers: Vec<(String, Tell)>,
}

/// Where UDP sockets are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// `None` = all addresses.
    pub(super) host: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) sharing: Sharing,
}

impl Place {
    /// Where an entry point wants to be.
    pub(super) fn of(entry_point: &EntryPoint) -> io::Result<Self> {
        let (host, port) = (host(entry_point)?, entry_point.address.port());
        Ok(Self { host, port, sharing: sharing(entry_point) })
    }
}

/// What the next gateway is started with.
pub(super) struct Estate {
    /// Sockets, with the names that they are handed over by.
    pub(super) sockets: Vec<(String, OwnedFd)>,
    /// Our ends of the passages among them.
    passages: Vec<OwnedFd>,
}

/// Descriptor of the first socket that is handed over (sd_listen_fds, 3).
const FIRST: RawFd = 3;

impl Sockets {
    /// Those that this process was started with (`FileDescriptorName=` is the entry point).
    pub(super) fn inherited(told: &Activation) -> Self {
        if !told.is_for_this_process() {
            return Self::default();
        }
        let mut sockets = Self { activated: told.activated.clone(), ..Self::default() };
        for (name, descriptor) in told.names.iter().zip(FIRST..) {
            match take(descriptor) {
                Ok(socket) => sockets.inherited.push((name.clone(), socket)),
                Err(error) => {
                    tracing::warn!(entry_point = %name, %error, "cannot use an inherited socket");
                }
            }
        }
        sockets
    }

    /// At least `count` TCP sockets for an entry point; worker `i` of `count` accepts from the `i`th and every `count`th
    /// after it, so that each socket has somebody who accepts from it: connections wait in all of them.
    pub(super) fn open(
        &mut self,
        name: &str,
        entry_point: &EntryPoint,
        count: usize,
    ) -> io::Result<Vec<TcpListener>> {
        let chosen_by_systemd = self.activated.iter().any(|it| it == name);
        let host = host(entry_point);
        let found = self.take(name, |socket| {
            socket.r#type().is_ok_and(|kind| kind == Type::STREAM)
                && (chosen_by_systemd
                    || fits(socket, host.as_ref().ok(), entry_point.address.port()))
        });
        let opened = if found.is_empty() {
            listen::bind(host?, entry_point.address.port(), count, sharing(entry_point))?
        } else {
            found.into_iter().map(TcpListener::from).collect()
        };
        for listener in &opened {
            self.keep(name, listener.try_clone()?.into());
        }
        // Workers beyond the sockets share them: a new socket would take connections with it if this process failed.
        let more = opened.iter().cycle().take(count).skip(opened.len());
        let more: io::Result<Vec<TcpListener>> = more.map(TcpListener::try_clone).collect();
        Ok(opened.into_iter().chain(more?).collect())
    }

    /// UDP sockets for an entry point, each with the reader before this one and word of the one after: datagrams of one
    /// client always come to the same of them. There are `count`, or as many as the gateway before this one had: one more
    /// would take clients from the others.
    pub(super) fn open_udp(
        &mut self,
        name: &str,
        place: Place,
        count: usize,
    ) -> io::Result<Vec<(UdpSocket, Succession)>> {
        let chosen_by_systemd = self.activated.iter().any(|it| it == name);
        let found = self.take(name, |socket| {
            socket.r#type().is_ok_and(|kind| kind == Type::DGRAM)
                && (chosen_by_systemd || fits(socket, Some(&place.host), place.port))
        });
        let passages = self.take(name, handover::is_passage);
        let (opened, passages): (Vec<UdpSocket>, Vec<Socket>) = if found.is_empty() {
            // The gateway before this one reads on from sockets that nobody takes over.
            drop(passages);
            (listen::bind_udp(place.host, place.port, count, place.sharing)?, Vec::new())
        } else {
            (found.into_iter().map(UdpSocket::from).collect(), passages)
        };
        let mut befores = passages.into_iter().map(OwnedFd::from);
        let mut sockets = Vec::with_capacity(opened.len());
        for socket in opened {
            self.keep(name, socket.try_clone()?.into());
            let (succession, tell) = Succession::new(befores.next());
            self.readers.push((name.to_owned(), tell));
            sockets.push((socket, succession));
        }
        Ok(sockets)
    }

    /// All that the gateway after this one needs, with a new passage to each reader of this one.
    pub(super) fn estate(&self) -> io::Result<Estate> {
        let copy = |(name, socket): &(String, OwnedFd)| Ok((name.clone(), socket.try_clone()?));
        let sockets: io::Result<Vec<_>> = self.kept.iter().map(copy).collect();
        let mut estate = Estate { sockets: sockets?, passages: Vec::new() };
        for (name, _) in &self.readers {
            let (ours, theirs) = handover::passage()?;
            estate.sockets.push((name.clone(), theirs));
            estate.passages.push(ours);
        }
        Ok(estate)
    }

    /// The gateway after this one has its sockets, and reads from them.
    pub(super) fn hand_over(&mut self, estate: Estate) {
        self.kept.clear();
        for ((_, reader), passage) in self.readers.iter().zip(estate.passages) {
            reader.tell(passage);
        }
    }

    /// The inherited sockets of this name that `fits` accepts.
    pub(super) fn take(&mut self, name: &str, fits: impl Fn(&Socket) -> bool) -> Vec<Socket> {
        let taken = self.inherited.extract_if(.., |(known, socket)| known == name && fits(socket));
        taken.map(|(_, socket)| socket).collect()
    }

    /// Has the gateway that follows this one inherit a socket.
    pub(super) fn keep(&mut self, name: &str, socket: OwnedFd) {
        self.kept.push((name.to_owned(), socket));
    }

    /// Closes what was inherited and no entry point wants.
    pub(super) fn close_unused(&mut self) {
        for (name, _) in self.inherited.drain(..) {
            tracing::info!(entry_point = %name, "an inherited socket is not used and is closed");
        }
    }
}

/// Whether a socket of the gateway before this one listens where the entry point says now.
fn fits(socket: &Socket, host: Option<&Option<IpAddr>>, port: u16) -> bool {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    let (Some(address), Some(host)) = (address, host) else { return false };
    let same_host = match host {
        Some(ip) => address.ip() == *ip,
        None => address.ip().is_unspecified(),
    };
    same_host && (port == 0 || address.port() == port)
}

#[allow(unsafe_code, reason = "inherited descriptors come as numbers")]
fn take(descriptor: RawFd) -> io::Result<Socket> {
    // SAFETY: whoever started this process opened this descriptor for it (its process id was checked) and nothing else
    // uses it.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let socket = Socket::from(owned);
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    socket.local_addr()?;
    Ok(socket)
}

/// Tells systemd, if it listens at `socket`, what `state` says (sd_notify, 3).
pub(super) fn notify(socket: Option<&str>, state: &str) {
    let Some(path) = socket else { return };
    let sent = UnixDatagram::unbound().and_then(|from| match path.strip_prefix('@') {
        Some(name) => {
            let address = SocketAddr::from_abstract_name(name)?;
            from.send_to_addr(state.as_bytes(), &address)
        }
        None => from.send_to(state.as_bytes(), path),
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell systemd {state}");
    }
}

fn sharing(entry_point: &EntryPoint) -> Sharing {
    if entry_point.reuse_port { Sharing::Allowed } else { Sharing::Refused }
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
