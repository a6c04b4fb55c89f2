//! Heads as text, and the framing of a body that goes out (RFC 9112 sections 3, 4, 6 and 7).

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, HOST,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body::Frame;

use super::output::Output;
use super::{Error, head};
use crate::net::date;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoder {
    /// There is no body; whatever comes is dropped.
    None,
    /// By its length, of which so much is left.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilEnd,
}

impl Encoder {
    /// Appends a frame to `output`.
    pub(super) fn frame(&mut self, frame: Frame<Bytes>, output: &mut Output) -> Result<(), Error> {
        match (frame.into_data(), &mut *self) {
            (Ok(data), _) if data.is_empty() => {}
            (_, Self::None) | (Err(_), Self::Length(_) | Self::UntilEnd) => {}
            (Ok(data), Self::Length(left)) => {
                let Some(rest) = left.checked_sub(data.len() as u64) else {
                    return Err(Error::Body("it is longer than announced".into()));
                };
                *left = rest;
                output.data(data, b"");
            }
            (Ok(data), Self::UntilEnd) => output.data(data, b""),
            (Ok(data), Self::Chunked) => {
                hexadecimal(output.head(), data.len());
                output.data(data, b"\r\n");
            }
            (Err(frame), Self::Chunked) => {
                if let Ok(mut trailers) = frame.into_trailers() {
                    for name in FORBIDDEN {
                        trailers.remove(name);
                    }
                    let head = output.head();
                    head.extend_from_slice(b"0\r\n");
                    fields(head, &trailers);
                    head.extend_from_slice(b"\r\n");
                    // The end has been written.
                    *self = Self::None;
                }
            }
        }
        Ok(())
    }

