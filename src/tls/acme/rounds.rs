//! The rounds of one resolver: read what is kept, order what is missing or due, serve what comes, for as long as the gateway
//! runs.

mod report;
mod suggestions;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::suggestions::Suggestions;
use super::Wanted;
use super::back_off::{BackOff, Wish};
use super::board::Board;
use super::failure::Failure;
use super::names::Names;
use super::office::Office;
use super::order::{self, Job, Outcome};
use super::plan::{Holding, Plan, View};
use super::renewal::{self, Clock};
use super::storage::{Entry, StorageError};
use crate::net::drain::Drain;
use crate::net::stage::{Stage, Staged};
use crate::net::task;
use crate::tls::certificate::Certificate;
use crate::tls::offered::Offered;

/// How often is looked whether somebody else wrote.
const LOOK: Duration = Duration::from_secs(2);

/// Orders of one resolver at the same time.
const AT_ONCE: usize = 4;

/// How long is waited for an order of another instance before the next look.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// How often is tried to keep what could not be kept.
const KEEP_AGAIN: Duration = Duration::from_secs(30);

/// The state of one resolver.
pub(super) struct Rounds {
    office: Arc<Office>,
    offered: Offered,
    board: Arc<Board>,
    wanted: watch::Receiver<Vec<Wanted>>,
    held: Vec<Held>,
    /// The version of the storage that `held` is from.
    read: Option<Option<String>>,
    /// Why the storage cannot be used.
    unusable: Option<String>,
    keep_again: Option<Instant>,
    running: FuturesUnordered<JoinHandle<(Job, Result<Outcome, Failure>)>>,
    ordering: Vec<Names>,
    troubles: HashMap<String, BackOff>,
    suggestions: Suggestions,
    clock: Clock,
    /// When there may be something to do, in seconds since 1970.
    next: i64,
}

/// What rounds know of the life of the gateway.
pub(super) struct Life {
    pub(super) staged: Staged,
    /// Keeps the gateway until the orders that run are over, once another process serves.
    pub(super) drain: Drain,
    /// Called when what is stored serves.
    pub(super) read: Box<dyn FnOnce() + Send>,
}

/// A certificate that this resolver obtained.
struct Held {
    entry: Entry,
    certificate: Arc<Certificate>,
    /// Whether the storage holds it, too.
    kept: bool,
}

impl Rounds {
    pub(super) fn new(
        office: Arc<Office>,
        offered: Offered,
        board: Arc<Board>,
        wanted: watch::Receiver<Vec<Wanted>>,
    ) -> Self {
        Self {
            office,
            offered,
            board,
            wanted,
            held: Vec::new(),
            read: None,
            unusable: None,
            keep_again: None,
            running: FuturesUnordered::new(),
            ordering: Vec::new(),
            troubles: HashMap::new(),
            suggestions: Suggestions::default(),
            clock: Clock::new(Instant::now(), wall()),
            next: 0,
        }
    }

