//! What one client, and all of them, may take of the gateway over QUIC.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use quinn::{IdleTimeout, Incoming, ServerConfig, TransportConfig, VarInt};

use crate::http::settings::Settings;

/// Handshakes of a worker beyond which a client must prove its address first (RFC 9000 section 8.1.2): packets from
/// made-up addresses then cost no handshake.
const UNPROVEN: usize = 32;

/// Handshakes of a worker beyond which packets of new clients are dropped.
const HANDSHAKES: usize = 1024;

/// Memory that is set aside for each connection.
const PER_CONNECTION: u64 = 64 * 1024;

/// Connections where the memory of the machine is not known.
const CONNECTIONS: u64 = 10_000;

/// Requests at one time on one connection: what RFC 9114 section 6.1 asks for at least. Traefik has as many.
const REQUESTS: u32 = 100;

/// Streams in one direction at one time; HTTP/3 needs three.
const ONE_WAY: u32 = 16;

/// Bytes that a client may send on one request before they are taken.
const REQUEST_WINDOW: u32 = 256 * 1024;

/// Bytes that a client may send on all requests before they are taken.
const WINDOW: u32 = 1024 * 1024;

/// Bytes that are kept for a client until it acknowledges them.
const UNACKNOWLEDGED: u64 = 1024 * 1024;

/// Bytes of a handshake out of order.
const CRYPTO: usize = 16 * 1024;

/// A peer that is silent this long is gone where connections have no limit.
const SILENCE: Duration = Duration::from_secs(600);

/// First packets that wait to be looked at.
const WAITING: usize = 1024;

/// Sets the limits of connections.
pub(super) fn apply(config: &mut ServerConfig, settings: &Settings) {
    let silence = settings.idle_timeout.unwrap_or(SILENCE);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(REQUESTS.into())
        .max_concurrent_uni_streams(ONE_WAY.into())
        .stream_receive_window(REQUEST_WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(UNACKNOWLEDGED)
        .crypto_buffer_size(CRYPTO)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::try_from(silence).unwrap_or(VarInt::MAX.into())));
    config.transport_config(Arc::new(transport));
    config
        .max_incoming(WAITING)
        .incoming_buffer_size(PER_CONNECTION)
        .incoming_buffer_size_total(64 * PER_CONNECTION)
        .migration(true);
}

/// Connections that a worker may have: a quarter of the memory for all workers.
pub(super) fn connections(workers: usize) -> usize {
    let all = memory().map_or(CONNECTIONS, |bytes| bytes / 4 / PER_CONNECTION);
    (all as usize / workers.max(1)).max(1)
}

/// Bytes of memory that there are for the process: of its control group, or of the machine.
fn memory() -> Option<u64> {
    let read = |path| std::fs::read_to_string(path).ok();
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    [group, machine].into_iter().flatten().min()
}

/// The total of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Decides who may connect to one endpoint.
pub(super) struct Admission {
    connections: usize,
    open: Arc<AtomicUsize>,
    handshakes: Arc<AtomicUsize>,
}

/// What becomes of a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Prove,
    Refuse,
    Drop,
}

impl Admission {
    pub(super) fn new(connections: usize) -> Self {
        Self { connections, open: Arc::default(), handshakes: Arc::default() }
    }

    /// Lets a client in, or sees to its answer.
    pub(super) fn admit(&self, incoming: Incoming) -> Option<(Incoming, Permit)> {
        match self.verdict(incoming.remote_address_validated()) {
            Verdict::Accept => {
                let (open, handshake) = (Counted::new(&self.open), Counted::new(&self.handshakes));
                return Some((incoming, Permit { open, handshake }));
            }
            // It fails for proven addresses only.
            Verdict::Prove => drop(incoming.retry()),
            Verdict::Refuse => incoming.refuse(),
            Verdict::Drop => incoming.ignore(),
        }
        None
    }

    fn verdict(&self, is_proven: bool) -> Verdict {
        let handshakes = self.handshakes.load(Relaxed);
        if handshakes >= HANDSHAKES {
            Verdict::Drop
        } else if handshakes >= UNPROVEN && !is_proven {
            Verdict::Prove
        } else if self.open.load(Relaxed) >= self.connections {
            Verdict::Refuse
        } else {
            Verdict::Accept
        }
    }
}

/// A place for a connection, and for its handshake.
pub(super) struct Permit {
    open: Counted,
    handshake: Counted,
}

impl Permit {
    /// The handshake is over.
    pub(super) fn connected(self) -> impl Send {
        drop(self.handshake);
        self.open
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_the_connections() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(connections(1) >= connections(4));
        assert!(connections(usize::MAX) >= 1);
    }

    #[test]
    fn clients_prove_their_address_under_load_and_are_refused_when_it_is_full() {
        let admission = Admission::new(100);
        let begin = |count| -> Vec<Counted> {
            (0..count).map(|_| Counted::new(&admission.handshakes)).collect()
        };
        assert_eq!(admission.verdict(false), Verdict::Accept);
        let some = begin(UNPROVEN);
        assert_eq!(admission.verdict(false), Verdict::Prove);
        assert_eq!(admission.verdict(true), Verdict::Accept);
        let many = begin(HANDSHAKES);
        assert_eq!(admission.verdict(true), Verdict::Drop);
        drop((some, many));
        let _full: Vec<Counted> = (0..100).map(|_| Counted::new(&admission.open)).collect();
        assert_eq!(admission.verdict(true), Verdict::Refuse);
    }
}
