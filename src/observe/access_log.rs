//! The access log: a line for each request, made on the worker and written by the thread of a [`Sink`].

mod filter;
mod json;
mod line;
mod stamp;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use portcullis_middlewares::exchange::Facts;

use self::filter::Filter;
use self::stamp::Stamp;
use super::record::{Heads, Record};
use super::series::{RouterSeries, Switch};
use super::sink::{Rotation, Sink, Target};
use crate::install::{self, AccessLogFormat as Format, Mode};
use crate::net::per_worker::PerWorker;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The access log.
#[derive(Debug)]
pub struct AccessLog {
    sink: Sink,
    format: Format,
    filter: Filter,
    fields: install::Fields,
    json: Vec<(json::Field, Mode)>,
    internals: bool,
    count: AtomicU64,
    stamps: PerWorker<Mutex<Stamp>>,
    referer: Mode,
    user_agent: Mode,
    /// Whether a line shows headers beyond those of every line.
    headers: bool,
}

/// What a line is made from.
pub(super) struct Line<'a> {
    record: &'a Record,
    facts: &'a Facts,
    heads: &'a Heads,
    took: Duration,
    /// When the request began, since 1970.
    begun: Duration,
    number: u64,
}

impl AccessLog {
    /// Opens the file, or standard output. The message of an error names the field.
    pub fn open(settings: &install::AccessLog) -> Result<Self, String> {
        let target = match settings.file_path.as_str() {
            "" => Target::Stdout,
            path => Target::File(path.into(), Rotation::default()),
        };
        let wrong = |error: io::Error| {
            format!("accessLog.filePath: cannot write to `{}`: {error}", settings.file_path)
        };
        let (headers, fields) = (&settings.fields.headers, &settings.fields);
        let shows = |mode: &Mode| *mode != Mode::Drop;
        Ok(Self {
            sink: Sink::open("access-log", target).map_err(wrong)?,
            format: settings.format,
            filter: Filter::new(&settings.filters)?,
            json: json::fields(fields),
            internals: settings.add_internals,
            count: AtomicU64::new(0),
            stamps: PerWorker::default(),
            referer: mode(&headers.names, headers.default_mode, "Referer"),
            user_agent: mode(&headers.names, headers.default_mode, "User-Agent"),
            headers: settings.format == Format::Json
                && (shows(&headers.default_mode) || headers.names.values().any(shows)),
            fields: fields.clone(),
        })
    }

    /// What a record must keep of the request for its line.
    pub(super) fn heads(&self, request: &HeaderMap) -> Heads {
        let kept = |name: HeaderName, mode: Mode| match mode {
            Mode::Keep => request.get(name).cloned(),
            Mode::Drop | Mode::Redact => None,
        };
        Heads {
            host: kept(HOST, if self.format == Format::Json { Mode::Keep } else { Mode::Drop }),
            forwarded_for: kept(FORWARDED_FOR, Mode::Keep),
            referer: kept(REFERER, self.referer),
            user_agent: kept(USER_AGENT, self.user_agent),
            all: self.headers.then(|| Box::new((request.clone(), HeaderMap::new()))),
        }
    }

    /// Writes the line of a finished request, if it is to have one. Never blocks.
    pub(super) fn write(&self, record: &Record, facts: &Facts, took: Duration) {
        let router = record.router.as_deref();
        let switch = router.map_or(record.entry_point.access_log, |router| router.access_log);
        let internal = router.is_some_and(RouterSeries::is_internal);
        let Some(heads) = &record.heads else { return };
        if switch == Switch::Off
            || internal && !self.internals
            || !self.filter.admits(record.status.as_u16(), facts.retries, took)
        {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = Line {
            record,
            facts,
            heads,
            took,
            begun: now.saturating_sub(took),
            number: self.count.fetch_add(1, Relaxed) + 1,
        };
        self.sink.add(|buffer| {
            let mut stamp = self.stamps.here().lock();
            stamp.set(line.begun);
            match self.format {
                Format::Json => json::write(buffer, &line, &stamp, self),
                Format::Common | Format::GenericClf => line::write(buffer, &line, &stamp, self),
            }
            buffer.push(b'\n');
        });
    }

    /// Opens the file anew, after it was moved away.
    pub fn reopen(&self) {
        self.sink.reopen();
    }

    /// Waits until all lines are written, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        self.sink.flush(limit);
    }

    /// Lines that nobody took in time.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    fn mode(&self, field: &str) -> Mode {
        mode(&self.fields.names, self.fields.default_mode, field)
    }
}

/// How the item called `name` is shown. Names count in any case.
fn mode(names: &indexmap::IndexMap<String, Mode>, default: Mode, name: &str) -> Mode {
    let found = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or(default, |(_, mode)| *mode)
}

impl Line<'_> {
    /// The router that answered, `parent -> child` if a child did.
    fn router(&self) -> Option<&Arc<str>> {
        self.facts.router.as_ref().or(self.record.router.as_ref().map(|router| &router.name))
    }

    /// Appends the client: the whole first `X-Forwarded-For` line that got through the entry point, or the peer.
    fn client_host(&self, buffer: &mut Vec<u8>) {
        match self.heads.forwarded_for.as_ref().and_then(|value| value.to_str().ok()) {
            Some(text) if !text.is_empty() => line::escape(buffer, text),
            _ => line::display(buffer, self.record.exchange.connection.peer.ip()),
        }
    }

    /// Appends path and query as far as they are shown.
    fn target(&self, buffer: &mut Vec<u8>, query: Mode) {
        let target = &self.record.target;
        match (target.query(), query) {
            (Some(query), Mode::Redact) => {
                buffer.extend_from_slice(target.path().as_bytes());
                for (index, pair) in query.split('&').enumerate() {
                    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
                    buffer.push(if index == 0 { b'?' } else { b'&' });
                    buffer.extend_from_slice(name.as_bytes());
                    buffer.extend_from_slice(b"=REDACTED");
                }
            }
            (Some(_), Mode::Drop) => buffer.extend_from_slice(target.path().as_bytes()),
            _ => buffer.extend_from_slice(target.as_str().as_bytes()),
        }
    }

    fn protocol(&self) -> &'static str {
        match self.record.version {
            http::Version::HTTP_09 => "HTTP/0.9",
            http::Version::HTTP_10 => "HTTP/1.0",
            http::Version::HTTP_2 => "HTTP/2.0",
            http::Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        }
    }
}
