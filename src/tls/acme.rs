//! Certificates from authorities that speak ACME (RFC 8555).
//!
//! ```text
//! reload ──Wanted──▶ Acme ─▶ rounds, one task for each resolver: plan ─▶ orders ─▶ offered ─▶ handshakes
//!                               ▲                                         │
//!                               └── storage (acme.json), shared ──────────┘
//! ```
//!
//! `rounds` holds the state of a resolver; `plan` and `renewal` decide, `order` acts. Nothing here runs on a worker
//! except the answers to authorities in [`challenges`].

mod account;
mod authority;
mod back_off;
mod board;
pub mod challenges;
mod dns;
mod environment;
mod failure;
pub(super) mod https;
mod key;
pub mod names;
mod office;
mod order;
mod plan;
mod proof;
mod renewal;
mod rounds;
mod settings;
mod storage;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::board::{Orders, Standing, State};
pub(crate) use self::storage::write::replace as replace_file;

use self::board::Board;
use self::challenges::Challenges;
use self::names::Names;
use self::office::Office;
use self::rounds::{Life, Rounds};
use self::settings::Settings;
use self::storage::Storage;
use super::offered::Offered;
use crate::install::{self, CertificatesResolver};
use crate::net::drain::Drain;
use crate::net::stage::Staged;
use crate::net::task;

/// A certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The resolver that is to obtain it.
    pub resolver: Arc<str>,
    /// For these names.
    pub names: Names,
    /// Who wants it: a router, or the default store.
    pub by: Arc<str>,
    /// Whether it needs all names at once; otherwise those that another certificate covers are left out.
    pub whole: bool,
}

/// The resolvers.
pub struct Acme {
    resolvers: BTreeMap<Arc<str>, Resolver>,
    /// Resolvers that cannot work, with the reason.
    broken: BTreeMap<String, String>,
    challenges: Arc<Challenges>,
    board: Arc<Board>,
    offered: Offered,
    /// What was said of wishes that cannot be met, so that each is said once.
    said: Mutex<HashSet<String>>,
    /// Resolvers that have not looked into their storage yet.
    unread: watch::Sender<usize>,
}

struct Resolver {
    office: Arc<Office>,
    wanted: watch::Sender<Vec<Wanted>>,
    remarks: Vec<String>,
}

impl Acme {
    /// Checks the settings of `resolvers`; nothing is obtained before [`Acme::start`].
    pub(super) fn new(
        resolvers: &IndexMap<String, CertificatesResolver>,
        offered: &Offered,
    ) -> Self {
        let (challenges, holder) = (Challenges::new(), holder());
        let mut acme = Self {
            resolvers: BTreeMap::new(),
            broken: BTreeMap::new(),
            challenges: Arc::clone(&challenges),
            board: Arc::default(),
            offered: offered.clone(),
            said: Mutex::default(),
            unread: watch::Sender::new(0),
        };
        let mut storages: HashMap<String, Arc<dyn Storage>> = HashMap::new();
        for (name, resolver) in resolvers {
            let Some(settings) = &resolver.acme else {
                let reason = "`tailscale` is not served yet";
                acme.broken.insert(name.clone(), reason.to_owned());
                continue;
            };
            let storage = match storages.get(&settings.storage) {
                Some(known) => Ok(Arc::clone(known)),
                None => storage::open(&settings.storage),
            };
            let checked = storage.and_then(|storage| Ok((storage, Settings::read(settings)?)));
            let (storage, (read, remarks)) = match checked {
                Ok(checked) => checked,
                Err(error) => {
                    acme.broken.insert(name.clone(), error);
                    continue;
                }
            };
            storages.insert(settings.storage.clone(), Arc::clone(&storage));
            let office = Arc::new(Office {
                name: name.as_str().into(),
                settings: read,
                storage,
                challenges: Arc::clone(&challenges),
                holder: Arc::clone(&holder),
                account: Default::default(),
                opening: Default::default(),
            });
            let wanted = watch::Sender::new(Vec::new());
            acme.resolvers.insert(name.as_str().into(), Resolver { office, wanted, remarks });
        }
        challenges.look_in(storages.into_values().collect());
        acme.unread.send_replace(acme.resolvers.len());
        acme
    }

