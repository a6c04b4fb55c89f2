//! `inFlightConn` limits how many connections of one client are open at a time.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, Peer, Permit, Settings};
use crate::build::{Defect, is_default};

/// Limits how many connections of one client address are open at a time; a connection beyond that is closed.
///
/// ```yaml
/// tcp:
///   middlewares:
///     few:
///       inFlightConn:
///         amount: 10
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InFlightConn {
    /// How many connections of one address may be open at a time. With 0 every connection is closed.
    #[serde(skip_serializing_if = "is_default")]
    pub amount: i64,
}

impl Settings for InFlightConn {
    const KIND: &'static str = "inFlightConn";

    fn compile(self) -> Result<Arc<dyn Gate>, Defect> {
        let amount = u32::try_from(self.amount.max(0)).unwrap_or(u32::MAX);
        Ok(Arc::new(Limit(Arc::new(Open { amount, counts: Mutex::default() }))))
    }
}

struct Limit(Arc<Open>);

impl Gate for Limit {
    fn admit(&self, peer: &Peer) -> Option<Permit> {
        self.0
            .enter(peer.address)
            .then(|| Permit::holding(Held { open: Arc::clone(&self.0), address: peer.address }))
    }
}

/// The open connections of each address, for all workers together. An address without any has no entry, so there are
/// never more entries than connections.
struct Open {
    amount: u32,
    counts: Mutex<HashMap<IpAddr, u32, ahash::RandomState>>,
}

impl Open {
    fn enter(&self, address: IpAddr) -> bool {
        if self.amount == 0 {
            return false;
        }
        let mut counts = self.counts.lock();
        let count = counts.entry(address).or_insert(0);
        let fits = *count < self.amount;
        if fits {
            *count += 1;
        }
        fits
    }

    fn leave(&self, address: IpAddr) {
        if let Entry::Occupied(mut entry) = self.counts.lock().entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One open connection.
struct Held {
    open: Arc<Open>,
    address: IpAddr,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer { address: address.parse().unwrap() }
    }

    fn gate(amount: i64) -> Arc<dyn Gate> {
        InFlightConn { amount }.compile().unwrap()
    }

    #[test]
    fn each_address_has_its_own_amount() {
        let gate = gate(2);
        let first = gate.admit(&peer("192.0.2.1")).unwrap();
        let _second = gate.admit(&peer("192.0.2.1")).unwrap();
        assert!(gate.admit(&peer("192.0.2.1")).is_none());
        assert!(gate.admit(&peer("192.0.2.2")).is_some());
        drop(first);
        assert!(gate.admit(&peer("192.0.2.1")).is_some());
    }

    #[test]
    fn without_an_amount_nobody_passes() {
        assert!(gate(0).admit(&peer("192.0.2.1")).is_none());
        assert!(gate(-1).admit(&peer("192.0.2.1")).is_none());
    }

    #[test]
    fn an_address_is_forgotten_with_its_last_connection() {
        let open = Arc::new(Open { amount: 1, counts: Mutex::default() });
        let limit = Limit(Arc::clone(&open));
        let permit = limit.admit(&peer("::1")).unwrap();
        assert!(limit.admit(&peer("::1")).is_none());
        assert_eq!(open.counts.lock().len(), 1);
        drop(permit);
        assert_eq!(open.counts.lock().len(), 0);
    }
}
