//! The gateway: wires everything from the install configuration, runs until a signal, ends without losing a request.
//!
//! | Module | Concern |
//! |---|---|
//! | `settings`, `context`, `entrances`, `providers`, `internal` | parts, made from the install configuration |
//! | `services` | the table of what runs beside the entry points |
//! | `sockets`, `start`, `quic` | entry points open, workers start |
//! | `upgrade`, `ending` | the next process takes over, or nobody does |

mod context;
mod ending;
mod entrances;
mod internal;
mod observation;
#[cfg(debug_assertions)]
mod panics;
pub(crate) mod preview;
mod providers;
#[cfg(feature = "http3")]
mod quic;
mod services;
mod settings;
mod sockets;
mod start;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use portcullis_providers::State;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::Seen;
use crate::cli::{Activation, Loaded, Predecessor};
use crate::entrypoint::tcp::Entrance;
use crate::install::Install;
use crate::net::drain::Drainer;
use crate::net::live::Live;
use crate::net::stage::{Stage, Stages};
use crate::net::task;
use crate::observe::{self, Observer};
use crate::reload::watch;
use crate::snapshot::extension::Running;
use crate::worker::{self, Worker};
use services::Ground;
use sockets::Sockets;
use start::Opening;
use upgrade::Upgrades;

/// How long a gateway that takes over waits for certificates that are stored elsewhere.
const STORED: Duration = Duration::from_secs(5);

/// Runs the gateway until it is told to stop.
pub fn run(loaded: Loaded) -> anyhow::Result<()> {
    let count = worker::count(loaded.workers.map(usize::from));
    let control = worker::control().context("cannot start the control runtime")?;
    task::set_runtimes(count, control.handle().clone());
    let log = observation::log(&loaded.install)?;
    observe::panics::take();
    let observer = observation::observer(&loaded.install, &log)?;
    control.block_on(serve(loaded, observer, count))
}

/// The gateway while it runs.
struct Gateway {
    install: Install,
    observer: Arc<Observer>,
    drainer: Drainer,
    stages: Stages,
    entrances: Vec<Arc<Entrance>>,
    states: Vec<State>,
    workers: Vec<Worker>,
}

async fn serve(loaded: Loaded, observer: Arc<Observer>, count: usize) -> anyhow::Result<()> {
    let Loaded { install, warnings, source, .. } = loaded;
    tracing::info!("portcullis {} starts with {source}", env!("CARGO_PKG_VERSION"));
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let (drainer, stages) = (Drainer::new(), Stages::new());
    let mut shared = internal::Services::new(&install, &observer);
    let context = Arc::new(context::context(&install, &mut shared)?);
    let live = Arc::new(Live::new(Arc::new(watch::empty(&context))));
    let seen = Seen { live: Arc::clone(&live), context: Arc::clone(&context) };
    if let Some(extension) = &context.extension {
        let (live, observer) = (Arc::clone(&live), Arc::clone(&observer));
        let running = Running { live, observer, drain: drainer.drain() };
        extension.begin(running).map_err(anyhow::Error::msg)?;
    }
    let entrances = entrances::entrances(&install, &context, &live, &observer, &drainer)?;
    let relays = entrances::relays(&install, &context, &live, &observer, &drainer);
    let (drain, staged) = (drainer.drain(), stages.staged());
    services::begin(&Ground { install: &install, context: &context, drain, staged })?;
    let (reload, states) = providers::reload(&install, Arc::clone(&context), live, &observer)?;
    let named = install.providers.served().into_iter().map(|(name, _)| name.to_owned());
    shared.begin(seen, named.zip(states.iter().cloned()).collect());
    let told = Activation::of_process();
    let mut sockets = Sockets::inherited(&told);
    let opening = Opening { install: &install, count, sockets: &mut sockets };
    let workers = if let Some(predecessor) = Predecessor::of_process() {
        // Nothing is accepted before there are routes: the predecessor still has them. It limits the wait.
        let mut complete = reload.complete();
        task::spawn(reload.run());
        complete.wait_for(|complete| *complete).await.context("providers have ended")?;
        drop(tokio::time::timeout(STORED, context.tls.acme().until_read()).await);
        let workers = opening.start(&entrances, &relays)?;
        // systemd is told by the predecessor, whose word it believes.
        predecessor.ready();
        workers
    } else {
        let workers = opening.start(&entrances, &relays)?;
        task::spawn(reload.run());
        sockets::notify(told.notify.as_deref(), "READY=1");
        workers
    };
    stages.enter(Stage::Serves);
    let mut upgrades = Upgrades::new(&told, sockets)?;
    let gateway = Gateway { install, observer, drainer, stages, entrances, states, workers };
    let end = gateway.until_told(&mut upgrades).await?;
    match end {
        End::Told => upgrades.close(),
        End::HandedOver => drop(upgrades),
    }
    // Boxed: it holds the whole install configuration.
    Box::pin(gateway.end(end)).await;
    Ok(())
}

/// Why the gateway ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Somebody wants it.
    Told,
    /// Another process serves in its place.
    HandedOver,
}

impl Gateway {
    /// Serves signals until one of them asks for the end, or another process has taken over.
    async fn until_told(&self, upgrades: &mut Upgrades) -> anyhow::Result<End> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let mut reopen = signal(SignalKind::user_defined1()).context("cannot wait for SIGUSR1")?;
        let mut reread = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        let handed_over = upgrades.until_handed_over();
        tokio::pin!(handed_over);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(End::Told),
                _ = interrupt.recv() => return Ok(End::Told),
                () = &mut handed_over => return Ok(End::HandedOver),
                _ = reopen.recv() => self.observer.reopen(),
                _ = reread.recv() => self.states.iter().for_each(State::ask_again),
            }
        }
    }
}
