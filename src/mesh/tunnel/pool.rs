//! `Pool`: the connections of each worker, by who calls whom where.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use parking_lot::Mutex;
use rustls::ClientConfig;

use super::ask::{self, Place, Unasked, Unreached, Wanted};
use super::stream::TunnelStream;
use super::{AFTER_EXPIRY, CONNECTIONS, IDLE, STREAMS};
use crate::net::per_worker::PerWorker;
use crate::net::task;
use crate::tls::spiffe::{self, Holder, Id};

/// The connections of this process to nodes.
#[derive(Debug)]
pub struct Pool {
    holder: Arc<Holder>,
    workers: PerWorker<Mutex<HashMap<Key, Arc<Slot>>>>,
    /// Failed handshakes and connects by reason.
    failures: Mutex<HashMap<&'static str, u64>>,
}

/// Who calls, and whom where.
type Key = (Id, Place);

/// The connections of one worker for one key.
#[derive(Debug)]
struct Slot {
    shared: Mutex<Vec<Shared>>,
    /// Keeps the sessions that are resumed.
    config: OnceLock<Arc<ClientConfig>>,
    /// Held while a connection is made, so that a burst makes one and not many; holds how the last one failed, if it did.
    dialling: tokio::sync::Mutex<Option<(Instant, Unreached)>>,
    used: Mutex<Instant>,
}

/// One connection.
#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Bytes>,
    usage: Arc<Usage>,
}

/// How a connection is used.
#[derive(Debug)]
struct Usage {
    streams: AtomicUsize,
    /// When a stream last began or ended.
    last: Mutex<Instant>,
    /// When the first of the two certificates ends.
    ends: SystemTime,
    /// Whether it has ended.
    closed: AtomicBool,
}

/// A stream's share of a connection; counted until dropped.
#[derive(Debug)]
struct Stake(Arc<Usage>);

impl Drop for Stake {
    fn drop(&mut self) {
        *self.0.last.lock() = Instant::now();
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

/// How often idle connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);

impl Pool {
    /// No connection yet. `holder` has the identities of those who call.
    pub fn new(holder: Arc<Holder>) -> Arc<Self> {
        Arc::new(Self { holder, workers: PerWorker::default(), failures: Mutex::default() })
    }

    /// Who calls, and whom we trust.
    pub fn holder(&self) -> &Arc<Holder> {
        &self.holder
    }

    /// A stream to a workload as `own`, on a connection that there is or on a new one. The error says what to do.
    pub async fn open(
        &self,
        own: &Id,
        place: &Place,
        wanted: &Wanted<'_>,
    ) -> io::Result<TunnelStream> {
        let slot = self.slot(own, place);
        let mut again = true;
        loop {
            let shared = match slot.take() {
                Some(shared) => shared,
                None => self.connect(&slot, own, place).await?,
            };
            let (sender, stake) = (shared.sender.clone(), shared.stake());
            match ask::ask(sender, place, wanted, stake).await {
                Ok(stream) => return Ok(stream),
                Err(Unasked::Gone(_)) if again => {
                    slot.forget(&shared);
                    again = false;
                }
                Err(unasked) => {
                    if !matches!(unasked, Unasked::Refused(_)) {
                        slot.forget(&shared);
                    }
                    return Err(unasked.into_error());
                }
            }
        }
    }

    fn slot(&self, own: &Id, place: &Place) -> Arc<Slot> {
        let mut slots = self.workers.here().lock();
        let slot =
            slots.entry((own.clone(), place.clone())).or_insert_with(|| Arc::new(Slot::new()));
        *slot.used.lock() = Instant::now();
        Arc::clone(slot)
    }

    /// A connection that came to be while others waited for it, or a new one.
    async fn connect(&self, slot: &Arc<Slot>, own: &Id, place: &Place) -> io::Result<Shared> {
        let waits_since = Instant::now();
        let mut last = slot.dialling.lock().await;
        if let Some(shared) = slot.take() {
            return Ok(shared);
        }
        // All who waited for an attempt share its failure; else each would wait for one of its own after the others'.
        if let Some((at, failure)) = &*last
            && *at >= waits_since
        {
            return Err(failure.clone().into());
        }
        let made = self.make(slot, own, place).await;
        *last = made.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        made.map_err(|failure| {
            *self.failures.lock().entry(failure.reason).or_default() += 1;
            tracing::warn!(source = %own, node = %place.node, reason = failure.reason, "{}", io::Error::from(failure.clone()));
            failure.into()
        })
    }

    async fn make(&self, slot: &Slot, own: &Id, place: &Place) -> Result<Shared, Unreached> {
        let refused = |refusal| Unreached::no_identity(place, &refusal);
        let svid = self.holder.svid(own);
        let own_ends =
            svid.ok_or_else(|| refused(spiffe::Refusal::NoIdentity(own.clone())))?.not_after;
        let config = match slot.config.get() {
            Some(config) => config,
            None => {
                let made = spiffe::client_config(&self.holder, own, place.peer.clone());
                let made = made.map_err(refused)?;
                slot.config.get_or_init(|| made)
            }
        };
        let reached = ask::reach(place, Arc::clone(config)).await?;
        let usage = Arc::new(Usage {
            streams: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
            ends: own_ends.min(reached.peer_ends),
            closed: AtomicBool::new(false),
        });
        task::spawn(drive(reached.connection, Arc::clone(&usage)));
        let shared = Shared { sender: reached.sender, usage };
        slot.shared.lock().push(shared.clone());
        Ok(shared)
    }

    /// Failed handshakes and connects by reason.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        let mut failures: Vec<_> = self.failures.lock().iter().map(|(it, n)| (*it, *n)).collect();
        failures.sort_unstable();
        failures
    }

    /// Every connection: who calls, whom where, and its streams.
    pub fn connections(&self) -> Vec<(Id, Place, usize)> {
        let mut found = Vec::new();
        for worker in self.workers.iter() {
            for ((own, place), slot) in &*worker.lock() {
                let shared = slot.shared.lock();
                let open = shared.iter().filter(|shared| !shared.usage.closed.load(Relaxed));
                found.extend(open.map(|it| (own.clone(), place.clone(), it.streams())));
            }
        }
        found
    }

    /// Lets go of connections that are idle or over. Ends with the pool.
    pub async fn sweep(pool: Weak<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            let Some(pool) = pool.upgrade() else { return };
            let now = Instant::now();
            for worker in pool.workers.iter() {
                worker.lock().retain(|_, slot| slot.sweep(now));
            }
        }
    }
}