    /// Goes on until nobody can want anything any more, or another process serves and the last order here is over.
    pub(super) async fn run(mut self, life: Life) {
        let Life { mut staged, drain, read } = life;
        let mut read = Some(read);
        let mut held = None;
        loop {
            self.read_storage().await;
            if let Some(read) = read.take() {
                read();
            }
            let stage = staged.now();
            if stage >= Stage::HandedOver && self.running.is_empty() || stage == Stage::Ends {
                return;
            }
            self.keep_what_is_not_kept().await;
            if stage == Stage::Serves {
                self.ask_for_suggestions();
                self.place_orders();
            }
            // From an order's beginning on: a gateway that begins to end does not wait for whoever might hold it.
            held = (!self.running.is_empty()).then(|| held.take().unwrap_or_else(|| drain.hold()));
            tokio::select! {
                _ = staged.changed() => self.next = 0,
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.next = 0;
                }
                Some(done) = self.running.next() => self.finish(done),
                suggested = self.suggestions.answer() => self.take_suggestions(suggested),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn read_storage(&mut self) {
        let version = match self.office.storage.version().await {
            Ok(version) => version,
            Err(error) => return self.note_unusable(&error),
        };
        if self.read.as_ref() == Some(&version) {
            return;
        }
        if version.is_none() && self.held.iter().any(|held| held.kept) {
            // The file is gone while its certificates serve: they are written again.
            tracing::warn!(resolver = %self.office.name, "the storage is empty; it is written again");
            self.held.iter_mut().for_each(|held| held.kept = false);
            self.keep_again = None;
            self.read = Some(version);
            return;
        }
        match self.office.storage.load(&self.office.name).await {
            Ok(stored) => {
                self.unusable = None;
                self.read = Some(version);
                self.adopt(stored.certificates);
            }
            Err(error) => self.note_unusable(&error),
        }
    }

    /// Nothing is ordered while nobody knows what there is already. What is held goes on serving.
    fn note_unusable(&mut self, error: &StorageError) {
        let error = error.to_string();
        if self.unusable.as_ref() != Some(&error) {
            tracing::error!(resolver = %self.office.name, "nothing is ordered: {error}");
            self.next = 0;
        }
        self.unusable = Some(error);
        self.read = None;
    }

    /// Takes over what the storage holds, beside what it does not hold yet.
    fn adopt(&mut self, entries: Vec<Entry>) {
        let mut known: HashMap<Entry, Arc<Certificate>> = HashMap::new();
        let mut own = Vec::new();
        for held in std::mem::take(&mut self.held) {
            if held.kept {
                known.insert(held.entry, held.certificate);
            } else {
                own.push(held);
            }
        }
        for entry in entries {
            if own.iter().any(|held| held.entry.names.key() == entry.names.key()) {
                continue;
            }
            let parsed = match known.remove(&entry) {
                Some(certificate) => Ok(certificate),
                None => Certificate::from_pem(&entry.chain, &entry.key.0).map(Arc::new),
            };
            match parsed {
                Ok(certificate) => self.held.push(Held { entry, certificate, kept: true }),
                Err(error) => {
                    let name = entry.names.main();
                    tracing::warn!(resolver = %self.office.name, name, "a stored certificate is skipped: {error}");
                }
            }
        }
        self.held.extend(own);
        self.serve();
    }

    /// Makes handshakes see what is held.
    fn serve(&mut self) {
        let certificates = self.held.iter().map(|held| Arc::clone(&held.certificate)).collect();
        self.offered.acquire(&self.office.name, certificates);
        self.next = 0;
    }

    async fn keep_what_is_not_kept(&mut self) {
        if self.keep_again.is_some_and(|when| Instant::now() < when) {
            return;
        }
        self.keep_again = None;
        for held in self.held.iter_mut().filter(|held| !held.kept) {
            held.kept = order::keep(&self.office, &held.entry).await;
            if !held.kept {
                self.keep_again = Some(Instant::now() + KEEP_AGAIN);
                return;
            }
        }
    }

    fn place_orders(&mut self) {
        let now = self.clock.read(Instant::now(), wall());
        if now < self.next {
            return;
        }
        let wanted = self.wanted.borrow_and_update().clone();
        let plan = self.plan(&wanted, now);
        self.next = plan.next;
        if self.unusable.is_none() {
            let free = AT_ONCE.saturating_sub(self.running.len());
            for (names, replaces) in plan.orders.iter().take(free) {
                self.begin(names.clone(), *replaces);
            }
        }
        self.forget_troubles(&wanted);
        self.report(&wanted, &plan, now);
    }

    fn plan(&self, wanted: &[Wanted], now: i64) -> Plan {
        let held: Vec<Holding<'_>> = self.held.iter().map(|held| self.holding(held)).collect();
        let instant = Instant::now();
        let paused = |key: &str| {
            let left = self.troubles.get(key)?.until.checked_duration_since(instant)?;
            Some(now + left.as_secs() as i64 + 1)
        };
        Plan::new(&View {
            wanted,
            held: &held,
            covered: &|name| self.offered.covers(name, now),
            running: &self.ordering,
            paused: &paused,
            now,
        })
    }

    fn holding<'a>(&self, held: &'a Held) -> Holding<'a> {
        let facts = held.certificate.facts();
        let share = renewal::share(&facts.name);
        let own = renewal::due(facts.begins, facts.expires, self.office.settings.hours, share);
        let due = self
            .suggestions
            .renewal(&facts.name, (facts.begins, facts.expires), share)
            .unwrap_or(own);
        Holding { names: &held.entry.names, expires: facts.expires, due }
    }

