//! Servers behind the gateway: they note what they see and answer as they are told; they can freeze and die.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;

use super::client::{Fields, find, parse_request, read_chunks, take, take_head};

/// A request that a server saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// The first value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

type Answer = dyn Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync;

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    malformed: Mutex<Vec<String>>,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    frozen: AtomicBool,
    dead: AtomicBool,
}

/// A server on a port of its own, a thread for each connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Server {
    /// Answers 200 with `body` to everything.
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::new(move |_, stream| stream.write_all(&ok(body)))
    }

    /// Answers with these bytes to everything.
    pub(crate) fn sending(bytes: &'static [u8]) -> Self {
        Self::new(move |_, stream| stream.write_all(bytes))
    }

    /// Answers by `answer`; an error closes the connection.
    pub(crate) fn new(
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// As [`Server::new`], on this address.
    pub(crate) fn at(
        address: SocketAddr,
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let (shared, answer): (_, Arc<Answer>) = (Arc::clone(&state), Arc::new(answer));
        std::thread::spawn(move || accept(listener, shared, answer));
        Self { address, state }
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// How many requests it has seen.
    pub(crate) fn count(&self) -> usize {
        self.state.seen.lock().len()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.state.seen.lock().last().cloned().expect("the server saw no request")
    }

    /// Bytes that were no request.
    pub(crate) fn malformed(&self) -> Vec<String> {
        self.state.malformed.lock().clone()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Stops to accept, read and answer, as a stopped process does; the kernel goes on taking connections.
    pub(crate) fn freeze(&self) {
        self.state.frozen.store(true, SeqCst);
    }

    /// Goes on after [`Server::freeze`].
    pub(crate) fn thaw(&self) {
        self.state.frozen.store(false, SeqCst);
    }

    /// Ends as a killed process does: nobody listens, all connections end.
    pub(crate) fn kill(&self) {
        self.state.dead.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.state.streams.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        super::until("the server is gone", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.dead.store(true, SeqCst);
        self.state.frozen.store(false, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A whole response with a body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Something that servers wait for and tests open.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.0.store(true, SeqCst);
    }

    /// Waits until it is open.
    pub(crate) fn wait(&self) {
        super::until("the test opens the gate", || self.0.load(SeqCst));
    }
}

fn accept(listener: TcpListener, state: Arc<State>, answer: Arc<Answer>) {
    for stream in listener.incoming() {
        wait_while_frozen(&state);
        if state.dead.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let index = state.connections.fetch_add(1, SeqCst);
        state.streams.lock().push(stream.try_clone().unwrap());
        let (state, answer) = (Arc::clone(&state), Arc::clone(&answer));
        std::thread::spawn(move || serve(stream, index, &state, &*answer));
    }
}

fn wait_while_frozen(state: &State) {
    while state.frozen.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn serve(mut stream: TcpStream, index: usize, state: &State, answer: &Answer) {
    let mut buffer = Vec::new();
    let _ = stream.set_nodelay(true);
    loop {
        let seen = match receive(&mut stream, &mut buffer, index) {
            Ok(Some(seen)) => seen,
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                state.malformed.lock().push(error.to_string());
                break;
            }
            Err(_) => break,
        };
        wait_while_frozen(state);
        if state.dead.load(SeqCst) {
            break;
        }
        state.seen.lock().push(seen.clone());
        if answer(&seen, &mut stream).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<Seen>> {
    let Some(head) = take_head(stream, buffer)? else { return Ok(None) };
    let (method, target, _, headers) = parse_request(&head)?;
    let mut seen = Seen { method, target, headers, connection, ..Seen::default() };
    if seen.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if seen.header("transfer-encoding").is_some() {
        (seen.body, seen.trailers) = read_chunks(stream, buffer)?;
    } else if let Some(length) = seen.header("content-length") {
        let length = length.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        seen.body = take(stream, buffer, length)?;
    }
    Ok(Some(seen))
}
