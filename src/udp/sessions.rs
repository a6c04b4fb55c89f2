//! `Sessions`: the open sessions of one socket, found by client and ordered by how long they are idle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::socket::Between;
use crate::net::drain::Hold;
use crate::observe::Open;

/// One client address and port, and the server that it talks to.
#[derive(Debug)]
pub(super) struct Session {
    /// When a datagram went either way last, in milliseconds since the sessions began.
    touched: AtomicU64,
    /// Set when the server cannot be reached: the next datagram begins a new session.
    broken: AtomicBool,
    way: Mutex<Way>,
    /// Counts it.
    _open: Open,
    /// Has the end of the gateway wait for it.
    _hold: Hold,
}

/// The way to the server.
#[derive(Debug)]
pub(super) enum Way {
    /// Its name is being resolved; what was sent meanwhile.
    Sought(Vec<Box<[u8]>>),
    /// It is open.
    Open(Arc<UdpSocket>),
}

/// Datagrams that wait until the server's name is resolved; what comes beyond is dropped.
const WAITING: usize = 16;

impl Session {
    /// A session whose server is being sought.
    pub(super) fn new(open: Open, hold: Hold, now: u64) -> Self {
        Self {
            touched: AtomicU64::new(now),
            broken: AtomicBool::new(false),
            way: Mutex::new(Way::Sought(Vec::new())),
            _open: open,
            _hold: hold,
        }
    }

    /// Notes that a datagram went.
    pub(super) fn touch(&self, now: u64) {
        self.touched.store(now, Relaxed);
    }

    /// Notes that the server cannot be reached.
    pub(super) fn give_up(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Whether the server cannot be reached.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Sends a datagram of the client to the server. As everywhere in UDP it may get lost.
    pub(super) fn send(&self, datagram: &[u8]) {
        let mut way = self.way.lock();
        match &mut *way {
            Way::Sought(waiting) if waiting.len() < WAITING => waiting.push(datagram.into()),
            Way::Sought(_) => {}
            Way::Open(socket) => forward(socket, datagram),
        }
    }

    /// The server was found: sends what waits.
    pub(super) fn open(&self, socket: Arc<UdpSocket>) {
        let mut way = self.way.lock();
        if let Way::Sought(waiting) = &*way {
            for datagram in waiting {
                forward(&socket, datagram);
            }
        }
        *way = Way::Open(socket);
    }
}

fn forward(socket: &UdpSocket, datagram: &[u8]) {
    // Past the runtime, which does not know yet whether a new socket may be written to.
    if let Err(error) = socket2::SockRef::from(socket).send(datagram) {
        // The next answer, or the lack of one, decides about the session.
        tracing::trace!(%error, "datagram lost");
    }
}

/// The open sessions of one socket.
#[derive(Debug)]
pub(super) struct Sessions {
    begun: Instant,
    most: usize,
    by_way: HashMap<Between, Entry, ahash::RandomState>,
    /// By when they were touched when somebody last looked, and their number.
    by_age: BTreeMap<(u64, u64), Between>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    task: AbortHandle,
    age: (u64, u64),
}

impl Sessions {
    /// None yet, and at most `most`.
    pub(super) fn new(most: usize) -> Self {
        Self {
            begun: Instant::now(),
            most: most.max(1),
            by_way: HashMap::default(),
            by_age: BTreeMap::new(),
            next: 0,
        }
    }

    /// The time in which sessions are measured.
    pub(super) fn now(&self) -> u64 {
        since(self.begun)
    }

    /// What [`Sessions::now`] counts from.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_way.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_way.len()
    }

    /// The session of a client, if there is one that works.
    pub(super) fn find(&mut self, way: &Between) -> Option<&Arc<Session>> {
        if self.by_way.get(way)?.session.is_broken() {
            self.remove(way);
            return None;
        }
        self.by_way.get(way).map(|entry| &entry.session)
    }

    /// Makes room for one more: where there is none, the session that is idle longest goes.
    pub(super) fn make_room(&mut self) {
        if self.by_way.len() >= self.most {
            self.remove_oldest();
        }
    }

