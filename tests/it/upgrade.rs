//! Upgrades: a new process takes over, and nobody notices.

use std::io::{Read as _, Write as _};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::client::Client;
use crate::harness::load::Load;
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, all_to, serves_as, until};

const GATEWAY: &str = env!("CARGO_BIN_EXE_portcullis");
const GRACE: &str = "[entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"20s\"\n";

/// Waits until a process that is no child of the test has ended.
fn until_gone(gateway: &Gateway, process: Pid) {
    until("it ends", || !serves_as(process, &gateway.path("install.toml")));
}

#[test]
fn upgrades_under_load_fail_no_request() {
    let server = Server::saying("served");
    let mut gateway = Gateway::on_workers(2, GRACE, &all_to(&[server.address]));
    let (h1, h2) = (Load::never_refused(gateway.web, 4), Load::over_h2(gateway.web, 2));
    let mut last = gateway.pid();
    for round in 0..5 {
        h1.until_more(100);
        h2.until_more(50);
        let next = gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
        if round == 0 {
            assert_eq!(gateway.wait().code(), Some(0));
        } else {
            until_gone(&gateway, last);
        }
        last = next;
    }
    h1.until_more(100);
    h2.until_more(50);
    assert_eq!(h1.failures(), [] as [String; 0]);
    assert_eq!(h2.failures(), [] as [String; 0]);
    // The last one ends as the first would have.
    kill(last, Signal::SIGTERM).unwrap();
    until_gone(&gateway, last);
    assert!(Client::try_connect(gateway.web).is_err());
    assert!(!gateway.path("control").exists());
}

#[test]
fn the_number_of_workers_may_change() {
    let server = Server::saying("served");
    let mut gateway = Gateway::on_workers(2, GRACE, &all_to(&[server.address]));
    let load = Load::never_refused(gateway.web, 4);
    for workers in [1, 3, 2, 5, 1] {
        let lines = format!("export PORTCULLIS_WORKERS={workers}");
        let program = gateway.program("new", &lines);
        let process = gateway.upgrade(&program, 60).unwrap();
        load.until_more(50);
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let names = threads.map(|it| std::fs::read_to_string(it.unwrap().path().join("comm")));
        let named = names.filter(|name| name.as_ref().is_ok_and(|it| it.starts_with("worker-")));
        assert_eq!(named.count(), workers);
        // Each queue has somebody who accepts from it.
        for _ in 0..40 {
            assert_eq!(gateway.get("/").text(), "served");
        }
    }
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn a_web_socket_ends_in_the_old_process() {
    let server = Server::new(|_, stream| {
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )?;
        let mut bytes = [0; 64];
        loop {
            match stream.read(&mut bytes)? {
                0 => return Ok(()),
                count => stream.write_all(&bytes[..count])?,
            }
        }
    });
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let mut socket = gateway.client_sending(
        "GET /chat HTTP/1.1\r\nHost: it.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(socket.response().status, 101);
    gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
    for word in ["one", "two", "three"] {
        socket.send(word);
        assert_eq!(socket.bytes(word.len()), word.as_bytes());
    }
    assert!(gateway.is_alive(), "the old process has the socket");
    drop(socket);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_serving() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let load = Load::never_refused(gateway.web, 2);
    let dies = gateway.program("dies", "exit 3");
    let hangs = gateway.program("hangs", "exec sleep 600");
    let refuses = gateway.program("refuses", "set -- --no.such.flag");
    for (program, seconds, reason) in [
        (Path::new("/no/such/program"), 60, "cannot start"),
        (&*dies, 60, "exit status: 3"),
        (&*hangs, 1, "not ready within 1s"),
        (&*refuses, 60, "no.such.flag"),
    ] {
        let error = gateway.upgrade(program, seconds).unwrap_err();
        assert!(error.contains(reason), "{error}");
        until("it says why", || {
            let log = gateway.log();
            log.lines()
                .any(|line| line.contains("cannot upgrade, and serve on") && line.contains(reason))
        });
        load.until_more(20);
        assert!(gateway.is_alive());
    }
    let good = std::fs::read_to_string(gateway.path("install.toml")).unwrap();
    std::fs::write(gateway.path("install.toml"), "entryPoints = 5").unwrap();
    let error = gateway.upgrade(Path::new(GATEWAY), 60).unwrap_err();
    assert!(error.contains("install.toml"), "{error}");
    // After all that, one that is well takes over.
    std::fs::write(gateway.path("install.toml"), good).unwrap();
    gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
    load.until_more(20);
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn the_signal_starts_the_same_program_with_the_newest_configuration() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with("[ping]\nentryPoint = \"web\"\n", &all_to(&[server.address]));
    let install = gateway.path("install.toml");
    let text = std::fs::read_to_string(&install).unwrap();
    std::fs::write(&install, text.replace("[ping]", "[ping]\nmanualRouting = true")).unwrap();
    assert_eq!(gateway.get("/ping").text(), "OK");
    gateway.signal(Signal::SIGUSR2);
    assert_eq!(gateway.wait().code(), Some(0));
    let log = gateway.log();
    let words = log.split("process ").filter_map(|rest| rest.split_once(" has taken over"));
    let process = Pid::from_raw(words.last().unwrap().0.parse().unwrap());
    assert_eq!(gateway.get("/ping").text(), "served");
    kill(process, Signal::SIGTERM).unwrap();
    until_gone(&gateway, process);
}

#[test]
fn the_end_of_the_old_one_ends_a_successor_that_is_not_ready() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let pid = gateway.path("pid");
    let lines = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", pid.display());
    let hangs = gateway.program("hangs", &lines);
    let control = gateway.path("control");
    let mut asker = std::os::unix::net::UnixStream::connect(control).unwrap();
    asker.write_all(format!("upgrade 60 {}\n", hangs.display()).as_bytes()).unwrap();
    until("it has started", || pid.exists());
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.wait().code(), Some(0));
    let process: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    until("it is killed", || kill(Pid::from_raw(process), None).is_err());
    let mut rest = String::new();
    asker.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn systemd_learns_the_new_main_process() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(GRACE, &all_to(&[server.address]));
    let path = gateway.path("notify");
    let systemd = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = gateway.program("told", &format!("export NOTIFY_SOCKET={}", path.display()));
    gateway.upgrade(&told, 60).unwrap();
    let newest = gateway.upgrade(Path::new(GATEWAY), 60).unwrap();
    let mut word = [0; 64];
    let length = systemd.recv(&mut word).unwrap();
    assert_eq!(String::from_utf8_lossy(&word[..length]), format!("MAINPID={newest}"));
}
