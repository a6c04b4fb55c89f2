//! `Holder`: the identities of this process and whom it trusts, at any moment.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Bundle, Id, Own, Svid};
use crate::net::live::Live;

/// The identities of this process and whom it trusts. Handshakes read it without waiting; whoever obtains identities writes.
pub struct Holder {
    held: Live<Held>,
    /// Writers, one after the other. Counts the changes.
    changed: Mutex<watch::Sender<u64>>,
}

/// What a holder has between two changes.
#[derive(Clone, Default)]
struct Held {
    svids: HashMap<Id, Arc<Svid>>,
    by_name: HashMap<String, Id>,
    default: Option<Id>,
    bundle: Arc<Bundle>,
    /// Counts the bundles.
    bundles: u64,
}

impl Holder {
    /// Nobody, who trusts nobody.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Live::new(Arc::default()),
            changed: Mutex::new(watch::Sender::new(0)),
        })
    }

    /// The identity `id`, while it is valid. An expired one is as good as none.
    pub fn svid(&self, id: &Id) -> Option<Arc<Svid>> {
        self.held.with(|held| held.svids.get(id).cloned()).filter(is_valid)
    }

    /// The identity that is shown where nobody asks for another, while it is valid.
    pub fn default_svid(&self) -> Option<Arc<Svid>> {
        let default = self.held.with(|held| held.svids.get(held.default.as_ref()?).cloned());
        default.filter(is_valid)
    }

    /// The identity whose name a ClientHello has, in lower case.
    pub(super) fn svid_by_name(&self, name: &str) -> Option<Arc<Svid>> {
        let found = self.held.with(|held| held.svids.get(held.by_name.get(name)?).cloned());
        found.filter(is_valid)
    }

    pub(super) fn own(&self, own: &Own) -> Option<Arc<Svid>> {
        match own {
            Own::Named(id) => self.svid(id),
            Own::Default => self.default_svid(),
        }
    }

    /// Every identity with its dates, expired ones too, for those who show them.
    pub fn svids(&self) -> Vec<Arc<Svid>> {
        let mut svids: Vec<_> = self.held.with(|held| held.svids.values().cloned().collect());
        svids.sort_by(|a, b| a.id.cmp(&b.id));
        svids
    }

    /// Whom we trust.
    pub fn bundle(&self) -> Arc<Bundle> {
        self.held.with(|held| Arc::clone(&held.bundle))
    }

    /// How many bundles there have been: another number, another bundle.
    pub fn bundle_version(&self) -> u64 {
        self.held.with(|held| held.bundles)
    }

    /// Tells of every change; the value counts them.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.lock().subscribe()
    }

    /// Takes an identity, in place of an older one with the same ID. The first one is the default until
    /// [`Holder::set_default`] says otherwise.
    pub fn put(&self, svid: Svid) {
        self.change(|held| {
            held.default.get_or_insert_with(|| svid.id.clone());
            held.insert(svid);
        });
    }

    /// Forgets an identity.
    pub fn remove(&self, id: &Id) {
        self.change(|held| {
            held.svids.remove(id);
            held.by_name.retain(|_, of| of != id);
        });
    }

    /// Says which identity is the default, whether it is there yet or not.
    pub fn set_default(&self, id: Id) {
        self.change(|held| held.default = Some(id));
    }

    /// Says whom we trust from now on. Sessions made under another bundle are not resumed.
    pub fn set_bundle(&self, bundle: Bundle) {
        self.change(|held| held.set_bundle(bundle));
    }

    /// Replaces everything at once; the first identity is the default.
    pub fn replace(&self, svids: Vec<Svid>, bundle: Bundle) {
        self.change(|held| {
            held.svids.clear();
            held.by_name.clear();
            held.default = svids.first().map(|svid| svid.id.clone());
            for svid in svids {
                held.insert(svid);
            }
            held.set_bundle(bundle);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        let changed = self.changed.lock();
        let mut held = Held::clone(&self.held.load());
        change(&mut held);
        self.held.store(Arc::new(held));
        changed.send_modify(|count| *count += 1);
    }
}

impl Held {
    fn insert(&mut self, svid: Svid) {
        if let Some(name) = svid.id.server_name() {
            self.by_name.insert(name, svid.id.clone());
        }
        self.svids.insert(svid.id.clone(), Arc::new(svid));
    }

    fn set_bundle(&mut self, bundle: Bundle) {
        if *self.bundle != bundle {
            self.bundle = Arc::new(bundle);
            self.bundles += 1;
        }
    }
}

fn is_valid(svid: &Arc<Svid>) -> bool {
    svid.is_valid(SystemTime::now())
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundle = self.bundle();
        f.debug_struct("Holder").field("svids", &self.svids()).field("bundle", &bundle).finish()
    }
}