    /// Ends the session that is idle longest.
    pub(super) fn remove_oldest(&mut self) {
        // Looking at one may show that it is younger; each look makes the order truer.
        for _ in 0..LOOKS {
            let Some((&age, &way)) = self.by_age.first_key_value() else { return };
            if !self.refile(age, &way) {
                self.remove(&way);
                return;
            }
        }
        if let Some((_, &way)) = self.by_age.first_key_value() {
            self.remove(&way);
        }
    }

    /// Adds a session and the task that brings its answers.
    pub(super) fn add(&mut self, way: Between, session: Arc<Session>, task: AbortHandle) {
        self.next += 1;
        let age = (session.touched.load(Relaxed), self.next);
        self.by_age.insert(age, way);
        self.by_way.insert(way, Entry { session, task, age });
    }

    /// Ends the sessions that are idle for `timeout` milliseconds.
    pub(super) fn expire(&mut self, timeout: u64) {
        let now = self.now();
        while let Some((&age, &way)) = self.by_age.first_key_value() {
            if age.0 + timeout > now {
                return;
            }
            if !self.refile(age, &way) {
                self.remove(&way);
            }
        }
    }

    /// Files a session anew if it was touched since it was filed.
    fn refile(&mut self, age: (u64, u64), way: &Between) -> bool {
        let Some(entry) = self.by_way.get_mut(way) else { return false };
        let touched = entry.session.touched.load(Relaxed);
        if touched <= age.0 || entry.session.is_broken() {
            return false;
        }
        self.by_age.remove(&age);
        entry.age = (touched, age.1);
        self.by_age.insert(entry.age, *way);
        true
    }

    fn remove(&mut self, way: &Between) {
        if let Some(entry) = self.by_way.remove(way) {
            entry.task.abort();
            self.by_age.remove(&entry.age);
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.by_way.values().for_each(|entry| entry.task.abort());
    }
}

/// Milliseconds since `begun`.
pub(super) fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Sessions that are looked at to find the oldest one.
const LOOKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::drain::Drainer;
    use crate::net::task;
    use crate::observe::Observer;

    fn way(port: u16) -> Between {
        Between { peer: ([127, 0, 0, 1], port).into(), local: None }
    }

    fn add(sessions: &mut Sessions, port: u16, touched: u64) -> Arc<Session> {
        let open = Observer::silent().session_opened(&"dns".into());
        let session = Arc::new(Session::new(open, Drainer::new().drain().hold(), touched));
        let task = task::spawn(std::future::pending::<()>()).abort_handle();
        sessions.make_room();
        sessions.add(way(port), Arc::clone(&session), task);
        session
    }

    fn ports(sessions: &mut Sessions) -> Vec<u16> {
        (1..10).filter(|port| sessions.find(&way(*port)).is_some()).collect()
    }

    #[tokio::test]
    async fn the_session_that_is_idle_longest_makes_room() {
        let mut sessions = Sessions::new(3);
        let first = add(&mut sessions, 1, 1);
        add(&mut sessions, 2, 2);
        add(&mut sessions, 3, 3);
        first.touch(4);
        add(&mut sessions, 4, 5);
        assert_eq!(ports(&mut sessions), [1, 3, 4]);
        add(&mut sessions, 5, 6);
        assert_eq!(ports(&mut sessions), [1, 4, 5]);
        assert_eq!((sessions.len(), sessions.by_age.len()), (3, 3));
    }

    #[tokio::test]
    async fn idle_sessions_end_and_busy_ones_stay() {
        let mut sessions = Sessions::new(9);
        let now = 10_000;
        sessions.begun = Instant::now().checked_sub(std::time::Duration::from_millis(now)).unwrap();
        add(&mut sessions, 1, 0);
        let busy = add(&mut sessions, 2, 0);
        busy.touch(now - 10);
        add(&mut sessions, 3, now - 2_000);
        sessions.expire(3_000);
        assert_eq!(ports(&mut sessions), [2, 3]);
        assert_eq!(sessions.by_age.len(), 2);
    }

    #[tokio::test]
    async fn a_broken_session_is_not_found() {
        let mut sessions = Sessions::new(9);
        add(&mut sessions, 1, 0).give_up();
        assert!(sessions.find(&way(1)).is_none());
        assert!(sessions.is_empty() && sessions.by_age.is_empty());
    }
}
