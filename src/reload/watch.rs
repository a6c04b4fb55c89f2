//! Watching providers: their newest configurations, quiet times, restarts, and the swap of snapshots.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::problem::Severity;
use portcullis_config::{Name, Routing};
use portcullis_providers::{Contact, Provider, Published, Publisher, State, Weight};
use tokio::sync::{mpsc, watch};

use super::merge;
use crate::net::live::Live;
use crate::net::task;
use crate::observe::Observer;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::{self, Context};
use crate::snapshot::configuration::{Configuration, EntryPointDefaults};

/// When a change is applied: after this much quiet …
const QUIET: Duration = Duration::from_millis(50);

/// … and at the latest this long after the first change of a burst.
const BURST: Duration = Duration::from_millis(250);

/// First pause before a failed provider is started again; doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);

/// Short: what was away must be followed two seconds after it is back.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);

/// How often is looked whether the last snapshot is still held, and how many times: those who answer the API with it
/// take longer than workers, but never long.
const LOOK: Duration = Duration::from_millis(1);

/// See above.
const TRIES: usize = 20;

/// How changes are paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// After a moment of quiet.
    Quiet,
    /// At most once in this time, as the user wishes.
    Throttle(Duration),
}

/// The loop that turns what providers say into snapshots.
pub struct Reload {
    context: Arc<Context>,
    live: Arc<Live<Snapshot>>,
    observer: Arc<Observer>,
    defaults: Vec<EntryPointDefaults>,
    pace: Pace,
    said: Vec<Said>,
    changes: (mpsc::Sender<usize>, mpsc::Receiver<usize>),
    applied: Option<Configuration>,
    /// Whether what was said since counts even if it is equal.
    weight: Weight,
    /// Whether a snapshot holds something of every provider.
    complete: watch::Sender<bool>,
}

/// One provider and what it last said.
struct Said {
    provider: Arc<str>,
    published: Option<Arc<Published>>,
    inbox: Option<Arc<parking_lot::Mutex<Option<Published>>>>,
    state: Option<State>,
}

/// The snapshot before anything was said: no routes.
pub fn empty(context: &Context) -> Snapshot {
    let (snapshot, prepared) = compile::compile(&Configuration::default(), None, context);
    prepared.publish();
    snapshot
}

impl Reload {
    /// A loop without providers. `live` holds what [`empty`] made.
    pub fn new(
        context: Arc<Context>,
        live: Arc<Live<Snapshot>>,
        observer: Arc<Observer>,
        pace: Pace,
    ) -> Self {
        let defaults = context.entry_points.iter().map(|(defaults, _)| defaults.clone()).collect();
        let (said, changes) = (Vec::new(), mpsc::channel(64));
        Self {
            context,
            live,
            observer,
            defaults,
            pace,
            said,
            changes,
            applied: None,
            weight: Weight::IfDifferent,
            complete: watch::channel(false).0,
        }
    }

    /// Tells when every provider has spoken for the first time and what they said is served.
    pub fn complete(&self) -> watch::Receiver<bool> {
        self.complete.subscribe()
    }

    /// Adds what the gateway itself configures; it never changes.
    pub fn add_internal(&mut self, routing: Routing) {
        let published = Published { routing, problems: Vec::new(), weight: Weight::IfDifferent };
        self.said.push(Said {
            provider: "internal".into(),
            published: Some(Arc::new(published)),
            inbox: None,
            state: None,
        });
    }

    /// Adds a provider and starts it on this runtime; restarts it when it fails. Returns its state, by which it can be
    /// asked to read everything again.
    pub fn add(&mut self, mut provider: Box<dyn Provider>) -> State {
        let name: Arc<str> = provider.name().into();
        let (publisher, mut receiver) = portcullis_providers::channel();
        let state = receiver.state();
        let inbox: Arc<parking_lot::Mutex<Option<Published>>> = Arc::default();
        let index = self.said.len();
        let (changed, filled) = (self.changes.0.clone(), Arc::clone(&inbox));
        task::spawn(async move {
            loop {
                let published = receiver.changed().await;
                put(&filled, published);
                if changed.send(index).await.is_err() {
                    return;
                }
            }
        });
        let label = Arc::clone(&name);
        task::spawn(async move { keep_running(&mut *provider, &publisher, &label).await });
        let (inbox, kept) = (Some(inbox), Some(state));
        self.said.push(Said { provider: name, published: None, inbox, state: kept });
        self.said.last().and_then(|said| said.state.clone()).expect("pushed just now")
    }

