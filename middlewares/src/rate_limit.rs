//! `rateLimit` limits how many requests of one source are let through in a period.

mod buckets;
mod redis;

use std::time::Duration as Span;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::StatusCode;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::buckets::{Buckets, Turn};
use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Later, Next, Step, Wrap};
use crate::message::{Request, Response};
use crate::source::{Source, SourceCriterion, Unset};

pub use self::redis::{Redis, RedisTls};

/// Limits how many requests of one source are let through: on average, with short bursts above it.
///
/// Each source has a bucket of `burst` tokens that fills up again with `average` tokens in each `period`; a request
/// takes one. A request that comes a little early is held back, at most half a second; one that comes far too early
/// is refused with 429 and told in `Retry-After` when to come again.
///
/// Two routers that use the same middleware count separately. Up to 65536 sources are remembered; beyond that those
/// that have not been seen for longest are forgotten.
///
/// ```yaml
/// http:
///   middlewares:
///     calm:
///       rateLimit:
///         average: 100
///         burst: 50
/// ```
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// How many requests of one source are let through in each period. With 0 there is no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub average: i64,
    /// The period that `average` is about.
    #[serde(skip_serializing_if = "is_default")]
    pub period: Duration,
    /// How many requests may come at once after a time of rest; at least 1.
    #[serde(skip_serializing_if = "is_default")]
    pub burst: i64,
    /// What counts as one source; unset, the address of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_criterion: Option<SourceCriterion>,
    /// Keeps the buckets in Redis, so that several gateways share them. Not served yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            average: 0,
            period: Duration::seconds(1),
            burst: 1,
            source_criterion: None,
            redis: None,
        }
    }
}

impl Settings for RateLimit {
    const KIND: &'static str = "rateLimit";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        if self.redis.is_some() {
            return Err("redis: shared buckets are not served yet".into());
        }
        let source = Source::compile(self.source_criterion.as_ref(), Unset::Address)?;
        let period = match self.period.0 {
            0 => Duration::seconds(1),
            negative if negative < 0 => {
                return Err(format!("period: {} is negative", self.period).into());
            }
            _ => self.period,
        };
        if self.average <= 0 {
            return Ok(Vec::new());
        }
        let rate = self.average as f64 / (period.0 as f64 / 1e9);
        let buckets = Buckets::new(rate, self.burst.max(1) as f64, longest_wait(rate));
        Ok(vec![Step::wrap(Limit { source, buckets })])
    }
}

/// How long a request may be held back at `rate` requests in a second.
fn longest_wait(rate: f64) -> Span {
    if rate < 1.0 { Span::from_millis(500) } else { Span::from_secs_f64(0.5 / rate.floor()) }
}

struct Limit {
    source: Source,
    buckets: Buckets,
}

impl Wrap for Limit {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        match self.buckets.take(self.source.key(&request)) {
            Turn::Now => next.run(request),
            Turn::After(wait) => Box::pin(async move {
                tokio::time::sleep(wait).await;
                next.run(request).await
            }),
            Turn::Refused(wait) => Box::pin(std::future::ready(refusal(wait))),
        }
    }
}

const X_RETRY_IN: HeaderName = HeaderName::from_static("x-retry-in");

fn refusal(wait: Span) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let exact = Duration(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)).to_string();
    let exact = HeaderValue::try_from(exact).unwrap_or(HeaderValue::from_static(""));
    Response::bare(StatusCode::TOO_MANY_REQUESTS)
        .with(RETRY_AFTER, seconds.into())
        .with(X_RETRY_IN, exact)
}

#[cfg(test)]
mod tests;
