//! The gateway: wires everything from the install configuration, runs until a signal, ends without losing a request.

mod internal;
mod observation;
#[cfg(debug_assertions)]
mod panics;
pub(crate) mod preview;
#[cfg(feature = "http3")]
mod quic;
mod settings;
mod sockets;
mod upgrade;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use portcullis_config::Problem;
use portcullis_config::problem::Severity;
use portcullis_providers::State;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::Seen;
use crate::cli::{Activation, Loaded, Predecessor};
use crate::entrypoint::http::Http;
use crate::entrypoint::tcp::Entrance;
use crate::install::{EntryPoint, Install, Protocol};
use crate::net::drain::Drainer;
use crate::net::live::Live;
use crate::net::memory;
use crate::net::task;
use crate::observe::series::{EntryPointSeries, Switch};
use crate::observe::{self, Observer};
use crate::reload::watch::{self, Pace, Reload};
use crate::snapshot::Snapshot;
use crate::snapshot::compile::Context;
use crate::snapshot::extension::{Extension, Running};
use crate::tls::acme::Acme;
use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::spiffe::{Holder, workload_api};
use crate::udp::relay::Relay;
use crate::upstream::pool;
use crate::worker::{self, Duty, Worker};
use sockets::Sockets;
use upgrade::Upgrades;

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
    let drainer = Drainer::new();
    let mut shared = internal::Services::new(&install, &observer);
    let context = Arc::new(context(&install, &mut shared)?);
    let live = Arc::new(Live::new(Arc::new(watch::empty(&context))));
    let seen = Seen { live: Arc::clone(&live), context: Arc::clone(&context) };
    if let Some(extension) = &context.extension {
        let (live, observer) = (Arc::clone(&live), Arc::clone(&observer));
        let running = Running { live, observer, drain: drainer.drain() };
        extension.begin(running).map_err(anyhow::Error::msg)?;
    }
    let entrances = entrances(&install, &context, &live, &observer, &drainer)?;
    context.tls.acme().start();
    if let (Some(spiffe), Some(holder)) = (&install.spiffe, &context.spiffe) {
        drop(workload_api::start(
            spiffe.address().map_err(anyhow::Error::msg)?,
            Arc::clone(holder),
        ));
    }
    let relays = relays(&install, &context, &live, &observer, &drainer);
    let (reload, states) = reload(&install, context, live, &observer)?;
    let named = install.providers.served().into_iter().map(|(name, _)| name.to_owned());
    shared.begin(seen, named.zip(states.iter().cloned()).collect());
    let told = Activation::of_process();
    let mut sockets = Sockets::inherited(&told);
    let predecessor = Predecessor::of_process();
    let workers = if let Some(predecessor) = &predecessor {
        // Nothing is accepted before there are routes: the predecessor still has them. It limits the wait.
        let mut complete = reload.complete();
        task::spawn(reload.run());
        complete.wait_for(|complete| *complete).await.context("providers have ended")?;
        let workers = start(&install, &entrances, &relays, count, &mut sockets)?;
        // systemd is told by the predecessor, whose word it believes.
        predecessor.ready();
        workers
    } else {
        let workers = start(&install, &entrances, &relays, count, &mut sockets)?;
        task::spawn(reload.run());
        sockets::notify(told.notify.as_deref(), "READY=1");
        workers
    };
    task::spawn(pool::sweep_forever());
    memory::watch()?;
    let mut upgrades = Upgrades::new(&told, sockets)?;
    let gateway = Gateway { install, observer, drainer, entrances, states, workers };
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

fn context(install: &Install, shared: &mut internal::Services) -> anyhow::Result<Context> {
    let entry_points = install
        .entry_points
        .iter()
        .filter(|(_, entry_point)| entry_point.address.protocol() == Protocol::Tcp)
        .map(|(name, entry_point)| {
            let mut series = EntryPointSeries::new(name);
            if let Some(settings) = &entry_point.observability {
                series.access_log = Switch::of(Some(settings.access_logs));
                series.metrics = Switch::of(Some(settings.metrics));
            }
            (settings::defaults(name, entry_point, install), Arc::new(series))
        })
        .collect();
    Ok(Context {
        entry_points,
        internal: std::mem::take(&mut shared.by_name),
        udp_entry_points: udp_entry_points(install),
        default_transport: settings::default_transport(&install.servers_transport),
        default_tcp_transport: settings::default_tcp_transport(&install.tcp_servers_transport),
        tls: Configurations::with_resolvers(&install.certificates_resolvers)
            .map_err(anyhow::Error::msg)?,
        spiffe: install.spiffe.as_ref().filter(|it| it.is_on()).map(|_| Holder::new()),
        conflicts: if install.core.strict_tls_options {
            Conflicts::Refuse
        } else {
            Conflicts::FallBack
        },
        extension: extension(install)?,
    })
}

