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
    /// Starts `clients`, each with a connection of its own.
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let one = |_| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            std::thread::spawn(move || ask(address, &stop, &done))
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

fn ask(address: SocketAddr, stop: &AtomicBool, done: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client: Option<Client> = None;
    while !stop.load(SeqCst) && failures.len() < 20 {
        // A refused connection after the listener closed is no failure of the gateway.
        let mut open = match client.take().map_or_else(|| Client::try_connect(address), Ok) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => break,
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
