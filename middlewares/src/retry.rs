//! `retry` sends a request again when no server could be reached or a server gave a listed status.

mod budget;
mod nesting;
mod tape;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration as Span;

use http::{Method, StatusCode};
use http_body::Body as _;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::budget::{Budget, Budgets};
use self::nesting::{Before, Nested};
use self::tape::Replay;
use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Later, Next, Step, Wrap};
use crate::message::{Fault, Request, Response, Sent};

pub use self::budget::BudgetSettings;

/// Sends a request again when it failed, so that the client does not notice.
///
/// A request of which nothing reached a server is sent again whatever it is; the balancer then chooses another server.
/// With `status` it is also sent again when the answer has one of these statuses, unless its method is POST, PATCH or
/// LOCK, since the server may have acted already. The answer to the last attempt goes to the client whatever it is.
///
/// Repetitions are load for a service that fails already. With `budget` they stay a share of its requests; with `nested:
/// refuse` of several gateways in a row only the first one repeats. Both are Portcullis's own, as is `perTryTimeout`.
///
/// ```yaml
/// http:
///   middlewares:
///     again:
///       retry:
///         attempts: 3
///         initialInterval: 100ms
///         status: ["502-504"]
///         budget: { percent: 20, minPerSecond: 10, window: 10s }
///         nested: refuse
/// ```
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// How often the request is sent at most, the first time included; at least 1.
    #[serde(skip_serializing_if = "is_default")]
    pub attempts: i64,
    /// The pause before the second attempt. Later pauses grow, to twice as much before the last attempt; each is
    /// varied at random by half. With 0 there are no pauses.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_interval: Duration,
    /// No attempt begins when this much time has passed since the first one began; 0 = any time. A running attempt
    /// is not cut short.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Duration,
    /// How much of a request body is kept for another attempt after a listed status, in bytes; -1 = all of it. A
    /// request with a longer body is not sent again.
    pub max_request_body_bytes: i64,
    /// Statuses after which the request is sent again: `503` or `502-504`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// Whether a request that reached no server is not sent again.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_retry_on_network_error: bool,
    /// Whether POST, PATCH and LOCK are sent again after a listed status, too.
    #[serde(skip_serializing_if = "is_default")]
    pub retry_non_idempotent_method: bool,
    /// Limits how many requests of a service are sent again; unset, nothing does. `budget: {}` has the defaults: 20 % of
    /// the requests of the last 10 s, and 10 in each second. Routers that use the same middleware share the budgets of
    /// their services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSettings>,
    /// What becomes of a request that a gateway before this one sends again on its own. With `allow`, which is the
    /// default, it may be sent again here, too. With `refuse` each attempt tells its number to the server, from 0, in the
    /// header `X-Portcullis-Attempt`; a request that comes with this header from a trusted address
    /// (`forwardedHeaders.trustedIPs` of the entry point) is sent again only if it is the first attempt and reached no
    /// server. The header is removed from requests of all others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nested: String,
    /// How long a single attempt may take until its answer begins; after that it counts as one that was answered 504. 0 =
    /// any time.
    #[serde(skip_serializing_if = "is_default")]
    pub per_try_timeout: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 0,
            initial_interval: Duration::default(),
            timeout: Duration::default(),
            max_request_body_bytes: 2 * 1024 * 1024,
            status: Vec::new(),
            disable_retry_on_network_error: false,
            retry_non_idempotent_method: false,
            budget: None,
            nested: String::new(),
            per_try_timeout: Duration::default(),
        }
    }
}

impl Settings for Retry {
    const KIND: &'static str = "retry";

    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        if self.attempts < 1 {
            return Err(format!("attempts: {} is less than 1", self.attempts).into());
        }
        if self.status.is_empty() && self.disable_retry_on_network_error {
            return Err("status: needed when disableRetryOnNetworkError is set".into());
        }
        let status = self.status.iter().map(|text| statuses(text)).collect::<Result<_, _>>()?;
        let nested = Nested::parse(&self.nested)?;
        let budget = |settings| Budgets::new(settings, build.name());
        let budgets = self.budget.map(budget).transpose()?;
        let per_try = self.per_try_timeout.positive();
        if self.attempts == 1 && per_try.is_none() {
            return Ok(Vec::new());
        }
        let attempts = u32::try_from(self.attempts).unwrap_or(u32::MAX);
        Ok(vec![Step::wrap(Attempts {
            attempts,
            first_pause: self.initial_interval.positive(),
            growth: 2_f64.powf(1.0 / f64::from((attempts - 1).max(1))),
            timeout: self.timeout.positive(),
            most_body: u64::try_from(self.max_request_body_bytes).unwrap_or(u64::MAX),
            status,
            unsent: !self.disable_retry_on_network_error,
            any_method: self.retry_non_idempotent_method,
            budgets,
            nested,
            per_try,
        })])
    }
}

