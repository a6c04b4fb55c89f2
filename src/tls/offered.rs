//! `Offered`: the live store, made of what the newest configuration says and of what resolvers obtained.
//!
//! Both change at their own times, and either change leaves the other's part as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::acme::names::Names;
use super::certificate::Certificate;
use super::store::{Shown, Store};
use crate::net::live::Live;

/// The live store and its two sources. Copies share them.
#[derive(Clone)]
pub(super) struct Offered {
    live: Arc<Live<Store>>,
    generated: Arc<Certificate>,
    sources: Arc<Mutex<Sources>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Sources {
    parts: Parts,
    /// The certificates of each resolver.
    acquired: BTreeMap<Arc<str>, Vec<Arc<Certificate>>>,
}

/// The certificates of one configuration.
#[derive(Default)]
pub(super) struct Parts {
    /// In the order of the configuration.
    pub(super) certificates: Vec<Arc<Certificate>>,
    /// The default certificate, where the user has one.
    pub(super) default: Option<Arc<Certificate>>,
    /// The resolver and the names of the default certificate, where one is to be obtained.
    pub(super) generated_default: Option<(String, Names)>,
}

impl Offered {
    /// Begins with nothing but `generated`, which stands in wherever a certificate is missing.
    pub(super) fn new(generated: Arc<Certificate>) -> Self {
        let store = Store::new(Vec::new(), Arc::clone(&generated));
        let live = Arc::new(Live::new(Arc::new(store)));
        Self { live, generated, sources: Arc::default(), changed: Arc::default() }
    }

    /// The newest store.
    pub(super) fn live(&self) -> &Arc<Live<Store>> {
        &self.live
    }

    /// The store as it would be with `parts`.
    pub(super) fn store_of(&self, parts: &Parts) -> Store {
        self.store(parts, &self.sources.lock().acquired)
    }

    /// Takes the certificates of a new configuration; handshakes that begin afterwards see them.
    pub(super) fn configure(&self, parts: Parts) {
        self.change(|sources| sources.parts = parts);
    }

    /// Replaces all certificates of `resolver`; handshakes that begin afterwards see them.
    pub(super) fn acquire(&self, resolver: &Arc<str>, certificates: Vec<Arc<Certificate>>) {
        self.change(|sources| {
            sources.acquired.insert(Arc::clone(resolver), certificates);
        });
    }

    /// Whether a certificate for `name` (canonical) is valid at `now`, in seconds since 1970.
    pub(super) fn covers(&self, name: &str, now: i64) -> bool {
        self.live.with(|store| store.covers(name, now))
    }

    fn change(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.sources.lock();
        change(&mut sources);
        let Sources { parts, acquired } = &*sources;
        self.live.store(Arc::new(self.store(parts, acquired)));
        drop(sources);
        self.changed.notify_one();
    }

    /// Waits until there is another store than at the last call; for one task.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn store(&self, parts: &Parts, acquired: &BTreeMap<Arc<str>, Vec<Arc<Certificate>>>) -> Store {
        let configured = parts.certificates.iter().map(|it| (it, None));
        let obtained = acquired.iter().flat_map(|(resolver, certificates)| {
            certificates.iter().map(move |it| (it, Some(Arc::clone(resolver))))
        });
        let all = configured
            .chain(obtained)
            .map(|(it, resolver)| Shown { certificate: Arc::clone(it), resolver })
            .collect();
        if let Some(default) = &parts.default {
            return Store::new(all, Arc::clone(default)).with_configured_default();
        }
        let wanted = parts.generated_default.as_ref().and_then(|(resolver, names)| {
            let own = acquired.get(resolver.as_str())?;
            own.iter().find(|certificate| names.are_those_of(certificate.names()))
        });
        Store::new(all, Arc::clone(wanted.unwrap_or(&self.generated)))
    }
}
