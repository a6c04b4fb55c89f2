//! `Relay`: datagrams of one socket to servers and back.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};

use super::route::Route;
use super::service::Server;
use super::sessions::{Session, Sessions, since};
use super::socket::{Between, Socket, connected};
use crate::net::drain::Drain;
use crate::net::handover::{By, Neighbours, Origin, Stranger, Succession};
use crate::net::task;
use crate::observe::Observer;

/// The largest datagram there is.
const LARGEST: usize = 64 * 1024;

/// Sessions that one entry point may have; shared out among the workers.
const MOST: usize = 16 * 1024;

/// How long the name of a server may be sought.
const SEEK: Duration = Duration::from_secs(5);

/// What a relay works for.
pub struct Relay {
    /// The name of the entry point.
    pub name: Arc<str>,
    /// Silence after which a session ends.
    pub timeout: Duration,
    /// Told when the gateway ends: no session begins any more, those that are open may go on.
    pub drain: Drain,
    /// Counts sessions.
    pub observer: Arc<Observer>,
    /// Gives the route of a session that begins.
    pub route: Box<dyn Fn() -> Option<Arc<Route>> + Send + Sync>,
}

impl Relay {
    /// Relays until the drain has begun and the last session has ended, here and in the process before this one. Begins
    /// when that process gives the socket, and gives it to the one after.
    pub async fn run(
        self: Arc<Self>,
        socket: std::net::UdpSocket,
        succession: Succession,
    ) -> io::Result<()> {
        let mut reading = Reading {
            socket: Arc::new(Socket::new(socket)?),
            neighbours: Neighbours::begin(succession, &self.drain).await?,
            sessions: Sessions::new(MOST / task::workers()),
            relay: self,
        };
        let relay = Arc::clone(&reading.relay);
        let mut drain = relay.drain.clone();
        let mut sweep = interval(relay.timeout.div_f32(4.0).clamp(SHORTEST_SWEEP, LONGEST_SWEEP));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let timeout = u64::try_from(relay.timeout.as_millis()).unwrap_or(u64::MAX);
        // Memory that nothing comes into is none.
        let (mut datagram, mut passed) = (vec![0; LARGEST], vec![0; LARGEST]);
        loop {
            let draining = drain.has_begun();
            if draining && reading.is_over() {
                return Ok(());
            }
            tokio::select! {
                received = reading.socket.receive(&mut datagram), if reading.neighbours.reads() => match received {
                    Ok((length, way)) => {
                        reading.take(datagram.get(..length).unwrap_or_default(), way, By::Nobody);
                    }
                    // Of an answer that could not be delivered.
                    Err(error) => tracing::debug!(entry_point = %relay.name, %error, "receiving failed"),
                },
                next = reading.neighbours.next(&mut passed) => if let Some((length, origin, by)) = next {
                    let way = Between { peer: origin.peer, local: origin.local };
                    reading.take(passed.get(..length).unwrap_or_default(), way, by);
                },
                _ = sweep.tick() => reading.sessions.expire(timeout),
                () = drain.begun(), if !draining => {}
            }
        }
    }
}

/// A socket with its sessions.
struct Reading {
    relay: Arc<Relay>,
    socket: Arc<Socket>,
    sessions: Sessions,
    neighbours: Neighbours,
}

impl Reading {
    /// Whether no session is left, here and in the process before.
    fn is_over(&self) -> bool {
        self.sessions.is_empty() && self.neighbours.is_first()
    }

    /// Sends a datagram of a client on, by its session or by a new one.
    fn take(&mut self, datagram: &[u8], way: Between, by: By) {
        let now = self.sessions.now();
        if let Some(session) = self.sessions.find(&way) {
            session.touch(now);
            session.send(datagram);
            return;
        }
        let origin = Origin { peer: way.peer, local: way.local, ecn: 0 };
        let stranger = self.neighbours.ask(datagram, &origin, by);
        if stranger == Stranger::New && !self.relay.drain.has_begun() {
            self.begin(datagram, way, now);
        }
    }

