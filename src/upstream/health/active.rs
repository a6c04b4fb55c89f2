//! Active health: probes that ask servers how they are.
//!
//! The probes of a service run on the control runtime from one compile to the next: with equal settings they go on, and
//! only the list of servers changes. They end with the last snapshot that has the service.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use portcullis_config::Name;
use portcullis_config::units::Duration as Setting;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::probe::Probe;
use crate::net::task;
use crate::upstream::standing::Standing;

/// The probes of one service. They end when it is dropped.
#[derive(Debug)]
pub struct Active<Q: Question = Probe> {
    settings: Q::Settings,
    targets: Arc<Mutex<Vec<Arc<Target<Q>>>>>,
    task: Option<AbortHandle>,
}

/// A server and how it is asked.
#[derive(Debug)]
pub struct Target<Q = Probe> {
    /// The URL or address as the user wrote it.
    pub url: Arc<str>,
    /// The question.
    pub probe: Q,
    /// Where the answer is noted.
    pub standing: Arc<Standing>,
}

/// How a server is asked for its health.
pub trait Question: Send + Sync + 'static {
    /// What the user wrote.
    type Settings: Clone + PartialEq + Send + Sync + 'static;

    /// The pace that `settings` ask for.
    fn pace(settings: &Self::Settings) -> Pace;

    /// Asks once; the error says what is wrong. The caller limits the time.
    fn ask(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// When servers are asked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two questions to a healthy server.
    pub interval: Setting,
    /// Between two questions to an unhealthy one; `None` = the same.
    pub unhealthy_interval: Option<Setting>,
    /// For an answer.
    pub timeout: Setting,
}

/// Servers of one service that are asked at the same time.
const AT_ONCE: usize = 16;

/// Traefik's defaults, which also stand in for settings that are not above 0.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which servers a round of probes is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Healthy,
    Unhealthy,
}

impl<Q: Question> Active<Q> {
    /// Has `targets` probed; the first time after one interval, as Traefik does. With equal settings the probes of
    /// `previous` go on; with others what they found stands until it is checked anew, at once.
    pub fn begin(
        service: &Name,
        settings: &Q::Settings,
        targets: Vec<Arc<Target<Q>>>,
        previous: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(previous) = previous
            && previous.settings == *settings
            && previous.task.is_some()
        {
            *previous.targets.lock() = targets;
            return Arc::clone(previous);
        }
        let pace = Q::pace(settings);
        let interval = positive(pace.interval, "interval", INTERVAL, service);
        let unhealthy = pace
            .unhealthy_interval
            .map_or(interval, |setting| positive(setting, "unhealthyInterval", interval, service));
        let timeout = positive(pace.timeout, "timeout", TIMEOUT, service);
        let targets = Arc::new(Mutex::new(targets));
        let probed = Probed { service: service.shared(), targets: Arc::clone(&targets), timeout };
        let now = Instant::now();
        let begin = if previous.is_some() { [now; 2] } else { [now + interval, now + unhealthy] };
        let rounds = async move {
            tokio::join!(
                probed.rounds(Round::Healthy, begin[0], interval),
                probed.rounds(Round::Unhealthy, begin[1], unhealthy),
            );
        };
        // Without a runtime a configuration is only checked, not served.
        let task = Handle::try_current().ok().map(|_| task::spawn_control(rounds).abort_handle());
        Arc::new(Self { settings: settings.clone(), targets, task })
    }
}

impl<Q: Question> Drop for Active<Q> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn positive(setting: Setting, field: &str, default: Duration, service: &Name) -> Duration {
    setting.positive().unwrap_or_else(|| {
        tracing::error!(%service, "healthCheck.{field} is not above 0; {default:?} is used");
        default
    })
}

/// What the rounds of a service share.
struct Probed<Q> {
    service: Arc<str>,
    targets: Arc<Mutex<Vec<Arc<Target<Q>>>>>,
    timeout: Duration,
}

impl<Q: Question> Probed<Q> {
    async fn rounds(&self, round: Round, begin: Instant, every: Duration) {
        let mut ticks = tokio::time::interval_at(begin, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let due: Vec<_> =
                self.targets.lock().iter().filter(|it| round.has(it)).cloned().collect();
            let probes = stream::iter(due);
            probes.for_each_concurrent(AT_ONCE, |target| self.probe(target)).await;
        }
    }

    async fn probe(&self, target: Arc<Target<Q>>) {
        let answer = tokio::time::timeout(self.timeout, target.probe.ask()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        let changed = target.standing.set_up(answer.is_ok());
        let (service, server) = (&self.service, &target.url);
        match answer {
            Ok(()) if changed => tracing::info!(%service, %server, "server is healthy again"),
            Err(cause) if changed => {
                tracing::warn!(%service, %server, %cause, "server is unhealthy and left out");
            }
            Ok(()) => {}
            Err(cause) => tracing::debug!(%service, %server, %cause, "server is still unhealthy"),
        }
    }
}

impl Round {
    fn has<Q>(self, target: &Target<Q>) -> bool {
        target.standing.is_checked_up() == (self == Self::Healthy)
    }
}

#[cfg(test)]
mod tests;
