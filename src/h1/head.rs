//! Heads: bytes to typed heads, and where the body that follows ends (RFC 9112 sections 2 to 6).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::decoder::Decoder;
use super::{Error, Limits, Refusal};

/// A head and what it says of the message.
#[derive(Debug)]
pub(super) struct Head<T> {
    /// The head itself.
    pub(super) message: T,
    /// Where its body ends.
    pub(super) body: Decoder,
    /// Whether another message may follow on the connection.
    pub(super) keep_alive: bool,
}

/// Fields that a head may have without a place on the heap for them.
const FIELDS: usize = 128;

/// Room in a header map for the fields that the gateway adds, so that it need not grow.
const ADDED: usize = 8;

/// The end of the head at the beginning of `bytes`: after its empty line. The first `from` bytes hold no end.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    // The empty line may have begun before.
    let mut at = from.saturating_sub(2);
    while let Some(found) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at += found + 1;
        match bytes.get(at..) {
            Some([b'\n', ..]) => return Some(at + 1),
            Some([b'\r', b'\n', ..]) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Whether more bytes can make a request's head of these.
pub(super) fn may_become_request(bytes: &[u8]) -> bool {
    let mut room = [httparse::EMPTY_HEADER; 4];
    let result = httparse::Request::new(&mut room).parse(bytes);
    !result.is_err_and(|error| error != httparse::Error::TooManyHeaders)
}

/// Whether more bytes can make a response's head of these.
pub(super) fn may_become_response(bytes: &[u8]) -> bool {
    let mut room = [httparse::EMPTY_HEADER; 4];
    let result = httparse::Response::new(&mut room).parse(bytes);
    !result.is_err_and(|error| error != httparse::Error::TooManyHeaders)
}

/// Which of the fields about the message itself a head has, so that what is not there need not be looked up.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    length: bool,
    coding: bool,
    connection: bool,
}

/// The fields of a parsed head as a map. The values share the bytes of `head`.
fn fields(head: &Bytes, parsed: &[httparse::Header<'_>]) -> Result<(HeaderMap, Noted), Error> {
    let mut headers = HeaderMap::with_capacity(parsed.len() + ADDED);
    let mut noted = Noted::default();
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Error::Malformed("the name of a field"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        let value = value.map_err(|_| Error::Malformed("the value of a field"))?;
        noted.length |= name == CONTENT_LENGTH;
        noted.coding |= name == TRANSFER_ENCODING;
        noted.connection |= name == CONNECTION;
        headers.append(name, value);
    }
    Ok((headers, noted))
}

/// Room for the fields of a head in `'a`.
type Room<'r, 'a> = &'r mut [MaybeUninit<httparse::Header<'a>>];

/// Calls `parse` with room for the fields of `head`, on the stack if they are few.
fn with_room<'a, T>(
    head: &'a Bytes,
    limit: usize,
    parse: impl Fn(&'a Bytes, Room<'_, 'a>) -> Result<T, Failed>,
) -> Result<T, Error> {
    let mut few = [const { MaybeUninit::uninit() }; FIELDS];
    let result = match parse(head, &mut few[..limit.min(FIELDS)]) {
        Err(Failed::Parse(httparse::Error::TooManyHeaders)) if limit > FIELDS => {
            parse(head, &mut vec![MaybeUninit::uninit(); limit])
        }
        result => result,
    };
    result.map_err(Error::from)
}

/// Why a head was not parsed.
enum Failed {
    Parse(httparse::Error),
    Other(Error),
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Parse(httparse::Error::TooManyHeaders) => Self::TooLarge,
            Failed::Parse(httparse::Error::HeaderName) => Self::Malformed("the name of a field"),
            Failed::Parse(httparse::Error::HeaderValue) => Self::Malformed("the value of a field"),
            Failed::Parse(httparse::Error::Version) => Self::Malformed("the version"),
            Failed::Parse(_) => Self::Malformed("the first line"),
            Failed::Other(error) => error,
        }
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// Parses the head of a request, which is all of `head`.
pub(super) fn parse_request(head: &Bytes, limits: Limits) -> Result<Head<Request<()>>, Refusal> {
    let (mut message, noted) = with_room(head, limits.fields, request).map_err(refusal)?;
    let version = message.version();
    let headers = message.headers_mut();
    let length = one_length(headers, noted).map_err(refusal)?;
    let mut keep_alive = keeps_alive(version, headers, noted);
    let body = match coding(headers, noted) {
        Coding::None => Decoder::of_length(length.unwrap_or(0)),
        Coding::Chunked if version == Version::HTTP_11 => {
            // A length beside a coding is an attempt at something, or a client that is lost (RFC 9112 section 6.1).
            if length.is_some() {
                keep_alive = false;
                headers.remove(CONTENT_LENGTH);
            }
            Decoder::chunked()
        }
        // HTTP/1.0 knows no codings.
        Coding::Chunked => return Err(Refusal::MALFORMED),
        Coding::Other => return Err(Refusal::CODING),
    };
    Ok(Head { message, body, keep_alive })
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::TooLarge => Refusal::TOO_LARGE,
        _ => Refusal::MALFORMED,
    }
}

fn request<'a>(head: &'a Bytes, room: Room<'_, 'a>) -> Result<(Request<()>, Noted), Failed> {
    let mut parsed = httparse::Request::new(&mut []);
    let length = parsed.parse_with_uninit_headers(head, room).map_err(Failed::Parse)?;
    let wrong = || Failed::Other(Error::Malformed("the first line"));
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return Err(wrong()) };
    if length != httparse::Status::Complete(head.len()) {
        return Err(wrong());
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| wrong())?;
    *request.uri_mut() =
        self::target(head.slice_ref(target.as_bytes()), request.method()).ok_or_else(wrong)?;
    *request.version_mut() = version(parsed.version);
    let (headers, noted) = fields(head, parsed.headers).map_err(Failed::Other)?;
    *request.headers_mut() = headers;
    Ok((request, noted))
}

