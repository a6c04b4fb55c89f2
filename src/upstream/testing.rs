//! For tests: servers over real sockets that do as they are told, and requests to send to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Version};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use portcullis_config::routing::http::ServersTransport;
use portcullis_middlewares::message::{Body, Connection, Parts, Request, Response, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::endpoint::{Address, Endpoint};
use super::transport::Transport;
use crate::net::task;
use crate::tls::client::ClientTls;

/// A server over HTTP/1.1 that answers as it is told.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    listening: tokio::task::JoinHandle<()>,
    connections: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

/// A request that a server got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    /// Everything before the body.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What a server does about a request.
pub(crate) struct Answer {
    pub(crate) bytes: String,
    pub(crate) then: Then,
}

/// What a server does after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Keep,
    Close,
    Reset,
}

/// An ordinary answer.
pub(crate) fn ok(body: &str) -> Answer {
    status(200, body)
}

/// An ordinary answer with a status.
pub(crate) fn status(code: u16, body: &str) -> Answer {
    let bytes = format!("HTTP/1.1 {code} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Answer { bytes, then: Then::Keep }
}

/// Exact bytes.
pub(crate) fn raw(bytes: &str, then: Then) -> Answer {
    Answer { bytes: bytes.to_owned(), then }
}

impl TestServer {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        let connections: Arc<Mutex<Vec<tokio::task::AbortHandle>>> = Arc::default();
        let open = Arc::clone(&connections);
        let listening = task::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let serving =
                    task::spawn(async move { serve(stream, connection, &*answer, &log).await });
                open.lock().push(serving.abort_handle());
            }
        });
        Self { address, seen, listening, connections }
    }

    /// A server that answers with its name.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::start(move |_| ok(name)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until it has seen that many requests.
    pub(crate) async fn wait_seen(&self, count: usize) -> Vec<Seen> {
        until(|| self.seen.lock().len() >= count).await;
        self.seen()
    }

    /// Ends at once with all its connections, as a killed process does.
    pub(crate) async fn kill(&mut self) {
        self.stop().await;
        self.connections.lock().iter().for_each(tokio::task::AbortHandle::abort);
    }

    /// Accepts no further connection.
    pub(crate) async fn stop(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    answer: &(dyn Fn(&Seen) -> Answer + Send + Sync),
    log: &Mutex<Vec<Seen>>,
) {
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer, connection).await {
        log.lock().push(seen.clone());
        let Answer { bytes, then } = answer(&seen);
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let end = |buffer: &[u8], what: &[u8]| {
        buffer.windows(what.len()).position(|window| window == what).map(|at| at + what.len())
    };
    let head = loop {
        if let Some(end) = end(buffer, b"\r\n\r\n") {
            break buffer.drain(..end).collect::<Vec<u8>>();
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length = length.map(|length| length.parse::<usize>().unwrap());
    let chunked = head.contains("transfer-encoding: chunked");
    let body = loop {
        let end = if chunked { end(buffer, b"0\r\n\r\n") } else { Some(length.unwrap_or(0)) };
        if let Some(end) = end.filter(|end| *end <= buffer.len()) {
            break buffer.drain(..end).collect::<Vec<u8>>();
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    Some(Seen { connection, head, body: String::from_utf8(body).unwrap() })
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A connection from 192.0.2.1.
pub(crate) fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        peer: "192.0.2.1:5000".parse().unwrap(),
        local: "192.0.2.254:80".parse().unwrap(),
        entry_point: "web".into(),
        tls: None,
        forwarded_for: None,
    })
}

/// `request("GET", "/a?b", &[("cookie", "a=b")])` for the host `example.com`.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    map.insert("host", HeaderValue::from_static("example.com"));
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Request::new(Parts {
        method: method.parse().unwrap(),
        target: Target::canonical(target.parse().unwrap()),
        version: Version::HTTP_11,
        headers: map,
        extensions: Extensions::new(),
        body: Body::Empty,
        connection: connection(),
    })
}

/// The whole body as text.
pub(crate) async fn text(response: Response) -> String {
    let bytes = response.body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The endpoint of a URL by a transport.
pub(crate) fn endpoint(url: &str, settings: &ServersTransport) -> Arc<Endpoint> {
    let (tls, problems) = ClientTls::compile("test", settings, None);
    let tls = tls.unwrap_or_else(|| panic!("{problems:?}"));
    let transport = Arc::new(Transport::new(settings, tls));
    Endpoint::new(Address::parse(url).unwrap(), transport)
}
