//! A JSON object for each request, with Traefik's field names in alphabetical order.

use http::HeaderMap;
use serde::Serialize;

use super::super::without_userinfo;
use super::stamp::Stamp;
use super::{AccessLog, Line, line, mode};
use crate::install::{Fields, Mode};

/// A field: its name, and what appends its value; without a value the field is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    name: &'static str,
    value: fn(&mut Vec<u8>, &Line<'_>, &Stamp, &AccessLog) -> Shown,
}

/// Whether a field has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

/// The fields that are shown and how.
pub(super) fn fields(settings: &Fields) -> Vec<(Field, Mode)> {
    let with_mode =
        |field: &Field| (*field, mode(&settings.names, settings.default_mode, field.name));
    FIELDS.iter().map(with_mode).filter(|(_, mode)| *mode != Mode::Drop).collect()
}

pub(super) fn write(buffer: &mut Vec<u8>, line: &Line<'_>, stamp: &Stamp, log: &AccessLog) {
    buffer.push(b'{');
    for (field, mode) in &log.json {
        let before = buffer.len();
        name(buffer, "", field.name);
        let value = buffer.len();
        if (field.value)(buffer, line, stamp, log) == Shown::No {
            buffer.truncate(before);
            continue;
        }
        if *mode == Mode::Redact {
            buffer.truncate(value);
            buffer.extend_from_slice(b"\"REDACTED\"");
        }
        buffer.push(b',');
    }
    if let Some(all) = &line.heads.all {
        let (request, response) = &**all;
        headers(buffer, "downstream_", response, log);
        if let Some(origin) = line.facts.origin_headers.as_ref().filter(|_| has_origin(line)) {
            headers(buffer, "origin_", origin, log);
        }
        headers(buffer, "request_", request, log);
    }
    buffer.extend_from_slice(b"\"level\":\"info\",\"msg\":\"\",\"time\":\"");
    stamp.second(buffer);
    buffer.extend_from_slice(b"\"}");
}

fn name(buffer: &mut Vec<u8>, prefix: &str, name: &str) {
    buffer.push(b'"');
    buffer.extend_from_slice(prefix.as_bytes());
    buffer.extend_from_slice(name.as_bytes());
    buffer.extend_from_slice(b"\":");
}

/// Appends the first value of each header that is shown. Traefik: the host is no header, names are as Go spells them.
fn headers(buffer: &mut Vec<u8>, prefix: &str, headers: &HeaderMap, log: &AccessLog) {
    let settings = &log.fields.headers;
    for header in headers.keys().filter(|header| **header != http::header::HOST) {
        let mode = mode(&settings.names, settings.default_mode, header.as_str());
        let Some(value) = headers.get(header).filter(|_| mode != Mode::Drop) else { continue };
        name(buffer, prefix, &canonical(header.as_str()));
        let text = String::from_utf8_lossy(value.as_bytes());
        put(buffer, if mode == Mode::Redact { "REDACTED" } else { &text });
        buffer.push(b',');
    }
}

/// `x-real-ip` as `X-Real-Ip`.
fn canonical(name: &str) -> String {
    let mut start = true;
    let spell = |c: char| {
        let spelt = if start { c.to_ascii_uppercase() } else { c };
        start = c == '-';
        spelt
    };
    name.chars().map(spell).collect()
}

fn put(buffer: &mut Vec<u8>, value: impl Serialize) -> Shown {
    let begun = buffer.len();
    match serde_json::to_writer(&mut *buffer, &value) {
        Ok(()) => Shown::Yes,
        Err(_) => {
            buffer.truncate(begun);
            Shown::No
        }
    }
}

fn maybe(buffer: &mut Vec<u8>, value: Option<impl Serialize>) -> Shown {
    value.map_or(Shown::No, |value| put(buffer, value))
}

/// Appends text that `add` makes, which holds nothing that JSON escapes.
fn quoted(buffer: &mut Vec<u8>, add: impl FnOnce(&mut Vec<u8>)) -> Shown {
    buffer.push(b'"');
    add(buffer);
    buffer.push(b'"');
    Shown::Yes
}

macro_rules! fields {
    ($($name:ident: |$buffer:ident, $line:pat_param, $stamp:pat_param, $log:pat_param| $value:expr;)*) => {
        const FIELDS: &[Field] = &[$(Field {
            name: stringify!($name),
            value: |$buffer, $line, $stamp, $log| $value,
        }),*];
    };
}

