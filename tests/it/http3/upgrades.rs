//! Upgrades: no request is lost, and connections end in the process that has them.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

use crate::harness::http3::{Secure, answer, get, in_time, until};
use crate::harness::server::{Gate, Server, ok};

const GRACE: &str = "[entryPoints.secure.transport.lifeCycle]\ngraceTimeOut = \"20s\"\n";

/// What the clients of a test have done.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    answered: AtomicUsize,
    connections: AtomicUsize,
    failures: Mutex<Vec<String>>,
    seen: Mutex<HashSet<String>>,
}

/// Asks without pause; where the gateway ends a connection, the client connects anew. A request that no server has seen
/// may then be sent again (RFC 9114 section 5.2).
async fn ask(secure: &Secure, number: usize, tally: &Tally) {
    let (mut client, mut round) = (None, 0);
    while !tally.stop.load(SeqCst) {
        let connected = match client.take() {
            Some(connected) => connected,
            None => {
                tally.connections.fetch_add(1, SeqCst);
                secure.client("open.example").await
            }
        };
        let mut connected = connected;
        let path = format!("/{number}/{round}");
        match connected.get(&path).await {
            Ok(answer) if answer.body == b"done" => {
                tally.answered.fetch_add(1, SeqCst);
                client = Some(connected);
                round += 1;
            }
            Ok(answer) => tally.failures.lock().push(format!("{path}: {answer:?}")),
            Err(error) if tally.seen.lock().contains(&path) => {
                tally.failures.lock().push(format!("{path} was served and failed: {error}"));
                round += 1;
            }
            Err(error) => println!("{path} is asked again: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_upgrades_under_load_fail_no_request() {
    const CLIENTS: usize = 8;
    let tally = Arc::new(Tally::default());
    let noting = Arc::clone(&tally);
    let server = Server::new(move |seen, stream| {
        noting.seen.lock().insert(seen.target.clone());
        stream.write_all(&ok("done"))
    });
    let secure = Secure::with(2, GRACE, &[server.address]);
    let secure = Arc::new(secure);
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (secure, tally) = (Arc::clone(&secure), Arc::clone(&tally));
        clients.spawn(async move { ask(&secure, number, &tally).await });
    }
    for round in 0..10 {
        let goal = tally.answered.load(SeqCst) + 20 * CLIENTS;
        until("requests are answered", || tally.answered.load(SeqCst) >= goal).await;
        secure.upgrade([1, 3, 2][round % 3]).await;
    }
    let goal = tally.answered.load(SeqCst) + 20 * CLIENTS;
    until("requests are answered", || tally.answered.load(SeqCst) >= goal).await;
    tally.stop.store(true, SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let (answered, connections) = (tally.answered.load(SeqCst), tally.connections.load(SeqCst));
    println!("{answered} answers on {connections} connections");
    assert_eq!(*tally.failures.lock(), [] as [String; 0]);
    assert!(
        connections <= CLIENTS * 11,
        "{connections} connections: some ended without an upgrade"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_runs_is_answered_by_the_old_process_even_if_the_client_moves() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |seen, stream| {
        if seen.target == "/slow" {
            inner.wait();
        }
        stream.write_all(&ok("done"))
    });
    let secure = Secure::with(2, GRACE, &[server.address]);
    let (endpoint, mut client) = secure.moving_client("open.example").await;
    let mut slow = client.begin(get("/slow")).await.unwrap();
    in_time(slow.finish()).await.unwrap();
    until("the server has the request", || server.count() == 1).await;
    for address in ["127.0.0.3:0", "127.0.0.4:0", "127.0.0.5:0"] {
        secure.upgrade(2).await;
        endpoint.rebind(UdpSocket::bind(address).unwrap()).unwrap();
        let mut other = secure.client("open.example").await;
        assert_eq!(other.get("/").await.unwrap().body, b"done");
    }
    assert!(client.get("/new").await.is_err(), "the connection takes no more requests");
    gate.open();
    assert_eq!(answer(&mut slow).await.unwrap().body, b"done");
    let end = in_time(client.driver).await.unwrap();
    assert!(end.is_h3_no_error(), "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_process_that_was_killed_are_reset_by_the_next_one() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |_, stream| {
        inner.wait();
        stream.write_all(&ok("done"))
    });
    let mut secure = Secure::with(1, GRACE, &[server.address]);
    let (endpoint, mut client) = secure.moving_client("open.example").await;
    let mut slow = client.begin(get("/slow")).await.unwrap();
    in_time(slow.finish()).await.unwrap();
    until("the server has the request", || server.count() == 1).await;
    secure.upgrade(1).await;
    secure.gateway.signal(nix::sys::signal::Signal::SIGKILL);
    until("it is gone", || !secure.gateway.is_alive()).await;
    // Its next packet that arrives is answered, long before the connection would be idle for too long.
    let mut driver = client.driver;
    let end = in_time(async {
        loop {
            endpoint.rebind(UdpSocket::bind("127.0.0.3:0").unwrap()).unwrap();
            let pause = std::time::Duration::from_millis(500);
            if let Ok(end) = tokio::time::timeout(pause, &mut driver).await {
                return end;
            }
        }
    });
    let end = end.await.unwrap();
    assert!(end.to_string().contains("reset"), "{end}");
    gate.open();
}

impl Secure {
    /// Has the gateway replaced by one with so many workers, while clients go on.
    async fn upgrade(&self, workers: usize) {
        let lines = format!("export PORTCULLIS_WORKERS={workers}");
        let program = self.gateway.program(&format!("workers-{workers}"), &lines);
        tokio::task::block_in_place(|| self.gateway.replace(&program, 60)).unwrap();
    }
}
