//! Asking the API of a running gateway.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ::http::Uri;
use serde_json::Value;

/// How long the gateway may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LIMIT: u64 = 256 << 20;

/// The JSON at `path` of the API at `url`.
pub(super) fn fetch(url: &str, path: &str) -> Result<Value, String> {
    let wrong =
        || format!("`{url}` is no URL of an API; expected one such as http://localhost:8080");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let path = format!("{}{path}", uri.path().trim_end_matches('/'));
    let failed = |error: std::io::Error| format!("http://{authority}{path}: {error}");
    let (status, body) = get(&authority, &path).map_err(failed)?;
    if status != 200 {
        return Err(format!("http://{authority}{path} answers {status}; is this the API?"));
    }
    serde_json::from_slice(&body).map_err(|error| format!("http://{authority}{path}: {error}"))
}

/// Status and body. HTTP/1.0, so that the body ends with the connection.
fn get(authority: &str, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let outcome = response.parse(&answer).map_err(std::io::Error::other)?;
    let (httparse::Status::Complete(head), Some(status)) = (outcome, response.code) else {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    Ok((status, answer.split_off(head)))
}

fn connect(authority: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}
