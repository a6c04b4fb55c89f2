//! `circuitBreaker` spares a service that fails or is slow: for a while nothing reaches it, then more and more.

mod expression;
mod histogram;
mod state;
mod statistics;

use std::sync::Arc;

use http::StatusCode;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::state::Breaker;
use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Later, Next, Step, Wrap};
use crate::message::{Body, Request, Response};

/// Spares a service that fails or is slow. While all is well, requests pass and their answers are counted. When
/// `expression` holds, the breaker opens: for `fallbackDuration` every request is answered `responseCode` and the service
/// is left alone. Then it recovers: over `recoveryDuration` more and more requests pass, up to all of them; should
/// `expression` hold again meanwhile, the breaker opens again.
///
/// An expression compares figures with numbers, by `>`, `>=`, `<`, `<=`, `==` and `!=`, and joins comparisons by `&&`,
/// `||` and parentheses:
///
/// - `NetworkErrorRatio()`: the share of answers 502 and 504 in all answers;
/// - `ResponseCodeRatio(500, 600, 0, 600)`: the number of answers from 500 to 599, divided by that of answers from 0 to
///   599;
/// - `LatencyAtQuantileMS(50.0)`: the milliseconds within which that percentage of the answers was complete.
///
/// Ratios are compared with numbers that have a point (`0.5`), latencies with whole milliseconds (`100`); the percentage
/// has a point, too. Ratios are of the last ten seconds, latencies of the last minute, with a precision of 1 %.
///
/// Two routers that use the same middleware have a breaker each; at a service it is one for all of its routers.
///
/// ```yaml
/// http:
///   middlewares:
///     spare:
///       circuitBreaker:
///         expression: ResponseCodeRatio(500, 600, 0, 600) > 0.25 || LatencyAtQuantileMS(50.0) > 500
/// ```
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CircuitBreaker {
    /// When the breaker opens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expression: String,
    /// How often the expression is looked at, at most; 100 ms if it is 0 or less.
    #[serde(skip_serializing_if = "is_default")]
    pub check_period: Duration,
    /// How long the breaker stays open; 10 s if it is 0 or less.
    #[serde(skip_serializing_if = "is_default")]
    pub fallback_duration: Duration,
    /// How long it takes until all requests pass again; 10 s if it is 0 or less.
    #[serde(skip_serializing_if = "is_default")]
    pub recovery_duration: Duration,
    /// The status of the answer to requests that do not pass.
    #[serde(skip_serializing_if = "is_default")]
    pub response_code: i64,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            expression: String::new(),
            check_period: Duration::milliseconds(100),
            fallback_duration: Duration::seconds(10),
            recovery_duration: Duration::seconds(10),
            response_code: 503,
        }
    }
}

impl Settings for CircuitBreaker {
    const KIND: &'static str = "circuitBreaker";

    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let expression = expression::parse(&self.expression)
            .map_err(|error| format!("expression: `{}`: {error}", self.expression))?;
        let status = u16::try_from(self.response_code).ok().filter(|code| *code >= 200);
        let status = status.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| {
            format!("responseCode: {} is not a status from 200 to 999", self.response_code)
        })?;
        let or = |duration: Duration, default: Duration| {
            duration.positive().or(default.positive()).unwrap_or_default()
        };
        let periods = state::Periods {
            check: or(self.check_period, Duration::milliseconds(100)),
            open: or(self.fallback_duration, Duration::seconds(10)),
            recovery: or(self.recovery_duration, Duration::seconds(10)),
        };
        let breaker = Breaker::new(expression, periods, build.name(), build.owner());
        Ok(vec![Step::wrap(Spare { breaker: Arc::new(breaker), status })])
    }
}

struct Spare {
    breaker: Arc<Breaker>,
    status: StatusCode,
}

impl Wrap for Spare {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        if !self.breaker.admits() {
            return Box::pin(std::future::ready(Response::bare(self.status)));
        }
        Box::pin(self.watch(request, next))
    }
}

/// What is counted for a client that did not wait for its answer, as Traefik does; a service that hangs would otherwise
/// look as if it had nothing to do.
const CLIENT_CLOSED: u16 = 499;

impl Spare {
    async fn watch(&self, request: Request, next: Next<'_>) -> Response {
        let mut waiting = Waiting { breaker: Some(&self.breaker), begun: Instant::now() };
        let response = next.run(request).await;
        let begun = waiting.begun;
        waiting.breaker = None;
        self.breaker.count(response.status.as_u16());
        let streams = matches!(response.body, Body::Incoming(_) | Body::Stream(_));
        // Traefik: a WebSocket counts as an answer that took as long as it was open.
        if !self.breaker.times() || response.tunnel.is_some() {
            self.breaker.check();
            response
        } else if streams && !response.body.is_end() {
            response.holding(Lasting { breaker: Arc::clone(&self.breaker), begun })
        } else {
            self.breaker.time(begun.elapsed());
            self.breaker.check();
            response
        }
    }
}

/// A request without an answer yet.
struct Waiting<'a> {
    breaker: Option<&'a Breaker>,
    begun: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker {
            breaker.count(CLIENT_CLOSED);
            breaker.time(self.begun.elapsed());
            breaker.check();
        }
    }
}

/// An answer that is not complete yet.
struct Lasting {
    breaker: Arc<Breaker>,
    begun: Instant,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.breaker.time(self.begun.elapsed());
        self.breaker.check();
    }
}

#[cfg(test)]
mod tests;