/// Reads `503` or `502-504`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, Defect> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("status: `{text}` is neither a status nor a range such as 502-504").into()),
    }
}

struct Attempts {
    attempts: u32,
    first_pause: Option<Span>,
    /// The factor from one pause to the next.
    growth: f64,
    timeout: Option<Span>,
    most_body: u64,
    status: Vec<RangeInclusive<u16>>,
    /// Whether requests that reached no server are sent again.
    unsent: bool,
    /// Whether all methods are sent again after a listed status.
    any_method: bool,
    budgets: Option<Budgets>,
    nested: Nested,
    /// How long one attempt may take.
    per_try: Option<Span>,
}

impl Wrap for Attempts {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        match self.nested.before(&request.headers) {
            Before::Repeats => next.run(request),
            before => Box::pin(self.run(request, before, next)),
        }
    }
}

impl Attempts {
    async fn run(&self, mut request: Request, before: Before, next: Next<'_>) -> Response {
        let begun = Instant::now();
        let status: &[_] =
            if before == Before::Begins { &[] } else { self.listed(&request.method) };
        let most = if status.is_empty() { 0 } else { self.most_body };
        let most = if request.body.size_hint().lower() > most { 0 } else { most };
        let replay = Replay::new(std::mem::take(&mut request.body), most);
        for attempt in 1..self.attempts {
            let mut copy = request.copy_head();
            // A wish to upgrade can be copied; whichever attempt gets 101 redeems it.
            copy.extensions = request.extensions.clone();
            copy.body = replay.play();
            if before == Before::Nobody {
                self.nested.mark(&mut copy.headers, attempt - 1);
            }
            let response = self.attempt(copy, next).await;
            let budget = self.budget(attempt, next);
            let pause = self.pause(attempt);
            if !(self.failed(&response, status) && replay.is_whole() && self.in_time(begun, pause))
                || budget.is_some_and(|budget| !budget.withdraw())
            {
                return response;
            }
            drop(response);
            next.exchange().note(|facts| {
                facts.retries += 1;
                facts.fault = None;
                facts.cause = None;
                facts.origin_status = None;
                facts.origin_duration = None;
            });
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        request.body = replay.play();
        if before == Before::Nobody {
            self.nested.mark(&mut request.headers, self.attempts - 1);
        }
        self.attempt(request, next).await
    }

    async fn attempt(&self, request: Request, next: Next<'_>) -> Response {
        let Some(limit) = self.per_try else { return next.run(request).await };
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let fault = Fault::Timeout(Sent::Some);
                next.exchange().note(|facts| {
                    facts.fault = Some(fault);
                    facts.cause = Some(format!("no response head within {limit:?}").into());
                });
                Response::bare(StatusCode::GATEWAY_TIMEOUT).because(fault)
            }
        }
    }

    /// The budget of the service that was called, which hears of each request once.
    fn budget(&self, attempt: u32, next: Next<'_>) -> Option<Arc<Budget>> {
        let budgets = self.budgets.as_ref()?;
        let budget = budgets.of(next.exchange().facts(|facts| facts.service.clone()));
        if attempt == 1 {
            budget.deposit();
        }
        Some(budget)
    }

    /// The statuses after which a request with `method` is sent again.
    fn listed(&self, method: &Method) -> &[RangeInclusive<u16>] {
        let acts_once = matches!(method.as_str(), "POST" | "PATCH" | "LOCK");
        if acts_once && !self.any_method { &[] } else { &self.status }
    }

    fn failed(&self, response: &Response, status: &[RangeInclusive<u16>]) -> bool {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return false;
        }
        let unsent = self.unsent && response.fault.is_some_and(Fault::is_safe_to_retry);
        unsent || status.iter().any(|range| range.contains(&response.status.as_u16()))
    }

    fn in_time(&self, begun: Instant, pause: Span) -> bool {
        self.timeout.is_none_or(|timeout| begun.elapsed() + pause < timeout)
    }

    /// The pause after an attempt, counted from 1.
    fn pause(&self, attempt: u32) -> Span {
        let Some(first) = self.first_pause else { return Span::ZERO };
        let grown = self.growth.powf(f64::from(attempt - 1));
        first.mul_f64(grown * (0.5 + fastrand::f64()))
    }
}

#[cfg(test)]
mod tests;
