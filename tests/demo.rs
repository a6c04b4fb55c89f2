//! The demonstration, as a newcomer meets it: the program runs and everything that its guide says is tried.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running demonstration, killed if a test fails.
struct Demo {
    process: Child,
    web: u16,
    api: u16,
    routing: PathBuf,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["demo", "--port", "0", "--api-port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut guide = String::new();
        while !guide.contains("Ctrl-C ends") {
            guide.push_str(&lines.next().expect("the guide is whole").unwrap());
            guide.push('\n');
        }
        // What follows is log; somebody must take it, or the process would wait.
        std::thread::spawn(move || lines.for_each(drop));
        let routing = guide.lines().find(|line| line.ends_with("routing.yml")).unwrap();
        Self {
            process,
            web: port(&guide, "curl http://shop.localhost:"),
            api: port(&guide, "curl http://127.0.0.1:"),
            routing: routing.trim().into(),
        }
    }

    fn ask(&self, host: &str, path: &str, more: &str) -> String {
        request(self.web, host, path, more)
    }

    /// Asks until the answer is as wanted.
    fn ask_until(&self, host: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.ask(host, path, "");
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn port(guide: &str, before: &str) -> u16 {
    let (_, rest) = guide.split_once(before).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// The whole answer to one request; empty while nobody listens.
fn request(port: u16, host: &str, path: &str, more: &str) -> String {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return String::new();
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn everything_that_the_guide_says_works() {
    let mut demo = Demo::start();
    let first = demo.ask_until("shop.localhost", "/", |answer| answer.contains(" 200 "));
    let second = demo.ask("shop.localhost", "/", "");
    for name in ["shop-1", "shop-2"] {
        assert!(first.contains(name) || second.contains(name), "{first}\n{second}");
    }

    let stock = demo.ask("shop.localhost", "/api/items", "").to_ascii_lowercase();
    assert!(stock.contains("x-gate: portcullis\r\n"), "{stock}");
    assert!(stock.contains("get /items\n") && stock.contains("x-passed: the gate\n"), "{stock}");

    let refused = demo.ask("vault.localhost", "/", "");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    // guest:sesame
    let known = demo.ask("vault.localhost", "/", "Authorization: Basic Z3Vlc3Q6c2VzYW1l\r\n");
    assert!(known.contains("This is vault."), "{known}");

    let routers = request(demo.api, "127.0.0.1", "/api/http/routers", "");
    assert!(routers.contains("vault@file"), "{routers}");
    let metrics = request(demo.api, "127.0.0.1", "/metrics", "");
    assert!(metrics.contains("# TYPE "), "{metrics}");

    let text = std::fs::read_to_string(&demo.routing).unwrap();
    std::fs::write(&demo.routing, text.replace("      middlewares: [password]\n", "")).unwrap();
    demo.ask_until("vault.localhost", "/", |answer| answer.contains("This is vault."));

    kill(Pid::from_raw(demo.process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert!(demo.process.wait().unwrap().success());
    assert!(!demo.routing.exists(), "the folder is left behind");
}

#[test]
fn a_port_in_use_is_told_with_the_way_out() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["demo", "--port", &port])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("port {port} is in use")), "{message}");
    assert!(message.contains("--port"), "{message}");
}