    /// Applies changes for ever.
    pub async fn run(mut self) {
        self.apply().await;
        self.tell_complete();
        loop {
            let Some(index) = self.changes.1.recv().await else { return };
            self.take(index);
            self.wait_for_quiet().await;
            self.apply().await;
            self.tell_complete();
            if let Pace::Throttle(pause) = self.pace {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn tell_complete(&self) {
        if self.said.iter().all(|said| said.published.is_some()) {
            self.complete.send_replace(true);
        }
    }

    async fn wait_for_quiet(&mut self) {
        let first_ever = self.applied.as_ref().is_none_or(|applied| applied.services.is_empty());
        if self.pace != Pace::Quiet || first_ever {
            return;
        }
        let latest = tokio::time::Instant::now() + BURST;
        loop {
            let quiet = (tokio::time::Instant::now() + QUIET).min(latest);
            match tokio::time::timeout_at(quiet, self.changes.1.recv()).await {
                Ok(Some(index)) => self.take(index),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self, index: usize) {
        let Some(said) = self.said.get_mut(index) else { return };
        if let Some(published) = said.inbox.as_ref().and_then(|inbox| inbox.lock().take()) {
            self.weight = self.weight.max(published.weight);
            said.published = Some(Arc::new(published));
        }
    }

    /// Merges, compiles and swaps, if there is something new.
    async fn apply(&mut self) {
        while let Ok(index) = self.changes.1.try_recv() {
            self.take(index);
        }
        let said: Vec<_> = self
            .said
            .iter()
            .filter_map(|said| Some((Arc::clone(&said.provider), said.published.clone()?)))
            .collect();
        let mut configuration = merge::merge(&said, &self.defaults);
        if let Some(extension) = &self.context.extension {
            extension.extend(&mut configuration);
        }
        let weight = std::mem::replace(&mut self.weight, Weight::IfDifferent);
        if weight == Weight::IfDifferent && self.applied.as_ref() == Some(&configuration) {
            return;
        }
        let begun = Instant::now();
        let old = self.live.load();
        let (snapshot, prepared) = compile::compile(&configuration, Some(&old), &self.context);
        log_new_problems(&snapshot, &old);
        log_new_uncovered(&snapshot, &old);
        let (routers, problems) = (configuration.routers.len(), snapshot.report.problems.len());
        prepared.publish();
        self.context.tls.acme().want(snapshot.wanted.clone());
        self.live.store(Arc::new(snapshot));
        if let Some(extension) = &self.context.extension {
            extension.published(&configuration);
        }
        let names = configuration.routers.keys().map(Name::shared).collect();
        let services = configuration.services.keys().map(Name::shared).collect();
        self.observer.reloaded(&names, &services);
        self.applied = Some(configuration);
        let took = begun.elapsed();
        tracing::info!("reloaded: {routers} routers, {problems} problems, {took:.1?}");
        retire(old).await;
    }
}

/// Drops a snapshot that is no longer the newest. Workers hold one for the moment in which they look for a route; who of
/// them let go of it last would pay for all of it.
async fn retire(mut old: Arc<Snapshot>) {
    for _ in 0..TRIES {
        old = match Arc::try_unwrap(old) {
            Ok(snapshot) => return snapshot.drop_in_pieces(),
            Err(held) => held,
        };
        tokio::time::sleep(LOOK).await;
    }
}

/// What was put there before and not taken may still make the newest count.
fn put(inbox: &parking_lot::Mutex<Option<Published>>, published: Published) {
    let mut inbox = inbox.lock();
    *inbox = Some(published.after(inbox.as_ref()));
}

/// Each problem is logged once, when it appears.
fn log_new_problems(new: &Snapshot, old: &Snapshot) {
    for problem in &new.report.problems {
        if old.report.problems.contains(problem) {
            continue;
        }
        match problem.severity {
            Severity::Warning => tracing::warn!("{problem}"),
            Severity::Error => tracing::error!("{problem}"),
        }
    }
}

/// Hosts without a certificate are told when they appear, a few by name.
fn log_new_uncovered(new: &Snapshot, old: &Snapshot) {
    const NAMED: usize = 10;
    let known: HashSet<&String> = old.uncovered.iter().collect();
    let fresh: Vec<&String> = new.uncovered.iter().filter(|host| !known.contains(host)).collect();
    for host in fresh.iter().take(NAMED) {
        tracing::warn!("no certificate is for {host}; clients get the default one");
    }
    if fresh.len() > NAMED {
        tracing::warn!("no certificate is for {} more hosts", fresh.len() - NAMED);
    }
}

/// Runs a provider, and again after a pause when it fails; what it last published stays.
async fn keep_running(provider: &mut dyn Provider, publisher: &Publisher, name: &str) {
    let mut pause = PAUSE;
    let mut known = String::new();
    loop {
        let begun = Instant::now();
        let Err(failure) = provider.run(publisher).await;
        publisher.contact(Contact::Lost);
        if begun.elapsed() > LONGEST_PAUSE {
            pause = PAUSE;
            known.clear();
        }
        let jitter = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let failure = failure.to_string();
        if failure == known {
            tracing::debug!(provider = name, "provider failed again: {failure}");
        } else {
            tracing::warn!(provider = name, "provider failed, is started again: {failure}");
        }
        known = failure;
        tokio::time::sleep(jitter).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
