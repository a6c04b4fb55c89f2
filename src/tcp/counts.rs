//! What is counted of a TCP service; kept over reloads by name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::net::copy::Copied;

/// What is counted of a TCP service.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that reached a server.
    pub connections: AtomicU64,
    /// Servers that could not be reached.
    pub failures: AtomicU64,
    /// Bytes from clients to servers, of connections that have ended.
    pub received: AtomicU64,
    /// Bytes from servers to clients, of connections that have ended.
    pub sent: AtomicU64,
}

impl Counts {
    /// Adds what one connection copied, client first.
    pub fn add(&self, copied: Copied) {
        self.received.fetch_add(copied.forth, Relaxed);
        self.sent.fetch_add(copied.back, Relaxed);
    }
}
