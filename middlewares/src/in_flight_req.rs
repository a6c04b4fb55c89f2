//! `inFlightReq` limits how many requests of one source are served at a time.

use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashMap;
use http::StatusCode;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Later, Next, Step, Wrap};
use crate::message::{Request, Response};
use crate::source::{Source, SourceCriterion, SourceKey, Unset};

/// Limits how many requests of one source are served at a time; a request beyond that is refused with 429.
///
/// A request counts until its response has been sent to the end; a WebSocket until it is closed.
///
/// ```yaml
/// http:
///   middlewares:
///     few:
///       inFlightReq:
///         amount: 10
///         sourceCriterion:
///           ipStrategy: {}
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InFlightReq {
    /// How many requests of one source may be served at a time. With 0 every request is refused.
    #[serde(skip_serializing_if = "is_default")]
    pub amount: i64,
    /// What counts as one source; unset, the host of the request, so that all clients of a host share the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_criterion: Option<SourceCriterion>,
}

impl Settings for InFlightReq {
    const KIND: &'static str = "inFlightReq";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let source = Source::compile(self.source_criterion.as_ref(), Unset::Host)?;
        let refusal = format!("max connections reached: {}", self.amount).into();
        let amount = u32::try_from(self.amount.max(0)).unwrap_or(u32::MAX);
        Ok(vec![Step::wrap(Limit { source, running: Arc::new(Running::new(amount)), refusal })])
    }
}

struct Limit {
    source: Source,
    running: Arc<Running>,
    refusal: Bytes,
}

impl Wrap for Limit {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        let Some(permit) = self.running.admit(self.source.key(&request)) else {
            let refusal =
                Response::new(StatusCode::TOO_MANY_REQUESTS, self.refusal.clone());
            return Box::pin(std::future::ready(refusal));
        };
        Box::pin(async move { next.run(request).await.holding(permit) })
    }
}

const SHARDS: usize = 16;

/// Counts the running requests of each source, for all workers together. A source without any has no entry, so
/// there are never more entries than running requests.
struct Running {
    amount: u32,
    hasher: RandomState,
    shards: [Mutex<HashMap<SourceKey, u32, RandomState>>; SHARDS],
}

impl Running {
    fn new(amount: u32) -> Self {
        let hasher = RandomState::new();
        let shards =
            std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone())));
        Self { amount, hasher, shards }
    }

    fn admit(self: &Arc<Self>, key: SourceKey) -> Option<Permit> {
        if self.amount == 0 {
            return None;
        }
        let mut shard = self.shard(key).lock();
        let count = shard.entry(key).or_insert(0);
        if *count >= self.amount {
            return None;
        }
        *count += 1;
        Some(Permit { running: Arc::clone(self), key })
    }

    fn shard(&self, key: SourceKey) -> &Mutex<HashMap<SourceKey, u32, RandomState>> {
        // The high bits, since the table inside the shard uses others.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }

    #[cfg(test)]
    fn sources(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// One running request.
struct Permit {
    running: Arc<Running>,
    key: SourceKey,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut shard = self.running.shard(self.key).lock();
        if let hashbrown::hash_map::Entry::Occupied(mut entry) = shard.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