/// Makes an extension, if the install configuration asks for it.
type Extend = fn(&Install) -> Result<Option<Arc<dyn Extension>>, String>;

/// All that stands beside routing.
const EXTENSIONS: &[Extend] = &[
    #[cfg(feature = "mesh")]
    crate::mesh::extension,
];

fn extension(install: &Install) -> anyhow::Result<Option<Arc<dyn Extension>>> {
    for extend in EXTENSIONS {
        if let Some(extension) = extend(install).map_err(anyhow::Error::msg)? {
            return Ok(Some(extension));
        }
    }
    Ok(None)
}

/// The names of the UDP entry points.
fn udp_entry_points(install: &Install) -> Vec<Arc<str>> {
    let entry_points = install.entry_points.iter();
    let udp = entry_points.filter(|(_, it)| it.address.protocol() == Protocol::Udp);
    udp.map(|(name, _)| Arc::from(name.as_str())).collect()
}

fn entrances(
    install: &Install,
    context: &Context,
    live: &Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
    drainer: &Drainer,
) -> anyhow::Result<Vec<Arc<Entrance>>> {
    let mut entrances = Vec::new();
    for (index, (defaults, _)) in context.entry_points.iter().enumerate() {
        let Some(entry_point) = install.entry_points.get(&*defaults.name) else { continue };
        let about = || format!("entry point `{}`", defaults.name);
        let settings = settings::http(entry_point, install).map_err(anyhow::Error::msg);
        let settings = settings.with_context(about)?;
        let trust = settings::proxy_protocol(entry_point).map_err(anyhow::Error::msg);
        let proves = Acme::proves_on(&install.certificates_resolvers, &defaults.name);
        let resolves = !install.certificates_resolvers.is_empty();
        entrances.push(Arc::new(Entrance {
            name: Arc::clone(&defaults.name),
            handler: Arc::new(Http {
                index,
                live: Arc::clone(live),
                observer: Arc::clone(observer),
                denied: settings.denied_characters,
                challenges: proves.then(|| Arc::clone(context.tls.acme().challenges())),
                alternative: OnceLock::new(),
            }),
            settings: Arc::new(settings),
            proxy_protocol: trust.with_context(about)?,
            drain: drainer.drain(),
            observer: Arc::clone(observer),
            challenges: resolves.then(|| Arc::clone(context.tls.acme().challenges())),
            taker: context.extension.as_ref().filter(|it| it.takes(&defaults.name)).cloned(),
        }));
    }
    Ok(entrances)
}

fn relays(
    install: &Install,
    context: &Context,
    live: &Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
    drainer: &Drainer,
) -> Vec<Arc<Relay>> {
    let relay = |(index, name): (usize, &Arc<str>)| {
        let entry_point = install.entry_points.get(&**name)?;
        let live = Arc::clone(live);
        Some(Arc::new(Relay {
            name: Arc::clone(name),
            timeout: entry_point.udp.timeout.positive()?,
            drain: drainer.drain(),
            observer: Arc::clone(observer),
            route: Box::new(move || live.with(|snapshot| snapshot.udp.get(index)?.clone())),
        }))
    };
    context.udp_entry_points.iter().enumerate().filter_map(relay).collect()
}

fn reload(
    install: &Install,
    context: Arc<Context>,
    live: Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
) -> anyhow::Result<(Reload, Vec<State>)> {
    let pace = match install.providers.providers_throttle_duration.and_then(|d| d.positive()) {
        Some(pause) => Pace::Throttle(pause),
        None => Pace::Quiet,
    };
    let mut reload = Reload::new(context, live, Arc::clone(observer), pace);
    reload.add_internal(internal::routing(install));
    let mut states = Vec::new();
    for (name, options) in install.providers.served() {
        let kind = portcullis_providers::Kind::find(name)
            .with_context(|| format!("provider `{name}` is not part of this build"))?;
        let provider =
            (kind.build)(options).map_err(|problems| anyhow::anyhow!(lines(&problems)))?;
        states.push(reload.add(provider));
    }
    Ok((reload, states))
}

