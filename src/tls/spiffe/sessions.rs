//! Sessions that are resumed no longer than what they were made with is good.
//!
//! A resumed handshake verifies no certificate: both sides take the other's from the session. So sessions end when the roots
//! change, when our own identity is renewed (the peer would go on to see the old one), and when a peer's certificate ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls_pki_types::ServerName;

use super::{Holder, Own, leaf};

/// Sessions that a server keeps.
const CLIENTS: usize = 4096;

/// Servers whose sessions a client keeps; it has one configuration for each identity it wants.
const SERVERS: usize = 16;

/// When the certificates of the peers that were met end: the earliest, in seconds since 1970.
#[derive(Debug)]
pub(super) struct Peers(AtomicU64);

impl Default for Peers {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Peers {
    pub(super) fn met(&self, not_after: u64) {
        self.0.fetch_min(not_after, Relaxed);
    }

    /// Whether one of them has ended by `now`; then those that were met are forgotten.
    fn have_ended(&self, now: u64) -> bool {
        let ended = |earliest| (earliest <= now).then_some(u64::MAX);
        self.0.fetch_update(Relaxed, Relaxed, ended).is_ok()
    }
}

/// What the sessions of a client were made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made {
    bundle: u64,
    /// The end of our own certificate, in seconds since 1970; another end, another certificate.
    own_ends: Option<u64>,
}

/// The sessions of a client.
#[derive(Debug)]
pub(super) struct ClientSessions {
    holder: Arc<Holder>,
    own: Own,
    peers: Arc<Peers>,
    kept: Mutex<KeptByClient>,
}

#[derive(Debug)]
struct KeptByClient {
    made: Made,
    /// A connection from before the last change may still bring a session: such are over by then.
    until: u64,
    sessions: Arc<ClientSessionMemoryCache>,
}

impl ClientSessions {
    pub(super) fn new(holder: &Arc<Holder>, own: Own, peers: Arc<Peers>) -> Self {
        let made = Made { bundle: 0, own_ends: None };
        let sessions = Arc::new(ClientSessionMemoryCache::new(SERVERS));
        let kept = Mutex::new(KeptByClient { made, until: u64::MAX, sessions });
        Self { holder: Arc::clone(holder), own, peers, kept }
    }

    fn current(&self) -> Arc<ClientSessionMemoryCache> {
        let own_ends = self.holder.own(&self.own).map(|svid| leaf::seconds(svid.not_after));
        let made = Made { bundle: self.holder.bundle_version(), own_ends };
        let now = leaf::now();
        let mut kept = self.kept.lock();
        if self.peers.have_ended(now) || kept.made != made || kept.until <= now {
            let before = kept.made.own_ends.filter(|ends| *ends > now);
            let until = if kept.made == made { u64::MAX } else { before.unwrap_or(u64::MAX) };
            let sessions = Arc::new(ClientSessionMemoryCache::new(SERVERS));
            *kept = KeptByClient { made, until, sessions };
        }
        Arc::clone(&kept.sessions)
    }
}

impl ClientSessionStore for ClientSessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.current().set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.current().kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.current().set_tls12_session(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.current().tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.current().remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        self.current().insert_tls13_ticket(server_name, value);
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        self.current().take_tls13_ticket(server_name)
    }
}

/// The sessions of a server.
#[derive(Debug)]
pub(super) struct ServerSessions {
    holder: Arc<Holder>,
    /// With the version of the bundle that they were made under.
    kept: Mutex<(u64, Arc<ServerSessionMemoryCache>)>,
}

impl ServerSessions {
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        let kept = (holder.bundle_version(), ServerSessionMemoryCache::new(CLIENTS));
        Self { holder: Arc::clone(holder), kept: Mutex::new(kept) }
    }

    fn current(&self) -> Arc<ServerSessionMemoryCache> {
        let version = self.holder.bundle_version();
        let mut kept = self.kept.lock();
        if kept.0 != version {
            *kept = (version, ServerSessionMemoryCache::new(CLIENTS));
        }
        Arc::clone(&kept.1)
    }
}

impl StoresServerSessions for ServerSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.current().put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.current().take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}
