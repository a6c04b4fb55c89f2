//! The Common Log Format, with router, server and duration at its end unless the generic one is wanted.

use std::fmt::Display;
use std::io::Write;

use super::super::without_userinfo;
use super::stamp::Stamp;
use super::{AccessLog, Line};
use crate::install::{AccessLogFormat as Format, Mode};

pub(super) fn write(buffer: &mut Vec<u8>, line: &Line<'_>, stamp: &Stamp, log: &AccessLog) {
    let plain = Field { log, quote: false };
    let quoted = Field { log, quote: true };
    plain.write(buffer, "ClientHost", |buffer| line.client_host(buffer));
    buffer.extend_from_slice(b" - ");
    plain.write(buffer, "ClientUsername", |buffer| {
        escape(buffer, line.facts.user.as_deref().unwrap_or("-"));
    });
    buffer.extend_from_slice(b" [");
    let utc = log.mode("StartUTC") == Mode::Keep;
    let start = if utc { &stamp.common } else { &stamp.common_local };
    buffer.extend_from_slice(start.as_bytes());
    buffer.extend_from_slice(b"] \"");
    plain.write(buffer, "RequestMethod", |buffer| {
        buffer.extend_from_slice(line.record.method.as_str().as_bytes());
    });
    buffer.push(b' ');
    plain.write(buffer, "RequestPath", |buffer| {
        line.target(buffer, log.fields.query_parameters.default_mode);
    });
    buffer.push(b' ');
    plain.write(buffer, "RequestProtocol", |buffer| {
        buffer.extend_from_slice(line.protocol().as_bytes());
    });
    buffer.extend_from_slice(b"\" ");
    plain.write(buffer, "DownstreamStatus", |buffer| display(buffer, line.record.status.as_u16()));
    buffer.push(b' ');
    plain.write(buffer, "DownstreamContentSize", |buffer| {
        display(buffer, line.record.response_bytes);
    });
    for (mode, value) in
        [(log.referer, &line.heads.referer), (log.user_agent, &line.heads.user_agent)]
    {
        buffer.push(b' ');
        let text = value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()));
        quoted.shown(buffer, mode, |buffer| escape(buffer, text.as_deref().unwrap_or_default()));
    }
    if log.format == Format::GenericClf {
        return;
    }
    buffer.push(b' ');
    plain.write(buffer, "RequestCount", |buffer| display(buffer, line.number));
    buffer.push(b' ');
    quoted.write(buffer, "RouterName", |buffer| {
        escape(buffer, line.router().map(|name| &**name).unwrap_or_default());
    });
    buffer.push(b' ');
    quoted.write(buffer, "ServiceURL", |buffer| {
        escape(buffer, &without_userinfo(line.facts.server.as_deref().unwrap_or_default()));
    });
    buffer.push(b' ');
    plain.write(buffer, "Duration", |buffer| display(buffer, line.took.as_millis()));
    buffer.extend_from_slice(b"ms");
}

struct Field<'a> {
    log: &'a AccessLog,
    quote: bool,
}

impl Field<'_> {
    fn write(&self, buffer: &mut Vec<u8>, name: &str, add: impl FnOnce(&mut Vec<u8>)) {
        let names = &self.log.fields;
        let unnamed = names.names.is_empty();
        let mode = if unnamed { names.default_mode } else { self.log.mode(name) };
        self.shown(buffer, mode, add);
    }

    /// What is dropped, or empty, is a dash.
    fn shown(&self, buffer: &mut Vec<u8>, mode: Mode, add: impl FnOnce(&mut Vec<u8>)) {
        if self.quote {
            buffer.push(b'"');
        }
        let before = buffer.len();
        match mode {
            Mode::Keep => add(buffer),
            Mode::Redact => buffer.extend_from_slice(b"REDACTED"),
            Mode::Drop => {}
        }
        if buffer.len() == before {
            buffer.push(b'-');
        }
        if self.quote {
            buffer.push(b'"');
        }
    }
}

/// Appends `text` so that it ends neither a quotation nor the line, and moves no cursor of a terminal.
pub(super) fn escape(buffer: &mut Vec<u8>, text: &str) {
    for letter in text.chars() {
        let written = match letter {
            '"' | '\\' => write!(buffer, "\\{letter}"),
            '\0'..='\x1f' | '\x7f' => write!(buffer, "\\x{:02x}", letter as u32),
            // Control characters of ISO 6429, and what else some readers take for the end of a line.
            '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(buffer, "\\u{:04x}", letter as u32)
            }
            _ => {
                buffer.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        written.expect("writing to memory cannot fail");
    }
}

pub(super) fn display(buffer: &mut Vec<u8>, value: impl Display) {
    write!(buffer, "{value}").expect("writing to memory cannot fail");
}