fields! {
    ClientAddr: |b, line, _, _| quoted(b, |b| line::display(b, line.record.exchange.connection.peer));
    ClientHost: |b, line, _, _| {
        let mut text = Vec::new();
        line.client_host(&mut text);
        put(b, String::from_utf8_lossy(&text))
    };
    ClientPort: |b, line, _, _| {
        quoted(b, |b| line::display(b, line.record.exchange.connection.peer.port()))
    };
    ClientUsername: |b, line, _, _| put(b, line.facts.user.as_deref().unwrap_or("-"));
    ConnectionID: |b, line, _, _| {
        maybe(b, line.facts.mesh.as_ref().and_then(|call| call.connection.as_deref()))
    };
    DestinationIdentity: |b, line, _, _| {
        maybe(b, line.facts.mesh.as_ref().map(|call| &*call.destination))
    };
    DownstreamContentSize: |b, line, _, _| put(b, line.record.response_bytes);
    DownstreamStatus: |b, line, _, _| put(b, line.record.status.as_u16());
    Duration: |b, line, _, _| put(b, line.took.as_nanos() as u64);
    OriginContentSize: |b, line, _, _| {
        put(b, line.facts.origin_status.map_or(0, |_| line.record.response_bytes))
    };
    OriginDuration: |b, line, _, _| put(b, origin(line));
    OriginStatus: |b, line, _, _| put(b, line.facts.origin_status.unwrap_or_default());
    Overhead: |b, line, _, _| put(b, (line.took.as_nanos() as u64).saturating_sub(origin(line)));
    RequestAddr: |b, line, _, _| put(b, line.host());
    RequestContentSize: |b, line, _, _| put(b, line.record.request_bytes());
    RequestCount: |b, line, _, _| put(b, line.number);
    RequestHost: |b, line, _, _| put(b, split(line.host()).0);
    RequestMethod: |b, line, _, _| put(b, line.record.method.as_str());
    RequestPath: |b, line, _, log| {
        let mut text = Vec::new();
        line.target(&mut text, log.fields.query_parameters.default_mode);
        put(b, String::from_utf8_lossy(&text))
    };
    RequestPort: |b, line, _, _| put(b, split(line.host()).1);
    RequestProtocol: |b, line, _, _| put(b, line.protocol());
    RequestScheme: |b, line, _, _| {
        put(b, line.record.exchange.connection.tls.as_ref().map_or("http", |_| "https"))
    };
    RetryAttempts: |b, line, _, _| put(b, line.facts.retries);
    RouterName: |b, line, _, _| maybe(b, line.router().map(|name| &**name));
    ServiceAddr: |b, line, _, _| {
        maybe(b, line.facts.server.as_deref().map(authority))
    };
    ServiceName: |b, line, _, _| maybe(b, line.facts.service.as_deref());
    ServiceURL: |b, line, _, _| maybe(b, line.facts.server.as_deref().map(without_userinfo));
    SourceIdentity: |b, line, _, _| maybe(b, line.facts.mesh.as_ref().map(|call| &*call.source));
    StartLocal: |b, _, stamp, _| quoted(b, |b| stamp.local(b));
    StartUTC: |b, _, stamp, _| quoted(b, |b| stamp.utc(b));
    TLSCipher: |b, line, _, _| {
        maybe(b, line.record.exchange.connection.tls.as_ref().map(|tls| tls.cipher))
    };
    TLSClientSubject: |b, line, _, _| maybe(b, line.client_subject());
    TLSVersion: |b, line, _, _| {
        maybe(b, line.record.exchange.connection.tls.as_ref().map(|tls| tls.version))
    };
    entryPointName: |b, line, _, _| put(b, &*line.record.entry_point.name);
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Whether a server answered.
fn has_origin(line: &Line<'_>) -> bool {
    line.facts.origin_status.is_some()
}

/// Nanoseconds to the server's response head.
fn origin(line: &Line<'_>) -> u64 {
    line.facts.origin_duration.map_or(0, |took| took.as_nanos() as u64)
}

/// Host and port. Traefik: without a port it is a dash.
fn split(host: &str) -> (&str, &str) {
    let ends_with_port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(ends_with_port).unwrap_or((host, "-"))
}

impl Line<'_> {
    fn host(&self) -> &str {
        self.heads.host.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The subject of the client's certificate, if it showed one.
    fn client_subject(&self) -> Option<String> {
        let tls = self.record.exchange.connection.tls.as_ref()?;
        let leaf = tls.client_certificates.first()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
        Some(certificate.subject().to_string())
    }
}