fn lines(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Begins something on a worker.
type Start = Box<dyn FnOnce() + Send>;

/// Opens what an entry point serves beside TCP: gives what each worker has to begin, the first for the first worker. Takes
/// the address of the TCP sockets and the number of workers.
type Beside = fn(&Arc<Entrance>, &EntryPoint, SocketAddr, usize) -> anyhow::Result<Vec<Start>>;

/// All that entry points serve beside TCP.
const BESIDE: &[Beside] = &[
    #[cfg(feature = "http3")]
    quic::OPEN,
];

/// Opens the sockets and starts the workers on them.
fn start(
    install: &Install,
    entrances: &[Arc<Entrance>],
    relays: &[Arc<Relay>],
    count: usize,
    sockets: &mut Sockets,
) -> anyhow::Result<Vec<Worker>> {
    let mut duties: Vec<Vec<Start>> = (0..count).map(|_| Vec::new()).collect();
    for entrance in entrances {
        let Some(entry_point) = install.entry_points.get(&*entrance.name) else { continue };
        let listeners = sockets.open(&entrance.name, entry_point, count).with_context(|| {
            format!("entry point `{}`: cannot listen on {}", entrance.name, entry_point.address)
        })?;
        if let Some(address) = listeners.first().and_then(|it| it.local_addr().ok()) {
            tracing::info!(entry_point = %entrance.name, "listening on {address}");
            for open in BESIDE {
                let starts = open(entrance, entry_point, address, count)
                    .with_context(|| format!("entry point `{}`", entrance.name))?;
                duties.iter_mut().zip(starts).for_each(|(duty, start)| duty.push(start));
            }
        }
        for (index, listener) in listeners.into_iter().enumerate() {
            duties[index % count].push(accept(Arc::clone(entrance), listener));
        }
    }
    for relay in relays {
        let Some(entry_point) = install.entry_points.get(&*relay.name) else { continue };
        let sockets = sockets::open_udp(entry_point, count).with_context(|| {
            format!("entry point `{}`: cannot listen on {}", relay.name, entry_point.address)
        })?;
        if let Some(address) = sockets.first().and_then(|it| it.local_addr().ok()) {
            tracing::info!(entry_point = %relay.name, "listening on {address}, UDP");
        }
        for (duty, socket) in duties.iter_mut().zip(sockets) {
            duty.push(receive(Arc::clone(relay), socket));
        }
    }
    let start = |(index, starts): (usize, Vec<_>)| Worker::start(index, duty(starts));
    let workers: std::io::Result<Vec<Worker>> = duties.into_iter().enumerate().map(start).collect();
    workers.context("cannot start a worker")
}

fn duty(starts: Vec<Start>) -> Duty {
    Box::new(move || {
        Box::pin(async move {
            for start in starts {
                start();
            }
        })
    })
}

/// Accepts connections of an entry point on a worker.
fn accept(entrance: Arc<Entrance>, listener: std::net::TcpListener) -> Start {
    Box::new(move || match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => drop(task::spawn(entrance.accept(listener))),
        Err(error) => tracing::error!(%error, "cannot use a listening socket"),
    })
}

fn receive(relay: Arc<Relay>, socket: std::net::UdpSocket) -> Start {
    Box::new(move || {
        task::spawn(async move {
            if let Err(error) = relay.run(socket).await {
                tracing::error!(%error, "cannot use a UDP socket");
            }
        });
    })
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

    /// Ends in order: health checks fail first, then nothing new is accepted, then what runs may finish. Where another
    /// process has taken over, health checks go on to succeed: whoever asks this address is served.
    async fn end(self, end: End) {
        let wait = self.longest(|cycle| cycle.request_accept_grace_timeout);
        let grace = self.longest(|cycle| cycle.grace_time_out);
        tracing::info!("stopping; requests that run get up to {grace:?}");
        if end == End::Told {
            self.observer.stopping();
            tokio::time::sleep(wait).await;
        }
        self.drainer.begin();
        let mut impatient = signal(SignalKind::interrupt()).ok();
        let again = async {
            match &mut impatient {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.drainer.ended() => {}
            () = tokio::time::sleep(grace) => {
                tracing::warn!("{} connections were still open", self.drainer.held());
            }
            _ = again => tracing::warn!("stopped at once by a second signal"),
        }
        drop(self.entrances);
        self.observer.flush();
        self.workers.into_iter().for_each(Worker::stop);
    }

    fn longest(
        &self,
        choose: impl Fn(&crate::install::LifeCycle) -> portcullis_config::units::Duration,
    ) -> Duration {
        let cycles = self.install.entry_points.values().map(|e| choose(&e.transport.life_cycle));
        cycles.filter_map(|duration| duration.positive()).max().unwrap_or_default()
    }
}