    /// Begins a session.
    fn begin(&mut self, datagram: &[u8], way: Between, now: u64) {
        let Self { relay, socket, sessions, .. } = self;
        let server = (relay.route)().and_then(|route| route.service.as_ref()?.pick());
        let Some(server) = server else { return };
        sessions.make_room();
        let open = relay.observer.session_opened(&relay.name);
        let session = Arc::new(Session::new(open, relay.drain.hold(), now));
        session.send(datagram);
        // Where nothing must be waited for, the server has the datagram before the next one is looked at.
        let literal =
            server.place.host.parse().ok().map(|ip| SocketAddr::new(ip, server.place.port));
        let opened = match literal.map(|address| relay.reach(address, sessions)) {
            Some(None) => return,
            Some(Some(upstream)) => {
                session.open(Arc::clone(&upstream));
                Some(upstream)
            }
            None => None,
        };
        let answers = Answers {
            session: Arc::clone(&session),
            server,
            socket: Arc::clone(socket),
            way,
            begun: sessions.begun(),
        };
        sessions.add(way, session, task::spawn(answers.run(opened)).abort_handle());
    }
}

impl Relay {
    /// A socket to a server; when there are no more descriptors, the session that is idle longest gives its own for
    /// the next client.
    fn reach(&self, address: SocketAddr, sessions: &mut Sessions) -> Option<Arc<UdpSocket>> {
        match connected(address) {
            Ok(upstream) => Some(Arc::new(upstream)),
            Err(error) => {
                sessions.remove_oldest();
                tracing::debug!(entry_point = %self.name, %address, %error, "cannot reach a UDP server");
                None
            }
        }
    }
}

const SHORTEST_SWEEP: Duration = Duration::from_millis(20);
const LONGEST_SWEEP: Duration = Duration::from_secs(1);

/// Brings the answers of a session's server to the client.
struct Answers {
    session: Arc<Session>,
    server: Arc<Server>,
    /// Where the client asked.
    socket: Arc<Socket>,
    way: Between,
    /// What sessions are measured from.
    begun: Instant,
}

impl Answers {
    /// Goes on until the server cannot be reached. `opened` is the way to it, if it is known already.
    async fn run(self, opened: Option<Arc<UdpSocket>>) {
        let brought = match opened {
            Some(upstream) => self.bring(&upstream).await,
            None => match self.seek().await {
                Ok(upstream) => self.bring(&upstream).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = brought {
            tracing::debug!(server = %self.server.address, %error, "UDP session ended");
        }
        self.session.give_up();
    }

    /// Finds the server's address and opens the way to it.
    async fn seek(&self) -> io::Result<Arc<UdpSocket>> {
        let place = &self.server.place;
        let found = tokio::time::timeout(SEEK, place.name.addresses()).await??;
        let first = found.first().copied();
        let address = first.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let upstream = Arc::new(connected(SocketAddr::new(address, place.port))?);
        self.session.open(Arc::clone(&upstream));
        Ok(upstream)
    }

    async fn bring(&self, upstream: &UdpSocket) -> io::Result<()> {
        loop {
            upstream.readable().await?;
            with_buffer(|buffer| self.bring_some(upstream, buffer))?;
            tokio::task::yield_now().await;
        }
    }

    /// Brings what is there. A server may answer in many datagrams; other sessions get their turn in between.
    fn bring_some(&self, upstream: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..IN_A_ROW {
            match upstream.try_recv(buffer) {
                Ok(length) => {
                    self.session.touch(since(self.begun));
                    // What the client's side does not take now gets lost, as datagrams may.
                    let _ = self.socket.send(buffer.get(..length).unwrap_or_default(), self.way);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Answers of one session that are brought before others get their turn.
const IN_A_ROW: usize = 32;

fn with_buffer<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST]);
    }
    SHARED.with_borrow_mut(|buffer| work(buffer))
}
