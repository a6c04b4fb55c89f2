//! Outlier ejection: a server that fails while others do not is left out, tried by one request, and let in again.

mod conduct;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::RETRY_AFTER;
use parking_lot::Mutex;
use portcullis_config::routing::http::Ejection;
use portcullis_config::units;
use portcullis_middlewares::message::Response;

pub use self::conduct::{Conduct, Entry, Probe};
use crate::upstream::standing::{Standing, now};

/// When a server is ejected and for how long.
#[derive(Debug)]
pub struct Outlier {
    in_a_row: Option<u32>,
    /// Share of successes from 0 to 1, and how many answers it takes.
    success_rate: Option<(f64, u64)>,
    window: Duration,
    base: Duration,
    most: Duration,
    jitter: f64,
    /// Percent of the servers.
    max_percent: usize,
    panic_percent: usize,
    too_many_requests: bool,
    /// Held while a server is ejected, so that two at once do not exceed the share.
    ejecting: Mutex<()>,
}

/// Why a server was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It failed too often in a row.
    Consecutive,
    /// It failed too large a share of its requests.
    SuccessRate,
    /// It asked for a rest.
    TooManyRequests,
    /// It failed the request that tried it.
    Probe,
}

impl Reason {
    /// As logs and metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::SuccessRate => "success_rate",
            Self::TooManyRequests => "too_many_requests",
            Self::Probe => "probe",
        }
    }
}

/// The servers of a balancer by what is known of each.
pub type Servers = [(Arc<str>, Arc<Standing>)];

impl Outlier {
    /// Compiles the settings; the error names the field.
    pub fn new(settings: &Ejection) -> Result<Self, String> {
        let percent = |field: &str, value: i64| match usize::try_from(value) {
            Ok(value) if value <= 100 => Ok(value),
            _ => Err(format!("ejection.{field}: {value} is not a percentage from 0 to 100")),
        };
        let count = |field: &str, value: i64| {
            u32::try_from(value)
                .map_err(|_| format!("ejection.{field}: {value} is negative or too large"))
        };
        let time = |field: &str, value: units::Duration| {
            value.positive().ok_or_else(|| format!("ejection.{field}: {value} is not above 0"))
        };
        let in_a_row = count("consecutiveFailures", settings.consecutive_failures)?;
        let rate = percent("successRate", settings.success_rate)?;
        let least = count("minRequests", settings.min_requests)?.max(1);
        Ok(Self {
            in_a_row: (in_a_row > 0).then_some(in_a_row),
            success_rate: (rate > 0).then_some((rate as f64 / 100.0, u64::from(least))),
            window: time("window", settings.window)?,
            base: time("baseTime", settings.base_time)?,
            most: time("maxTime", settings.max_time)?,
            jitter: percent("jitter", settings.jitter)? as f64 / 100.0,
            max_percent: percent("maxPercent", settings.max_percent)?,
            panic_percent: percent("panicPercent", settings.panic_percent)?,
            too_many_requests: settings.too_many_requests,
            ejecting: Mutex::new(()),
        })
    }

    /// Whether so few servers are left that ejections are not heeded.
    pub fn panics(&self, servers: &Servers) -> bool {
        let up = servers.iter().filter(|(_, standing)| standing.is_up()).count();
        up * 100 < self.panic_percent * servers.len()
    }

    /// Notes the answer of a server, which a `probe` may have tried. Tells why it is ejected now, if it is.
    #[allow(
        clippy::too_many_arguments,
        reason = "one answer, and all that is known of who gave it"
    )]
    pub fn note(
        &self,
        response: &Response,
        server: &Standing,
        probe: Option<Probe>,
        servers: &Servers,
        at: Instant,
    ) -> Option<Reason> {
        let refused = self.too_many_requests && response.status == StatusCode::TOO_MANY_REQUESTS;
        let failed = refused || response.status.is_server_error();
        let conduct = &server.conduct;
        if let Some(probe) = probe {
            if !failed {
                conduct.let_in(now(at));
                return None;
            }
            self.eject(server, rest(response).filter(|_| refused), at);
            drop(probe);
            return Some(Reason::Probe);
        }
        if conduct.is_ejected() {
            // An answer to a request from before, or in a panic.
            return None;
        }
        let in_a_row = conduct.note(failed);
        if self.success_rate.is_some() {
            let answers = conduct.answers(self.window);
            answers.add(now(at), conduct::ANSWERS);
            if failed {
                answers.add(now(at), conduct::FAILURES);
            }
        }
        if !failed {
            return None;
        }
        let asked = rest(response).filter(|_| refused);
        let reason = self.reason(conduct, in_a_row, asked.is_some(), now(at))?;
        let _ejecting = self.ejecting.lock();
        let out = servers.iter().filter(|(_, it)| it.conduct.is_ejected()).count();
        if conduct.is_ejected() || (out + 1) * 100 > self.max_percent * servers.len() {
            return None;
        }
        self.eject(server, asked, at);
        Some(reason)
    }

    fn reason(&self, conduct: &Conduct, in_a_row: u32, asked: bool, now: u64) -> Option<Reason> {
        if asked {
            return Some(Reason::TooManyRequests);
        }
        if self.in_a_row.is_some_and(|most| in_a_row >= most) {
            return Some(Reason::Consecutive);
        }
        let (rate, least) = self.success_rate?;
        let (answers, failures) = conduct.share(self.window, now);
        let successes = answers.saturating_sub(failures) as f64;
        (answers >= least && successes < rate * answers as f64).then_some(Reason::SuccessRate)
    }

    /// Ejects a server, for as long as it `asked` for or else by how often it was ejected lately.
    fn eject(&self, server: &Standing, asked: Option<Duration>, at: Instant) {
        let conduct = &server.conduct;
        let often = conduct.ejections(now(at), self.most);
        let grown = self.base.saturating_mul(1_u32.checked_shl(often).unwrap_or(u32::MAX));
        let time = asked.unwrap_or(grown).min(self.most);
        let time = time.mul_f64(1.0 + self.jitter * fastrand::f64());
        conduct.eject(now(at + time), often.saturating_add(1));
    }
}

/// The seconds that an answer asks clients to stay away.
fn rest(response: &Response) -> Option<Duration> {
    let text = response.headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