    /// Appends what ends the body.
    pub(super) fn end(&mut self, output: &mut Output) -> Result<(), Error> {
        match std::mem::replace(self, Self::None) {
            Self::Length(left) if left > 0 => {
                Err(Error::Body("it is shorter than announced".into()))
            }
            Self::Chunked => {
                output.end(b"0\r\n\r\n");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What a trailer may not say: it would change what the head said (RFC 9110 section 6.5.1).
const FORBIDDEN: &[HeaderName] = &[
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    HOST,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// The size of a chunk as its line.
fn hexadecimal(out: &mut Vec<u8>, size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let first = (usize::BITS - size.leading_zeros()).div_ceil(4);
    for place in (0..first).rev() {
        out.push(DIGITS[(size >> (4 * place)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// A number in decimal digits.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends the first line of a request.
pub(super) fn request_line(out: &mut Vec<u8>, method: &Method, target: &str) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends the first line of a response. A client of HTTP/1.0 is answered in its version.
pub(super) fn status_line(out: &mut Vec<u8>, version: Version, status: StatusCode) {
    if status == StatusCode::OK && version == Version::HTTP_11 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let version: &[u8] = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    out.extend_from_slice(version);
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("status code").as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a line for each field.
pub(super) fn fields(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        field(out, name, value);
    }
}

fn field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    canonical(out, name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a head says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// The length of the body.
    pub(super) length: Option<u64>,
    /// Whether the connection ends with the message.
    pub(super) closes: bool,
    /// Whether it is dated.
    dated: bool,
}

/// As [`fields`], without those about the framing of the body, which the encoder says.
pub(super) fn fields_but_framing(out: &mut Vec<u8>, headers: &HeaderMap) -> Result<Said, Error> {
    let mut said = Said::default();
    for (name, value) in headers {
        if *name == CONTENT_LENGTH {
            let length = head::digits(value.as_bytes());
            if length.is_none() || said.length.is_some_and(|other| Some(other) != length) {
                return Err(Error::Body("its length is no number".into()));
            }
            said.length = length;
            continue;
        }
        if *name == TRANSFER_ENCODING {
            continue;
        }
        said.dated |= *name == DATE;
        said.closes |= *name == CONNECTION && head::has_token(value.as_bytes(), "close");
        field(out, name, value);
    }
    Ok(said)
}

/// Appends a name in canonical form, `X-Foo`; some old servers depend on it. Traefik: WebSocket has its own spelling.
fn canonical(out: &mut Vec<u8>, name: &HeaderName) {
    let name = name.as_str().as_bytes();
    if let Some(rest) = name.strip_prefix(b"sec-websocket-") {
        out.extend_from_slice(b"Sec-WebSocket-");
        return capitals(out, rest);
    }
    capitals(out, name);
}

fn capitals(out: &mut Vec<u8>, name: &[u8]) {
    let begin = out.len();
    out.extend_from_slice(name);
    let mut upper = true;
    for byte in out.iter_mut().skip(begin) {
        if upper {
            byte.make_ascii_uppercase();
        }
        upper = *byte == b'-';
    }
}

impl Encoder {
    /// How the body of a response ends, and its field appended. `size` is the length of the body if that is known,
    /// `told` what the head says of it: a size that is known wins.
    pub(super) fn of_response(
        out: &mut Vec<u8>,
        (status, version): (StatusCode, Version),
        method: &Method,
        told: Option<u64>,
        size: Option<u64>,
    ) -> Self {
        if status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            // Traefik: Go's server tells no length of what it does not send, not even for 304.
            return Self::None;
        }
        if *method == Method::HEAD {
            // What a body would have been like is told, if it is known.
            if let Some(length) = told.or(size.filter(|size| *size > 0)) {
                content_length(out, length);
            }
            return Self::None;
        }
        match size.or(told) {
            Some(length) => {
                content_length(out, length);
                Self::Length(length)
            }
            None if version == Version::HTTP_10 => Self::UntilEnd,
            None => Self::chunked(out),
        }
    }

    /// As [`Encoder::of_response`], for a request.
    pub(super) fn of_request(out: &mut Vec<u8>, told: Option<u64>, size: Option<u64>) -> Self {
        match size.or(told) {
            Some(0) if told.is_none() => Self::None,
            Some(length) => {
                content_length(out, length);
                Self::Length(length)
            }
            None => Self::chunked(out),
        }
    }

    fn chunked(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        Self::Chunked
    }
}

fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Appends `Date` unless it is there (RFC 9110 section 6.6.1).
pub(super) fn date(out: &mut Vec<u8>, said: Said) {
    if said.dated {
        return;
    }
    out.extend_from_slice(b"Date: ");
    date::with_now(|date| out.extend_from_slice(date.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(build: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        build(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_in_both_bases() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, 65_535, 1_000_000] {
            assert_eq!(text(|out| decimal(out, number)), number.to_string());
        }
        for number in [1, 15, 16, 255, 256, 65_536, 1_234_567] {
            assert_eq!(text(|out| hexadecimal(out, number)), format!("{number:x}\r\n"));
        }
    }

    #[test]
    fn names_are_canonical() {
        let name = |name: &str| text(|out| canonical(out, &name.parse().unwrap()));
        assert_eq!(name("x-forwarded-for"), "X-Forwarded-For");
        assert_eq!(name("etag"), "Etag");
        assert_eq!(name("sec-websocket-key"), "Sec-WebSocket-Key");
    }

    #[test]
    fn a_body_must_keep_to_its_length() {
        let mut output = Output::default();
        let mut encoder = Encoder::Length(3);
        encoder.frame(Frame::data(Bytes::from_static(b"ab")), &mut output).unwrap();
        assert!(encoder.end(&mut output).is_err(), "too short");
        let mut encoder = Encoder::Length(1);
        assert!(encoder.frame(Frame::data(Bytes::from_static(b"ab")), &mut output).is_err());
    }

    #[test]
    fn the_end_of_a_response_is_told() {
        let framed = |status: u16, version, method: &Method, told, size| {
            let (mut out, status) = (Vec::new(), StatusCode::from_u16(status).unwrap());
            let encoder = Encoder::of_response(&mut out, (status, version), method, told, size);
            (encoder, String::from_utf8(out).unwrap())
        };
        let (get, head) = (&Method::GET, &Method::HEAD);
        let (one, two) = (Version::HTTP_11, Version::HTTP_10);
        let length = |length: u64| format!("Content-Length: {length}\r\n");
        let chunked = (Encoder::Chunked, "Transfer-Encoding: chunked\r\n".to_owned());
        assert_eq!(framed(200, one, get, None, None), chunked);
        assert_eq!(framed(200, two, get, None, None), (Encoder::UntilEnd, String::new()));
        assert_eq!(framed(200, one, get, None, Some(4)), (Encoder::Length(4), length(4)));
        assert_eq!(framed(200, one, get, Some(7), None), (Encoder::Length(7), length(7)));
        assert_eq!(framed(200, one, get, Some(7), Some(4)), (Encoder::Length(4), length(4)));
        assert_eq!(framed(204, one, get, None, Some(4)), (Encoder::None, String::new()));
        assert_eq!(framed(304, one, get, Some(4), None), (Encoder::None, String::new()));
        assert_eq!(framed(200, one, head, None, Some(4)), (Encoder::None, length(4)));
        assert_eq!(framed(200, one, head, Some(7), Some(0)), (Encoder::None, length(7)));
    }

    #[test]
    fn lengths_that_differ_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_LENGTH, 7.into());
        let mut out = Vec::new();
        assert_eq!(fields_but_framing(&mut out, &headers).unwrap().length, Some(7));
        assert!(out.is_empty());
        headers.append(CONTENT_LENGTH, 8.into());
        assert!(fields_but_framing(&mut out, &headers).is_err());
    }
}
