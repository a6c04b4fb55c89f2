//! A small steady load that notes every failure; it honours `Connection: close`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use super::client::Client;

/// Clients that ask without pause until they are told to stop, or until nobody listens.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Starts `clients`, each with a connection of its own. Where nobody listens any more they end.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        Self::run(clients, move |stop, done| ask(address, stop, done, false))
    }

    /// As [`Load::start`]; a refused connection is a failure.
    pub(crate) fn never_refused(address: SocketAddr, clients: usize) -> Self {
        Self::run(clients, move |stop, done| ask(address, stop, done, true))
    }

    /// As [`Load::never_refused`], over h2.
    pub(crate) fn over_h2(address: SocketAddr, clients: usize) -> Self {
        Self::run(clients, move |stop, done| ask_over_h2(address, stop, done))
    }

    fn run(
        clients: usize,
        ask: impl Fn(&AtomicBool, &AtomicUsize) -> Vec<String> + Clone + Send + 'static,
    ) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let one = |_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let ask = ask.clone();
            std::thread::spawn(move || ask(&stop, &done))
        };
        let threads = (0..clients).map(one).collect();
        Self { stop, done, threads }
    }

    /// How many requests were answered so far.
    pub(crate) fn done(&self) -> usize {
        self.done.load(SeqCst)
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn until_more(&self, count: usize) {
        let goal = self.done() + count;
        super::until("the load goes on", || self.done() >= goal);
    }

    /// Stops and tells what failed.
    pub(crate) fn failures(self) -> Vec<String> {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn ask(
    address: SocketAddr,
    stop: &AtomicBool,
    done: &AtomicUsize,
    must_listen: bool,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client: Option<Client> = None;
    while !stop.load(SeqCst) && failures.len() < 20 {
        // A refused connection after the listener closed is no failure of the gateway.
        let mut open = match client.take().map_or_else(|| Client::try_connect(address), Ok) {
            Ok(open) => open,
            Err(error) if !must_listen && error.kind() == io::ErrorKind::ConnectionRefused => break,
            Err(error) => {
                failures.push(format!("connect: {error}"));
                continue;
            }
        };
        match request(&mut open) {
            Ok(closes) => {
                done.fetch_add(1, SeqCst);
                client = (!closes).then_some(open);
            }
            Err(failure) => failures.push(failure),
        }
    }
    failures
}

/// Whether the connection ends with the response.
fn request(client: &mut Client) -> Result<bool, String> {
    client
        .try_send("GET /load HTTP/1.1\r\nHost: it.example\r\n\r\n")
        .map_err(|error| format!("send: {error}"))?;
    match client.try_response("GET") {
        Ok(Some(response)) if response.status == 200 => Ok(response.closes()),
        Ok(Some(response)) => Err(format!("status {}", response.status)),
        Ok(None) => Err("closed without a response".to_owned()),
        Err(error) => Err(format!("receive: {error}")),
    }
}

fn ask_over_h2(address: SocketAddr, stop: &AtomicBool, done: &AtomicUsize) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut failures = Vec::new();
    while !stop.load(SeqCst) && failures.len() < 20 {
        if let Err(failure) = runtime.block_on(one_h2_connection(address, stop, done)) {
            failures.push(failure);
        }
    }
    failures
}

/// Asks on one connection until the gateway says that it takes no more requests.
async fn one_h2_connection(
    address: SocketAddr,
    stop: &AtomicBool,
    done: &AtomicUsize,
) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(address).await;
    let stream = stream.map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) =
        h2::client::handshake(stream).await.map_err(|error| format!("handshake: {error}"))?;
    let driven = async {
        // How the connection ends shows in the requests.
        let _ = connection.await;
        std::future::pending::<Result<(), String>>().await
    };
    let asked = async {
        let mut sender = sender;
        while !stop.load(SeqCst) {
            let Ok(mut ready) = sender.ready().await else { return Ok(()) };
            let request = http::Request::get("http://it.example/load").body(()).unwrap();
            let sent = ready.send_request(request, true);
            sender = ready;
            let Ok((answer, _)) = sent else { return Ok(()) };
            let answer = answer.await.map_err(|error| format!("h2 answer: {error}"))?;
            let (status, mut body) = (answer.status(), answer.into_body());
            while let Some(data) = body.data().await {
                data.map_err(|error| format!("h2 body: {error}"))?;
            }
            if status != 200 {
                return Err(format!("h2 status {status}"));
            }
            done.fetch_add(1, SeqCst);
        }
        Ok(())
    };
    tokio::pin!(driven, asked);
    tokio::select! { end = &mut asked => end, end = &mut driven => end }
}
