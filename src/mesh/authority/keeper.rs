//! `Keeper`: keeps the identities that this process wants valid, whatever happens to the authority.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::ca::SKEW;
use super::cache::{self, Cache};
use super::client::AbortOnDrop;
use super::csr::NewKey;
use super::message::Issued;
use crate::net::task;
use crate::tls::spiffe::{Holder, Id, Svid};

/// The pause after a failed renewal: it doubles from the first to the last, each time up to a fifth longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(150));

/// Who signs.
pub(super) trait Issue: Send + Sync + 'static {
    /// Issues `id` for the key in `request` (a certificate request in DER). The error is for the log.
    fn issue<'a>(&'a self, id: &'a Id, request: &'a [u8]) -> BoxFuture<'a, Result<Issued, String>>;
}

/// Keeps the identities that this process wants valid: renews each at half its life, give or take a tenth. One that is valid is
/// never dropped because it cannot be renewed; one that has expired is never shown.
pub struct Keeper {
    holder: Arc<Holder>,
    cache: Arc<Cache>,
    issue: Arc<dyn Issue>,
    kept: Mutex<HashMap<Id, AbortOnDrop<()>>>,
    /// Tells those who pause that the authority is back.
    back: Arc<Notify>,
}

impl Keeper {
    pub(super) fn new(
        holder: &Arc<Holder>,
        cache: &Arc<Cache>,
        issue: Arc<dyn Issue>,
        back: &Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new(Self {
            holder: Arc::clone(holder),
            cache: Arc::clone(cache),
            issue,
            kept: Mutex::default(),
            back: Arc::clone(back),
        })
    }

    /// Whose identities they are put into.
    pub fn holder(&self) -> &Arc<Holder> {
        &self.holder
    }

    /// Keeps `id` from now on; nothing happens if it is kept already.
    pub fn want(&self, id: &Id) {
        self.kept.lock().entry(id.clone()).or_insert_with(|| {
            let one = One {
                id: id.clone(),
                holder: Arc::clone(&self.holder),
                cache: Arc::clone(&self.cache),
                issue: Arc::clone(&self.issue),
                back: Arc::clone(&self.back),
            };
            AbortOnDrop(task::spawn_control(one.keep()))
        });
    }

    /// Gives `id` up: it is not shown any more and not kept for a restart.
    pub fn release(&self, id: &Id) {
        if self.kept.lock().remove(id).is_some() {
            self.holder.remove(id);
            self.cache.remove(id);
        }
    }

    /// Waits until there is a valid `id`, at most for `limit`.
    pub async fn ready(&self, id: &Id, limit: Duration) -> Option<Arc<Svid>> {
        let mut changes = self.holder.changes();
        let waiting = async {
            loop {
                if let Some(svid) = self.holder.svid(id) {
                    return Some(svid);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, waiting).await.ok().flatten()
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.lock();
        f.debug_struct("Keeper")
            .field("kept", &kept.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// One identity that is kept.
struct One {
    id: Id,
    holder: Arc<Holder>,
    cache: Arc<Cache>,
    issue: Arc<dyn Issue>,
    back: Arc<Notify>,
}

impl One {
    async fn keep(self) {
        let mut pause = PAUSES.0;
        let mut warned = u32::MAX;
        loop {
            if let Some(svid) = self.holder.svid(&self.id) {
                let at = renewal(&svid, fastrand::f64());
                sleep_until(at).await;
            }
            match self.renew().await {
                Ok(()) => (pause, warned) = (PAUSES.0, u32::MAX),
                Err(error) => {
                    warned = self.warn(&error, warned);
                    let wait = pause + pause.mul_f32(fastrand::f32() / 5.0);
                    let _ = timeout(wait, self.back.notified()).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn renew(&self) -> Result<(), String> {
        let key = NewKey::new()?;
        let issued = self.issue.issue(&self.id, &key.request).await?;
        let svid = cache::svid(issued.chain.clone(), &key.pem())?;
        if svid.id != self.id {
            return Err(format!("the authority issued `{}`", svid.id));
        }
        let until = jiff::Timestamp::try_from(svid.not_after).unwrap_or_default();
        tracing::info!(id = %self.id, %until, "an identity was issued");
        self.holder.put(svid);
        self.cache.put(&self.id, &issued.chain, &key.pem());
        Ok(())
    }

    /// Says that a renewal failed; louder the less is left. Gives what was said last, in percent.
    fn warn(&self, error: &str, warned: u32) -> u32 {
        let (id, now) = (&self.id, SystemTime::now());
        let left = self.holder.svid(id).map_or(0, |svid| {
            let life = svid.not_after.duration_since(begin(&svid)).unwrap_or_default();
            let left = svid.not_after.duration_since(now).unwrap_or_default();
            (100.0 * left.as_secs_f64() / life.as_secs_f64().max(1.0)).ceil() as u32
        });
        let step = [0, 10, 25, 50, 100].into_iter().find(|step| left <= *step).unwrap_or(100);
        if step >= warned {
            tracing::debug!(%id, error, left, "an identity cannot be renewed");
        } else if step == 0 {
            tracing::error!(%id, error, "there is no valid identity: handshakes with it fail");
        } else {
            tracing::warn!(%id, error, left, "an identity cannot be renewed; percent of its life left");
        }
        step.min(warned)
    }
}

/// Whether half of the life of an identity is over.
pub(super) fn half_is_over(svid: &Svid) -> bool {
    let life = svid.not_after.duration_since(begin(svid)).unwrap_or_default();
    let left = svid.not_after.duration_since(SystemTime::now()).unwrap_or_default();
    left < life / 2
}

/// When the life of an identity began: what was set back for clocks that differ does not count.
fn begin(svid: &Svid) -> SystemTime {
    (svid.not_before + SKEW).min(svid.not_after)
}

/// When to renew: at half its life, give or take a tenth, by `chance` from 0 to 1.
fn renewal(svid: &Svid, chance: f64) -> Instant {
    let begin = begin(svid);
    let life = svid.not_after.duration_since(begin).unwrap_or_default();
    let at = begin + life.mul_f64(0.4 + 0.2 * chance);
    Instant::now() + at.duration_since(SystemTime::now()).unwrap_or_default()
}
