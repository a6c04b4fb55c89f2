//! `retry` sends a request again when no server could be reached or a server gave a listed status.

mod tape;

use std::ops::RangeInclusive;
use std::time::Duration as Span;

use http::{Method, StatusCode};
use http_body::Body as _;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::tape::Replay;
use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Later, Next, Step, Wrap};
use crate::message::{Fault, Request, Response};

/// Sends a request again when it failed, so that the client does not notice.
///
/// A request of which nothing reached a server is sent again whatever it is; the balancer then chooses another server.
/// With `status` it is also sent again when the answer has one of these statuses, unless its method is POST, PATCH or
/// LOCK, since the server may have acted already. The answer to the last attempt goes to the client whatever it is.
///
/// ```yaml
/// http:
///   middlewares:
///     again:
///       retry:
///         attempts: 3
///         initialInterval: 100ms
///         status: ["502-504"]
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
        }
    }
}

impl Settings for Retry {
    const KIND: &'static str = "retry";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        if self.attempts < 1 {
            return Err(format!("attempts: {} is less than 1", self.attempts).into());
        }
        if self.status.is_empty() && self.disable_retry_on_network_error {
            return Err("status: needed when disableRetryOnNetworkError is set".into());
        }
        let status = self.status.iter().map(|text| statuses(text)).collect::<Result<_, _>>()?;
        if self.attempts == 1 {
            return Ok(Vec::new());
        }
        let attempts = u32::try_from(self.attempts).unwrap_or(u32::MAX);
        Ok(vec![Step::wrap(Attempts {
            attempts,
            first_pause: self.initial_interval.positive(),
            growth: 2_f64.powf(1.0 / f64::from(attempts - 1)),
            timeout: self.timeout.positive(),
            most_body: u64::try_from(self.max_request_body_bytes).unwrap_or(u64::MAX),
            status,
            unsent: !self.disable_retry_on_network_error,
            any_method: self.retry_non_idempotent_method,
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
}

impl Wrap for Attempts {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response> {
        Box::pin(self.run(request, next))
    }
}

impl Attempts {
    async fn run(&self, mut request: Request, next: Next<'_>) -> Response {
        let begun = Instant::now();
        let status = self.listed(&request.method);
        let most = if status.is_empty() { 0 } else { self.most_body };
        let most = if request.body.size_hint().lower() > most { 0 } else { most };
        let replay = Replay::new(std::mem::take(&mut request.body), most);
        for attempt in 1..self.attempts {
            let mut copy = request.copy_head();
            // A wish to upgrade can be copied; whichever attempt gets 101 redeems it.
            copy.extensions = request.extensions.clone();
            copy.body = replay.play();
            let response = next.run(copy).await;
            let pause = self.pause(attempt);
            if !(self.failed(&response, status) && replay.is_whole() && self.in_time(begun, pause)) {
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
        next.run(request).await
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