/// Drives a connection to its end, or to a while after that of its certificates.
async fn drive<S>(connection: Connection<S, Bytes>, usage: Arc<Usage>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let left = usage.ends.duration_since(SystemTime::now()).unwrap_or_default();
    match tokio::time::timeout(left + AFTER_EXPIRY, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a tunnel ended"),
        Err(_) => tracing::info!("a tunnel was closed: its certificate has expired"),
    }
    usage.closed.store(true, Relaxed);
}

impl Slot {
    fn new() -> Self {
        Self {
            shared: Mutex::default(),
            config: OnceLock::new(),
            dialling: tokio::sync::Mutex::default(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// A connection with room for a stream, if there is one.
    fn take(&self) -> Option<Shared> {
        let now = SystemTime::now();
        let mut shared = self.shared.lock();
        shared.retain(|it| !it.usage.closed.load(Relaxed));
        let full = shared.len() >= CONNECTIONS;
        let good = shared.iter().filter(|it| it.usage.ends > now);
        let free = good.min_by_key(|it| it.streams())?;
        (free.streams() < STREAMS || full).then(|| free.clone())
    }

    /// Begins no more streams on a connection; those that run go on.
    fn forget(&self, gone: &Shared) {
        self.shared.lock().retain(|it| !Arc::ptr_eq(&it.usage, &gone.usage));
    }

    /// Lets go of what is not used; whether there is still something.
    fn sweep(&self, now: Instant) -> bool {
        let mut shared = self.shared.lock();
        shared.retain(|it| {
            let silent = now.saturating_duration_since(*it.usage.last.lock());
            let idle = it.streams() == 0 && (silent > IDLE || it.usage.ends <= SystemTime::now());
            !idle && !it.usage.closed.load(Relaxed)
        });
        !shared.is_empty() || now.saturating_duration_since(*self.used.lock()) <= IDLE
    }
}

impl Shared {
    fn streams(&self) -> usize {
        self.usage.streams.load(Relaxed)
    }

    fn stake(&self) -> Stake {
        self.usage.streams.fetch_add(1, Relaxed);
        *self.usage.last.lock() = Instant::now();
        Stake(Arc::clone(&self.usage))
    }
}
