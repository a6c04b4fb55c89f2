//! Following the engine: one full reading, then only the containers that its events name.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::time::{Duration, SystemTime};

use bollard::Docker as Engine;
use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EventMessage, EventMessageTypeEnum,
};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
};
use futures_util::stream::{self, StreamExt};
use futures_util::{FutureExt, Stream};

use super::Watch;
use super::container::Container;
use super::translate::{Change, Fleet};
use crate::{Contact, Failure, Publisher, Weight};

/// What may change where a container is served. Probes of health checks (`exec_*`) are left out: they are many.
const EVENTS: [&str; 11] = [
    "start",
    "die",
    "health_status",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "connect",
    "disconnect",
    "stop",
];

/// Inspections that run at once.
const PARALLEL: usize = 8;

/// How often the engine must show that it lives. A machine that vanished would otherwise leave the stream silent
/// for ever.
const PULSE: Duration = Duration::from_secs(10);

/// Events this old are read again when the stream begins, so that none falls between stream and list.
const OVERLAP: Duration = Duration::from_secs(2);

/// Names by which a container may know its host.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// Connects, reads everything and follows changes until the engine fails.
pub(super) async fn run(watch: &mut Watch, out: &Publisher) -> Result<Infallible, Failure> {
    let watch = &*watch;
    let engine = watch.client.connect().await?;
    let explain = |error| watch.client.explain(error);
    let weight = Weight::IfDifferent;
    let mut round = Round { watch, engine: &engine, out, fleet: Fleet::default(), weight };
    loop {
        round.fleet = Fleet::default();
        if watch.follow {
            round.follow().await.map_err(explain)?;
        } else {
            round.fill().await.map_err(explain)?;
            out.asked_again().await;
        }
        round.weight = Weight::Always;
    }
}

/// One full reading and what follows it.
struct Round<'a> {
    watch: &'a Watch,
    engine: &'a Engine,
    out: &'a Publisher,
    fleet: Fleet,
    /// Of the next publication.
    weight: Weight,
}

/// Why a batch of events ended.
enum Batch {
    /// These containers changed.
    Changed(BTreeSet<String>),
    /// Somebody wants everything read again.
    AskedAgain,
}

impl Round<'_> {
    /// Returns when everything is to be read again.
    async fn follow(&mut self) -> Result<(), Error> {
        let mut events = pin!(events(self.engine).peekable());
        // The stream connects when it is polled first, so it is polled while the list is read.
        let containers = {
            let mut list = pin!(list(self.engine));
            tokio::select! {
                containers = &mut list => containers?,
                _ = events.as_mut().peek() => list.await?,
            }
        };
        for container in containers {
            self.fleet.put(container);
        }
        self.publish().await;
        loop {
            match next_batch(self.engine, events.as_mut(), self.out).await? {
                Batch::AskedAgain => return Ok(()),
                Batch::Changed(ids) => self.refresh(ids).await?,
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        for container in list(self.engine).await? {
            self.fleet.put(container);
        }
        self.publish().await;
        Ok(())
    }

    async fn refresh(&mut self, ids: BTreeSet<String>) -> Result<(), Error> {
        let mut change = Change::None;
        let engine = self.engine;
        let inspections = stream::iter(ids).map(|id| async move {
            let found = inspect(engine, &id).await;
            found.map(|container| (id, container))
        });
        let mut inspections = inspections.buffer_unordered(PARALLEL);
        while let Some(inspected) = inspections.next().await {
            let (id, container) = inspected?;
            let this = match container {
                Some(container) => self.fleet.put(container),
                None => self.fleet.remove(&id),
            };
            if this == Change::Some {
                change = Change::Some;
            }
        }
        if change == Change::Some {
            self.publish().await;
        }
        Ok(())
    }

    async fn publish(&mut self) {
        if self.fleet.needs_host() {
            self.fleet.set_host(host_address().await);
        }
        let (routing, problems) = self.watch.translator.translate(&mut self.fleet);
        match std::mem::replace(&mut self.weight, Weight::IfDifferent) {
            Weight::IfDifferent => self.out.publish(routing, problems),
            Weight::Always => self.out.publish_again(routing, problems),
        }
        self.out.contact(Contact::Up);
    }
}

fn events(engine: &Engine) -> impl Stream<Item = Result<EventMessage, Error>> + use<> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = since.saturating_sub(OVERLAP).as_secs().to_string();
    let filters =
        HashMap::from([("type", vec!["container", "network"]), ("event", EVENTS.to_vec())]);
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    engine.events(Some(options))
}

/// The containers of all events that are there, once there is one.
async fn next_batch<S>(
    engine: &Engine,
    mut events: Pin<&mut S>,
    out: &Publisher,
) -> Result<Batch, Error>
where
    S: Stream<Item = Result<EventMessage, Error>>,
{
    loop {
        let first = tokio::select! {
            event = events.next() => event,
            () = out.asked_again() => return Ok(Batch::AskedAgain),
            () = tokio::time::sleep(PULSE) => {
                engine.ping().await?;
                continue;
            }
        };
        let mut ids = BTreeSet::new();
        let mut next = Some(first);
        while let Some(event) = next {
            let ended =
                || std::io::Error::other("the stream of events ended; did the engine stop?");
            ids.extend(whom(event.ok_or_else(ended)??));
            next = events.next().now_or_never();
        }
        if !ids.is_empty() {
            return Ok(Batch::Changed(ids));
        }
    }
}

/// The container that an event is about.
fn whom(event: EventMessage) -> Option<String> {
    let actor = event.actor?;
    match event.typ? {
        EventMessageTypeEnum::NETWORK => actor.attributes?.remove("container"),
        _ => actor.id,
    }
}

/// All containers that may count.
async fn list(engine: &Engine) -> Result<Vec<Container>, Error> {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let summaries = engine.list_containers(Some(options)).await?;
    let wanted = summaries.into_iter().filter(may_count).filter_map(|summary| summary.id);
    let inspections = stream::iter(wanted).map(|id| async move { inspect(engine, &id).await });
    let mut inspections = inspections.buffer_unordered(PARALLEL);
    let mut containers = Vec::new();
    while let Some(container) = inspections.next().await {
        containers.extend(container?);
    }
    Ok(containers)
}

/// A machine may hold thousands of stopped containers; only those that ask for it are worth a look.
fn may_count(summary: &ContainerSummary) -> bool {
    let asks = || {
        let mut labels = summary.labels.iter().flatten();
        labels.any(|(label, _)| label.to_ascii_lowercase().ends_with(".docker.allownonrunning"))
    };
    summary.state == Some(ContainerSummaryStateEnum::RUNNING) || asks()
}

/// `None` if the container is gone.
async fn inspect(engine: &Engine, id: &str) -> Result<Option<Container>, Error> {
    match engine.inspect_container(id, None::<InspectContainerOptions>).await {
        Ok(inspected) => Ok(Container::of(inspected)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where containers answer that share the network of the host: as seen from a container, or from the host itself.
async fn host_address() -> IpAddr {
    for name in HOST_NAMES {
        let lookup = tokio::net::lookup_host((name, 0));
        let found = tokio::time::timeout(Duration::from_secs(1), lookup).await;
        if let Ok(Ok(mut addresses)) = found
            && let Some(address) = addresses.next()
        {
            return address.ip();
        }
    }
    Ipv4Addr::LOCALHOST.into()
}