    /// Serves stored certificates, and obtains others while this process is the one that serves; on the control runtime.
    /// Orders that run when another process takes over are held on to.
    pub fn start(&self, staged: &Staged, drain: &Drain) {
        for (name, reason) in &self.broken {
            tracing::error!(resolver = name, "the certificates resolver obtains nothing: {reason}");
        }
        for (name, resolver) in &self.resolvers {
            for remark in &resolver.remarks {
                tracing::warn!(resolver = %name, "{remark}");
            }
            let (office, offered) = (Arc::clone(&resolver.office), self.offered.clone());
            let wanted = resolver.wanted.subscribe();
            let unread = self.unread.clone();
            let read = move || unread.send_modify(|left| *left = left.saturating_sub(1));
            let life = Life { staged: staged.clone(), drain: drain.clone(), read: Box::new(read) };
            let rounds = Rounds::new(office, offered, Arc::clone(&self.board), wanted);
            let name = Arc::clone(name);
            task::spawn_control(async move {
                if AssertUnwindSafe(rounds.run(life)).catch_unwind().await.is_err() {
                    tracing::error!(resolver = %name, "the certificates resolver panicked and obtains nothing more");
                }
            });
        }
    }

    /// Waits until every resolver has looked into its storage once, and what is there serves.
    pub async fn until_read(&self) {
        // The sender is this one's own.
        drop(self.unread.subscribe().wait_for(|left| *left == 0).await);
    }

    /// Replaces what is wanted. Wishes that cannot be met are said, each once.
    pub fn want(&self, wanted: Vec<Wanted>) {
        let mut by_resolver: BTreeMap<Arc<str>, Vec<Wanted>> = BTreeMap::new();
        let mut objections = HashSet::new();
        for wish in wanted {
            match self.objection(&wish) {
                Some(objection) => drop(objections.insert(format!("{}: {objection}", wish.by))),
                None => by_resolver.entry(Arc::clone(&wish.resolver)).or_default().push(wish),
            }
        }
        let mut said = self.said.lock();
        for objection in objections.difference(&said) {
            tracing::error!("no certificate is ordered for {objection}");
        }
        *said = objections;
        for (name, resolver) in &self.resolvers {
            let new = by_resolver.remove(name).unwrap_or_default();
            resolver.wanted.send_if_modified(|old| {
                let is_new = *old != new;
                *old = new;
                is_new
            });
        }
    }

    fn objection(&self, wish: &Wanted) -> Option<String> {
        if let Some(reason) = self.broken.get(&*wish.resolver) {
            return Some(format!("certificates resolver `{}`: {reason}", wish.resolver));
        }
        let Some(resolver) = self.resolvers.get(&wish.resolver) else {
            return Some(format!("certificates resolver `{}` does not exist", wish.resolver));
        };
        let checked = wish.names.check(resolver.office.settings.wildcards());
        checked.err().map(|error| error.to_string())
    }

    /// The proofs that authorities ask for at the moment.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// What became of every wanted certificate.
    pub fn standings(&self) -> Vec<Standing> {
        self.board.standings()
    }

    /// The orders of each resolver so far.
    pub fn orders(&self) -> Vec<(Arc<str>, Orders)> {
        self.board.orders()
    }

    /// Whether authorities may look for files on the entry point `name`.
    pub fn proves_on(resolvers: &IndexMap<String, CertificatesResolver>, name: &str) -> bool {
        let mut all = resolvers.values().filter_map(|resolver| resolver.acme.as_ref());
        all.any(|acme: &install::Acme| {
            acme.http_challenge.as_ref().is_some_and(|http| http.entry_point == name)
        })
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("resolvers", &self.resolvers.keys()).finish_non_exhaustive()
    }
}

/// A name for this process that no other one has.
fn holder() -> Arc<str> {
    format!("{}-{:016x}", std::process::id(), fastrand::u64(..)).into()
}
