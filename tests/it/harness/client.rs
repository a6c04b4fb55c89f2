//! A client that sends the bytes it is told and reads whole responses.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// Header or trailer fields in their order.
pub(crate) type Fields = Vec<(String, String)>;

/// A response with all of its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Response {
    /// The first value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Whether the connection ends with it.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
    }
}

/// The first value of a field.
pub(crate) fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// What carries bytes both ways.
pub(crate) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// One connection.
pub(crate) struct Client {
    wire: Box<dyn Wire>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// Connects, or not.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self::on(stream))
    }

    /// A client on a stream that exists.
    pub(crate) fn on(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), buffer: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes, or not.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())?;
        self.wire.flush()
    }

    /// The next response to a GET or the like.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next response; to HEAD it has no body.
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        match self.try_response(method) {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the connection ended without a response"),
            Err(error) => {
                panic!("no whole response: {error}; left: {}", self.buffer.escape_ascii())
            }
        }
    }

    /// The next response; `None` if the connection ended before it.
    pub(crate) fn try_response(&mut self, method: &str) -> io::Result<Option<Response>> {
        let Some(mut response) = self.head()? else { return Ok(None) };
        let bodiless = method == "HEAD" || matches!(response.status, 100..=199 | 204 | 304);
        if bodiless {
            return Ok(Some(response));
        }
        if response.header("transfer-encoding").is_some() {
            (response.body, response.trailers) = read_chunks(&mut self.wire, &mut self.buffer)?;
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| wrong("a length"))?;
            response.body = take(&mut self.wire, &mut self.buffer, length)?;
        } else {
            while fill(&mut self.wire, &mut self.buffer)? {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(Some(response))
    }

    /// The next response head; `None` if the connection ended before it.
    pub(crate) fn head(&mut self) -> io::Result<Option<Response>> {
        let Some(head) = take_head(&mut self.wire, &mut self.buffer)? else { return Ok(None) };
        let mut fields = [httparse::EMPTY_HEADER; 300];
        let mut parsed = httparse::Response::new(&mut fields);
        parsed.parse(&head).map_err(|error| wrong(&error.to_string()))?;
        let status = parsed.code.ok_or_else(|| wrong("a status"))?;
        Ok(Some(Response { status, headers: owned(parsed.headers), ..Response::default() }))
    }

    /// Exactly so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        take(&mut self.wire, &mut self.buffer, count).unwrap()
    }

    /// Everything up to the end of the connection, however it ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < 2 * DEADLINE, "the connection does not end");
            match fill(&mut self.wire, &mut self.buffer) {
                Ok(true) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("the connection stays open")
                }
                Ok(false) | Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    /// Waits for the end of the connection; how long it took.
    pub(crate) fn until_closed(&mut self) -> Duration {
        let begun = Instant::now();
        self.rest();
        begun.elapsed()
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed message: {what}"))
}

fn owned(fields: &[httparse::Header<'_>]) -> Fields {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect()
}

/// Reads more; false at the end.
fn fill(wire: &mut (impl Read + ?Sized), buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 * 1024];
    let count = wire.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..count]);
    Ok(count > 0)
}

/// Takes a head with its empty line; `None` at the end before its first byte.
pub(crate) fn take_head(
    wire: &mut (impl Read + ?Sized),
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(buffer.drain(..end + 4).collect()));
        }
        if !fill(wire, buffer)? {
            return if buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Takes so many bytes.
pub(crate) fn take(
    wire: &mut (impl Read + ?Sized),
    buffer: &mut Vec<u8>,
    count: usize,
) -> io::Result<Vec<u8>> {
    while buffer.len() < count {
        if !fill(wire, buffer)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..count).collect())
}

fn take_line(wire: &mut (impl Read + ?Sized), buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            return Ok(buffer.drain(..end + 2).collect());
        }
        if !fill(wire, buffer)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Takes a chunked body and its trailers.
pub(crate) fn read_chunks(
    wire: &mut (impl Read + ?Sized),
    buffer: &mut Vec<u8>,
) -> io::Result<(Vec<u8>, Fields)> {
    let mut body = Vec::new();
    loop {
        let line = take_line(wire, buffer)?;
        let size = match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, size))) => size as usize,
            _ => return Err(wrong("a chunk size")),
        };
        if size == 0 {
            break;
        }
        let mut chunk = take(wire, buffer, size + 2)?;
        if chunk.split_off(size) != b"\r\n" {
            return Err(wrong("the end of a chunk"));
        }
        body.extend(chunk);
    }
    let mut block = Vec::new();
    loop {
        let line = take_line(wire, buffer)?;
        block.extend_from_slice(&line);
        if line == b"\r\n" {
            break;
        }
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    match httparse::parse_headers(&block, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => Ok((body, owned(fields))),
        _ => Err(wrong("trailers")),
    }
}

/// A request head as a server saw it.
pub(crate) fn parse_request(head: &[u8]) -> io::Result<(String, String, u8, Fields)> {
    let mut fields = [httparse::EMPTY_HEADER; 300];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(head).map_err(|error| wrong(&error.to_string()))?;
    let method = parsed.method.unwrap_or_default().to_owned();
    let target = parsed.path.unwrap_or_default().to_owned();
    Ok((method, target, parsed.version.unwrap_or_default(), owned(parsed.headers)))
}