/// The target in one of its four forms (RFC 9112 section 3.2).
fn target(text: Bytes, method: &Method) -> Option<Uri> {
    if text.starts_with(b"/") {
        if memchr::memchr(b'#', &text).is_some() {
            // A fragment is never sent; the type of targets would cut it off, and others take it for a part of the path.
            return None;
        }
        // What the type of targets refuses goes on escaped. Traefik: so does Go's.
        let target = PathAndQuery::from_maybe_shared(text.clone())
            .or_else(|_| PathAndQuery::try_from(escape(&text)));
        return target.ok().map(Uri::from);
    }
    let uri = Uri::from_maybe_shared(text).ok()?;
    let is_whole = uri.scheme().is_some() && uri.authority().is_some();
    let is_asterisk = uri.path() == "*";
    (is_whole || is_asterisk || method == Method::CONNECT).then_some(uri)
}

/// Escapes what may not stand in a target as it is.
fn escape(target: &[u8]) -> String {
    let mut text = String::with_capacity(target.len() + 8);
    for &byte in target {
        match byte {
            b'<' | b'>' | b'"' | b'`' | b'\\' | b'^' | b'{' | b'|' | b'}' | 0x80.. => {
                text.push_str(&format!("%{byte:02X}"));
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

/// Parses the head of a response to a request with `method`, which is all of `head`.
pub(super) fn parse_response(
    head: &Bytes,
    limits: Limits,
    method: &Method,
) -> Result<Head<Response<()>>, Error> {
    let (mut message, noted) = with_room(head, limits.fields, response)?;
    let (status, version) = (message.status(), message.version());
    let headers = message.headers_mut();
    let length = one_length(headers, noted)?;
    let mut keep_alive = keeps_alive(version, headers, noted);
    let bodiless = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match coding(headers, noted) {
        _ if bodiless => Decoder::Done,
        Coding::None => match length {
            Some(length) => Decoder::of_length(length),
            None => Decoder::UntilEnd,
        },
        Coding::Chunked => {
            if length.is_some() {
                keep_alive = false;
                headers.remove(CONTENT_LENGTH);
            }
            Decoder::chunked()
        }
        Coding::Other => return Err(Error::Malformed("the transfer coding")),
    };
    keep_alive &= !matches!(body, Decoder::UntilEnd);
    Ok(Head { message, body, keep_alive })
}

fn response<'a>(head: &'a Bytes, room: Room<'_, 'a>) -> Result<(Response<()>, Noted), Failed> {
    let mut parsed = httparse::Response::new(&mut []);
    let length = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, head, room)
        .map_err(Failed::Parse)?;
    let wrong = || Failed::Other(Error::Malformed("the first line"));
    if length != httparse::Status::Complete(head.len()) {
        return Err(wrong());
    }
    let mut response = Response::new(());
    *response.status_mut() =
        parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(wrong)?;
    *response.version_mut() = version(parsed.version);
    let (headers, noted) = fields(head, parsed.headers).map_err(Failed::Other)?;
    *response.headers_mut() = headers;
    Ok((response, noted))
}

/// Parses trailers, with the empty line after them, which are all of `text`.
pub(super) fn parse_trailers(text: &Bytes) -> Result<HeaderMap, Error> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    match httparse::parse_headers(text, &mut room) {
        Ok(httparse::Status::Complete((length, parsed))) if length == text.len() => {
            fields(text, parsed).map(|(trailers, _)| trailers)
        }
        Ok(_) => Err(Error::Malformed("the trailers")),
        Err(error) => Err(Failed::Parse(error).into()),
    }
}

/// Whether another message may follow (RFC 9112 section 9.3).
fn keeps_alive(version: Version, headers: &HeaderMap, noted: Noted) -> bool {
    if !noted.connection {
        return version != Version::HTTP_10;
    }
    let says = |token: &str| {
        let mut lines = headers.get_all(CONNECTION).iter();
        lines.any(|line| has_token(line.as_bytes(), token))
    };
    match version {
        Version::HTTP_10 => says("keep-alive") && !says("close"),
        _ => !says("close"),
    }
}

/// Whether a comma separated list holds `token`, in any case.
pub fn has_token(list: &[u8], token: &str) -> bool {
    let mut items = list.split(|byte| *byte == b',');
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// As [`length`]; of repetitions one stays (RFC 9110 section 8.6).
fn one_length(headers: &mut HeaderMap, noted: Noted) -> Result<Option<u64>, Error> {
    if !noted.length {
        return Ok(None);
    }
    let found = length(headers)?;
    if let Some(length) = found
        && headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some()
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(found)
}

/// The one length that `Content-Length` tells. Digits and nothing else, however often it is repeated.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let length = digits(value.as_bytes());
        let length = length.ok_or(Error::Malformed("the content length"))?;
        if found.is_some_and(|other| other != length) {
            return Err(Error::Malformed("content lengths that differ"));
        }
        found = Some(length);
    }
    Ok(found)
}

/// A number of bytes, in digits and nothing else.
pub fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What `Transfer-Encoding` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
    Other,
}

/// Only `chunked`, once.
fn coding(headers: &HeaderMap, noted: Noted) -> Coding {
    if !noted.coding {
        return Coding::None;
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Coding::None,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
        _ => Coding::Other,
    }
}

#[cfg(test)]
mod tests;