    fn begin(&mut self, names: Names, replaces: Option<usize>) {
        let attempt = self.troubles.get(&names.key()).map_or(0, |trouble| trouble.failures);
        let replaces = replaces.and_then(|index| self.held.get(index));
        let replaces = replaces.map(|held| Arc::clone(&held.certificate));
        let verb = if replaces.is_some() { "renewing" } else { "ordering" };
        tracing::info!(resolver = %self.office.name, names = names.key(), "{verb} a certificate");
        self.ordering.push(names.clone());
        let (office, job) = (Arc::clone(&self.office), Job { names, replaces, attempt });
        self.running.push(task::spawn_control(async move {
            let done = order::run(&office, &job).await;
            (job, done)
        }));
    }

    fn finish(&mut self, done: Result<(Job, Result<Outcome, Failure>), tokio::task::JoinError>) {
        self.next = 0;
        let Ok((job, outcome)) = done else {
            // Which one panicked is not known: those that ran are tried again after a pause.
            tracing::error!(resolver = %self.office.name, "an order panicked; please report this");
            for names in std::mem::take(&mut self.ordering) {
                self.fail(&names, Failure::new("the order panicked"));
            }
            return;
        };
        let key = job.names.key();
        self.ordering.retain(|names| names.key() != key);
        match outcome {
            Ok(Outcome::Issued(entry, kept)) => self.take(entry, kept),
            Ok(Outcome::Elsewhere) => {
                self.read = None;
                let failures = job.attempt;
                let reason = "another instance orders it".to_owned();
                let until = Instant::now() + ELSEWHERE;
                self.troubles.insert(key, BackOff { failures, reason, until });
            }
            Err(failure) => self.fail(&job.names, failure),
        }
    }

    fn take(&mut self, entry: Entry, kept: bool) {
        let key = entry.names.key();
        self.troubles.remove(&key);
        let certificate = match Certificate::from_pem(&entry.chain, &entry.key.0) {
            Ok(certificate) => Arc::new(certificate),
            // It was checked when it came.
            Err(error) => return self.fail(&entry.names, Failure::new(error)),
        };
        self.board.count(&self.office.name, true);
        let until = &certificate.facts().not_after;
        tracing::info!(resolver = %self.office.name, names = key, %until, "certificate obtained");
        self.held.retain(|held| held.entry.names.key() != key);
        self.held.push(Held { entry, certificate, kept });
        if !kept {
            self.keep_again = Some(Instant::now() + KEEP_AGAIN);
        }
        self.serve();
    }

    fn fail(&mut self, names: &Names, failure: Failure) {
        self.board.count(&self.office.name, false);
        let key = names.key();
        let Failure { reason, wish, .. } = failure;
        let at = (Instant::now(), fastrand::f64());
        let next = BackOff::after(self.troubles.get(&key), reason, wish, at);
        let pause = next.until.saturating_duration_since(at.0).as_secs();
        let asked = if matches!(wish, Wish::Nothing) { "" } else { ", as the authority asks" };
        tracing::warn!(
            resolver = %self.office.name,
            names = key,
            failures = next.failures,
            "no certificate: {}; tried again in {pause} s{asked}",
            next.reason
        );
        self.troubles.insert(key, next);
    }

    /// Forgets failures of what nobody wants any more, but not at once: who comes and goes must not be ordered each time.
    fn forget_troubles(&mut self, wanted: &[Wanted]) {
        const KEPT: Duration = Duration::from_hours(1);
        let now = Instant::now();
        self.troubles.retain(|key, trouble| {
            let is_wanted = || {
                let name = key.split(',').next().unwrap_or_default();
                wanted.iter().any(|it| it.names.iter().any(|own| own == name))
            };
            now.saturating_duration_since(trouble.until) < KEPT || is_wanted()
        });
    }

    fn ask_for_suggestions(&mut self) {
        let held = self.held.iter().map(|held| &held.certificate);
        self.suggestions.ask(&self.office, held);
    }

    fn take_suggestions(&mut self, suggested: suggestions::Answer) {
        if self.suggestions.take(suggested) {
            self.next = 0;
        }
    }
}

/// Seconds since 1970.
fn wall() -> i64 {
    jiff::Timestamp::now().as_second()
}
