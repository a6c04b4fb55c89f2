//! Names of servers and their addresses, resolved off the workers.
//!
//! A name is looked up when a request first needs it and again whenever its answer's time to live ends, on the control
//! runtime. Requests take the newest answer there is, so after the first one none waits for DNS, and an answer outlives
//! the failures of the lookups after it.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverOpts};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::net::task;

/// An answer is used at least this long, whatever its time to live …
const SHORTEST: Duration = Duration::from_secs(1);

/// … and at most this long.
const LONGEST: Duration = Duration::from_mins(5);

/// How long the last good answer is used while lookups fail.
const KEPT: Duration = Duration::from_hours(1);

/// Pause after a failed lookup; doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a name server may take for one try.
const TRY: Duration = Duration::from_secs(2);

/// Lookups of the process at the same time.
const AT_ONCE: usize = 32;

static RUNNING: Semaphore = Semaphore::const_new(AT_ONCE);

/// A host name or literal address with its addresses.
#[derive(Debug)]
pub struct Host {
    name: Box<str>,
    literal: Option<Arc<[IpAddr]>>,
    names: Arc<Names>,
    known: watch::Sender<Known>,
    lookups: Mutex<Lookups>,
}

/// Whether a task looks the name up time and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookups {
    NotBegun,
    Running,
}

/// What the lookups found.
#[derive(Clone, Debug, Default)]
struct Known {
    answer: Option<(Arc<[IpAddr]>, Instant)>,
    /// Why the last lookup failed, if it did.
    failure: Option<Arc<str>>,
}

/// Where names are looked up.
#[derive(Debug)]
pub struct Names(Option<Box<TokioResolver>>);

impl Host {
    /// A host; nothing is looked up yet.
    pub fn new(name: &str) -> Arc<Self> {
        static SYSTEM: LazyLock<Arc<Names>> = LazyLock::new(|| Arc::new(Names::system()));
        let literal = name.parse::<IpAddr>().ok();
        // A literal address must not even read the system's settings.
        let names = if literal.is_some() { Arc::new(Names(None)) } else { Arc::clone(&SYSTEM) };
        Self::by(name, names)
    }

    /// A host that is looked up in `names`.
    pub fn by(name: &str, names: Arc<Names>) -> Arc<Self> {
        let literal = name.parse::<IpAddr>().ok().map(|address| Arc::from([address]));
        let (known, lookups) = (watch::Sender::default(), Mutex::new(Lookups::NotBegun));
        Arc::new(Self { name: name.into(), literal, names, known, lookups })
    }

    /// Its addresses in the order to try. Waits only where none was ever found; the caller limits the time.
    pub async fn addresses(self: &Arc<Self>) -> io::Result<Arc<[IpAddr]>> {
        if let Some(literal) = &self.literal {
            return Ok(Arc::clone(literal));
        }
        self.begin();
        let mut known = self.known.subscribe();
        let settled = |known: &Known| known.usable().is_some() || known.failure.is_some();
        let known = known.wait_for(settled).await.map_err(io::Error::other)?;
        match (known.usable(), &known.failure) {
            (Some(addresses), _) => Ok(addresses),
            (None, failure) => {
                let cause = failure.as_deref().unwrap_or("the name was not looked up");
                Err(io::Error::new(io::ErrorKind::NotFound, format!("{}: {cause}", self.name)))
            }
        }
    }

    /// Has the name looked up for as long as the host lives.
    fn begin(self: &Arc<Self>) {
        let mut lookups = self.lookups.lock();
        if *lookups == Lookups::NotBegun {
            *lookups = Lookups::Running;
            task::spawn_control(look_up(Arc::downgrade(self)));
        }
    }

    /// Notes what a lookup found; returns the pause before the next one.
    fn note(&self, found: Result<(Arc<[IpAddr]>, Duration), String>, failed: u32) -> Duration {
        match found {
            Ok((addresses, lifetime)) => {
                let answer = Some((addresses, Instant::now()));
                self.known.send_replace(Known { answer, failure: None });
                lifetime.clamp(SHORTEST, LONGEST)
            }
            Err(cause) => {
                tracing::debug!(host = %self.name, %cause, "name was not resolved");
                self.known.send_modify(|known| known.failure = Some(cause.into()));
                PAUSE.saturating_mul(1 << failed.min(8)).min(LONGEST_PAUSE)
            }
        }
    }
}

impl Known {
    /// The newest answer unless it is too old.
    fn usable(&self) -> Option<Arc<[IpAddr]>> {
        let (addresses, at) = self.answer.as_ref()?;
        (at.elapsed() < KEPT).then(|| Arc::clone(addresses))
    }
}

/// Looks a host up as often as its time to live asks for, until the host is gone.
async fn look_up(host: Weak<Host>) {
    let mut failed = 0;
    loop {
        let Some(now) = host.upgrade() else { return };
        let found = {
            let _turn = RUNNING.acquire().await;
            now.names.look_up(&now.name).await
        };
        let ok = found.is_ok();
        let pause = now.note(found, failed);
        failed = if ok { 0 } else { failed + 1 };
        // The host may go while nothing is to do.
        drop(now);
        tokio::time::sleep(pause).await;
    }
}

impl Names {
    /// The system's: `/etc/hosts` and the name servers of `/etc/resolv.conf`.
    pub fn system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            settle(builder.options_mut());
            builder.build()
        });
        match resolver {
            Ok(resolver) => Self(Some(Box::new(resolver))),
            Err(error) => {
                tracing::warn!(%error, "the settings for DNS cannot be read; the system looks names up");
                Self(None)
            }
        }
    }

    /// The addresses of `name` and for how long they hold.
    async fn look_up(&self, name: &str) -> Result<(Arc<[IpAddr]>, Duration), String> {
        let (addresses, lifetime): (Arc<[IpAddr]>, Duration) = match &self.0 {
            Some(resolver) => {
                let found = resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
                let lifetime = found.valid_until().saturating_duration_since(Instant::now());
                (found.iter().collect(), lifetime)
            }
            None => {
                let found = tokio::net::lookup_host((name, 0)).await;
                let found = found.map_err(|error| error.to_string())?;
                (found.map(|address| address.ip()).collect(), WITHOUT_LIFETIME)
            }
        };
        if addresses.is_empty() {
            return Err("the name has no address".to_owned());
        }
        Ok((addresses, lifetime))
    }
}

/// How long answers hold that come without a time to live.
const WITHOUT_LIFETIME: Duration = Duration::from_secs(30);

/// What must hold whatever the system's settings are.
fn settle(options: &mut ResolverOpts) {
    // Answers are remembered here, failures are not.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.positive_max_ttl = Some(LONGEST);
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = options.timeout.min(TRY);
}

#[cfg(test)]
mod tests;
