//! Upgrades: no datagram is lost, and sessions keep their server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use super::*;
use crate::harness::serves_as;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const GATEWAY: &str = env!("CARGO_BIN_EXE_portcullis");

/// A server that answers with the port that it was asked from: that of the session.
fn sessions() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let text = format!("{} {}", peer.port(), String::from_utf8_lossy(&buffer[..length]));
            let _ = socket.send_to(text.as_bytes(), peer);
        }
    });
    address
}

/// Clients that ask again and again.
struct Asking {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Asking {
    /// Starts `count` of them; each asks by what `make` gives, and tells what goes wrong.
    fn start<A>(count: usize, make: impl Fn(usize) -> A) -> Self
    where
        A: FnMut(usize) -> Result<(), String> + Send + 'static,
    {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let thread = |number| {
            let (stop, done, mut ask) = (Arc::clone(&stop), Arc::clone(&done), make(number));
            std::thread::spawn(move || {
                let mut failures = Vec::new();
                for round in 0.. {
                    if stop.load(SeqCst) {
                        break;
                    }
                    failures.extend(ask(round).err());
                    done.fetch_add(1, SeqCst);
                }
                failures
            })
        };
        let threads = (0..count).map(thread).collect();
        Self { stop, done, threads }
    }

    fn until_more(&self, count: usize) {
        let goal = self.done.load(SeqCst) + count;
        until("questions go on", || self.done.load(SeqCst) >= goal);
    }

    fn failures(self) -> Vec<String> {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

/// Asks in one session, which must stay the same.
fn in_one_session(address: SocketAddr) -> impl FnMut(usize) -> Result<(), String> + Send {
    let socket = client(address);
    let mut session = None;
    move |round| {
        let answer = ask(&socket, &round.to_string()).ok_or("no answer in a session")?;
        let (port, said) = answer.split_once(' ').ok_or("nonsense")?;
        let same = session.get_or_insert_with(|| port.to_owned()) == port;
        if !same || said != round.to_string() {
            return Err(format!("{answer} in session {session:?}, round {round}"));
        }
        Ok(())
    }
}

/// Asks a name server for `known.test`, each time as another client. As every resolver it asks once more: at full load the
/// kernel drops a datagram now and then, upgrade or not.
fn as_new_client(address: SocketAddr) -> impl FnMut(usize) -> Result<(), String> + Send {
    move |round| {
        let number = (round as u16).to_be_bytes();
        let question =
            b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05known\x04test\x00\x00\x01\x00\x01";
        let socket = client(address);
        let mut answer = [0; 512];
        let mut once = || {
            socket.send(&[&number[..], question].concat())?;
            socket.recv(&mut answer)
        };
        let length = once().or_else(|error| {
            println!("{round} is asked again: {error}");
            once()
        });
        let length = length.map_err(|error| format!("no answer to {round}: {error}"))?;
        let answer = &answer[..length];
        let right = answer.starts_with(&number) && answer.ends_with(&[192, 0, 2, 53]);
        right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

#[test]
fn names_are_resolved_and_sessions_go_on_over_five_upgrades() {
    let (names, server) = (Dnsmasq::start(), sessions());
    let (mut gateway, address) = gateway("60s", &routes(&[names.1]));
    until("names are resolved", || as_new_client(address)(1).is_ok());
    gateway.reload(&routes(&[server]));
    // These have their sessions in the first process, over all upgrades.
    let long = Asking::start(8, |_| in_one_session(address));
    long.until_more(50);
    gateway.reload(&routes(&[names.1]));
    let new = Asking::start(2, |_| as_new_client(address));
    for workers in [2, 1, 3, 5, 2] {
        new.until_more(20);
        long.until_more(100);
        let lines = format!("export PORTCULLIS_WORKERS={workers}");
        let program = gateway.program("new", &lines);
        gateway.upgrade(&program, 60).unwrap();
    }
    new.until_more(50);
    long.until_more(100);
    println!(
        "{} names, {} datagrams of long sessions",
        new.done.load(SeqCst),
        long.done.load(SeqCst)
    );
    assert_eq!(new.failures(), [] as [String; 0]);
    assert_eq!(long.failures(), [] as [String; 0]);
    assert!(gateway.is_alive(), "the first process has the sessions");
}

#[test]
fn sessions_of_a_process_that_is_gone_begin_anew() {
    let (mut gateway, address) = gateway("60s", &routes(&[sessions()]));
    let (socket, other) = (client(address), client(address));
    let first = ask(&socket, "a").unwrap();
    let process = gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
    assert_eq!(ask(&socket, "a").unwrap(), first);
    let newer = ask(&other, "b").unwrap();
    gateway.signal(Signal::SIGKILL);
    gateway.wait();
    assert_ne!(ask(&socket, "a").unwrap(), first);
    assert_eq!(ask(&other, "b").unwrap(), newer);
    // The process that was killed may have said so, too.
    let stopping = || gateway.log().matches("stopping").count();
    let before = stopping();
    kill(process, Signal::SIGTERM).unwrap();
    // Sessions may go on until the grace time is over; there is none for a second signal.
    until("it stops", || stopping() > before);
    kill(process, Signal::SIGINT).unwrap();
    until("it ends", || !serves_as(process, &gateway.path("install.toml")));
}

#[test]
fn a_process_reads_on_where_the_next_one_does_not_want_to() {
    let (mut gateway, address) = gateway("60s", &routes(&[sessions()]));
    let socket = client(address);
    let first = ask(&socket, "a").unwrap();
    let install = gateway.path("install.toml");
    let text = std::fs::read_to_string(&install).unwrap();
    let without = text.replace("/udp\"\n[entryPoints.dns.udp]\ntimeout = \"60s\"", "\"");
    assert_ne!(text, without);
    std::fs::write(&install, without).unwrap();
    let _: Pid = gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&socket, "a").unwrap(), first);
    }
    assert!(gateway.is_alive());
}
