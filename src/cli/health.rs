//! `healthcheck`: asks the gateway that runs with the same install configuration whether it is well.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::install::{Address, Host, Install};

/// How long the whole question may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest head of an answer that is read.
const HEAD_LIMIT: usize = 16 * 1024;

/// `OK: <url>` if the gateway answers 200 to `HEAD /ping`, otherwise why not.
pub(super) fn check(install: &Install) -> Result<String, String> {
    let Some(ping) = &install.ping else {
        return Err(
            "ping is not enabled; add `--ping` to the gateway and to this command".to_owned()
        );
    };
    let Some(entry_point) = install.entry_points.get(&ping.entry_point) else {
        return Err(format!("there is no entry point `{}` to ask", ping.entry_point));
    };
    let url = format!("http://{}/ping", entry_point.address.host_and_port());
    match ask(&entry_point.address, Instant::now() + LIMIT) {
        Ok(200) => Ok(format!("OK: {url}")),
        Ok(status) => Err(format!("bad health: {url} answered {status}")),
        Err(cause) => Err(format!("bad health: {url} does not answer: {cause}")),
    }
}

/// The status of the answer.
fn ask(address: &Address, deadline: Instant) -> std::io::Result<u16> {
    let mut stream = connect(address, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let host = address.host_and_port();
    let host = if host.starts_with(':') { format!("localhost{host}") } else { host.to_owned() };
    stream.write_all(
        format!("HEAD /ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < HEAD_LIMIT {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(part.get(..read).unwrap_or_default());
        if let Some(status) = status(&head)? {
            return Ok(status);
        }
    }
    Err(std::io::Error::other("the head of the answer is too long"))
}

/// The status in `head` once that is complete.
fn status(head: &[u8]) -> std::io::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let outcome = response.parse(head).map_err(std::io::Error::other)?;
    Ok(if outcome.is_complete() { response.code } else { None })
}

/// Connects to the first address that answers.
fn connect(address: &Address, deadline: Instant) -> std::io::Result<TcpStream> {
    let port = address.port();
    let at = |ip: IpAddr| SocketAddr::new(ip, port);
    let addresses = match address.host() {
        Host::Any => vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())],
        Host::Ip(ip) => vec![at(*ip)],
        Host::Name(name) => (name.as_str(), port).to_socket_addrs()?.collect(),
    };
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::install::EntryPoint;

    /// Answers one request with `answer` and returns what was asked.
    fn gateway(answer: &'static str) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let read = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (port, served)
    }

    fn install(port: u16) -> Install {
        let mut install = Install { ping: Some(Default::default()), ..Install::default() };
        let entry_point = EntryPoint::at(Address::any(port));
        install.entry_points.insert("traefik".to_owned(), entry_point);
        install
    }

    #[test]
    fn a_gateway_that_is_well_is_ok() {
        let (port, served) = gateway("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(check(&install(port)), Ok(format!("OK: http://:{port}/ping")));
        let asked = served.join().unwrap();
        assert!(asked.starts_with("HEAD /ping HTTP/1.1\r\n"), "{asked}");
    }

    #[test]
    fn a_gateway_that_is_about_to_stop_is_not() {
        let (port, served) = gateway("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(check(&install(port)).unwrap_err().ends_with("answered 503"));
        served.join().unwrap();
    }

    #[test]
    fn what_answers_something_else_is_not() {
        for answer in ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n"] {
            let (port, served) = gateway(answer);
            assert!(check(&install(port)).unwrap_err().contains("does not answer"), "{answer}");
            served.join().unwrap();
        }
    }

    #[test]
    fn without_ping_there_is_nobody_to_ask() {
        assert!(check(&Install::default()).unwrap_err().contains("--ping"));
    }
}
