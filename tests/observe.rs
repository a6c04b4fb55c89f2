//! What operators see of a running gateway: API, health answer, metrics, access log, the log itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway with a back end, killed if a test fails.
struct Gateway {
    process: Child,
    web: u16,
    internal: u16,
    directory: tempfile::TempDir,
}

fn routing(back_end: u16) -> String {
    format!(
        "http:\n  routers:\n    r: {{rule: 'PathPrefix(`/r`)', service: s, entryPoints: [web]}}\n  \
         services:\n    s: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:{back_end}'}}]}}}}\n"
    )
}

impl Gateway {
    /// Starts with entry points `web` and `traefik` at free ports and `more` install configuration, in which `DIR`
    /// stands for a directory of the test's own.
    fn start(more: &str) -> Self {
        let mut gateway = Self::start_at((0, 0), "0s", more);
        let mut lines = BufReader::new(gateway.process.stdout.take().unwrap()).lines();
        while gateway.web == 0 || gateway.internal == 0 {
            let line = lines.next().expect("the gateway says where it listens").unwrap();
            let port =
                || line.split_once("127.0.0.1:").unwrap().1.split(' ').next().unwrap().parse();
            if line.contains("entry_point=web") {
                gateway.web = port().unwrap();
            } else if line.contains("entry_point=traefik") {
                gateway.internal = port().unwrap();
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        gateway
    }

    /// The same at known ports; accepts requests for `grace` after it was told to stop.
    fn start_at((web, internal): (u16, u16), grace: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("routing.yml"), routing(back_end())).unwrap();
        let cycle = format!("transport: {{lifeCycle: {{requestAcceptGraceTimeout: {grace}}}}}");
        let mut install = format!(
            "entryPoints:\n  web: {{address: '127.0.0.1:{web}', {cycle}}}\n  \
             traefik: {{address: '127.0.0.1:{internal}', {cycle}}}\n\
             providers: {{file: {{filename: '{}'}}}}\n",
            path("routing.yml").display()
        );
        install.push_str(&more.replace("DIR", &directory.path().display().to_string()));
        std::fs::write(path("install.yml"), install).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg(format!("--configFile={}", path("install.yml").display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, web, internal, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    fn web(&self, path: &str) -> String {
        ask(self.web, path)
    }

    fn internal(&self, path: &str) -> String {
        ask(self.internal, path)
    }

    /// Waits until the router of the file serves.
    fn ready(&self) {
        until(|| self.web("/r").starts_with("HTTP/1.1 200"));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that answers every connection once.
fn back_end() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// The whole answer to one request; empty where nobody listens.
fn ask(port: u16, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return String::new();
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_ok() {
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited too long");
        std::thread::yield_now();
    }
}

#[test]
fn the_api_tells_of_the_file() {
    let gateway = Gateway::start("api: {insecure: true}\nping: {}\n");
    gateway.ready();
    let answer = gateway.internal("/api/http/routers/r@file");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    let router: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&router["status"], &router["using"][0]), (&"enabled".into(), &"web".into()));
    assert!(gateway.internal("/").contains("/dashboard/"));
    assert!(gateway.internal("/dashboard/").contains("Portcullis"));
    assert!(gateway.internal("/ping").ends_with("\r\n\r\nOK"));
    // Only where it was asked for.
    assert!(gateway.web("/api/overview").starts_with("HTTP/1.1 404"));
}

#[test]
fn the_health_answer_fails_while_the_gateway_stops() {
    let more = "ping: {terminatingStatusCode: 410}\nlog: {filePath: 'DIR/log', format: json, level: DEBUG}\n";
    // The log is a file here, so the ports must be known beforehand.
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let gateway = Gateway::start_at((free(), free()), "10s", more);
    until(|| gateway.internal("/ping").ends_with("OK"));
    gateway.signal(Signal::SIGTERM);
    until(|| gateway.internal("/ping").starts_with("HTTP/1.1 410 Gone"));
    gateway.ready();
    let log = std::fs::read_to_string(gateway.file("log")).unwrap();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string()
        );
    }
    assert!(log.contains("reloaded: "), "{log}");
}

#[test]
fn requests_are_counted_and_series_of_removed_objects_disappear() {
    let gateway = Gateway::start("metrics: {prometheus: {addRoutersLabels: true}}\n");
    gateway.ready();
    let series = "service=\"s@file\"} ";
    let line = format!(
        "traefik_router_requests_total{{code=\"200\",method=\"GET\",protocol=\"http\",router=\"r@file\",{series}"
    );
    until(|| gateway.internal("/metrics").contains(&line));
    let metrics = gateway.internal("/metrics");
    for name in ["process_cpu_seconds_total ", "portcullis_provider_up{provider=\"file\"} 1"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    // Internal services do not count.
    assert!(!metrics.contains("router=\"prometheus@internal\""), "{metrics}");
    std::fs::write(gateway.file("routing.yml"), "http: {}\n").unwrap();
    until(|| !gateway.internal("/metrics").contains("r@file"));
    let metrics = gateway.internal("/metrics");
    assert!(metrics.contains("traefik_entrypoint_requests_total{code=\"200\""), "{metrics}");
}

#[test]
fn the_access_log_is_opened_anew_after_a_signal() {
    let gateway = Gateway::start("accessLog: {filePath: 'DIR/access.log', format: json}\n");
    gateway.ready();
    let path = gateway.file("access.log");
    // Lines of requests before the file was read come first.
    until(|| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().any(|it| it["RouterName"] == "r@file" && it["OriginStatus"] == 200)
    });
    std::fs::rename(&path, gateway.file("old")).unwrap();
    gateway.signal(Signal::SIGUSR1);
    until(|| path.exists());
    gateway.web("/r/new");
    until(|| std::fs::read_to_string(&path).unwrap().contains("/r/new"));
}

#[test]
fn an_access_log_that_nobody_reads_blocks_no_request() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gateway = Gateway::start(&format!(
        "metrics: {{prometheus: {{}}}}\naccessLog: {{filePath: '{}'}}\n",
        pipe.display()
    ));
    gateway.ready();
    // More than the pipe, the batch that is being written and the buffers hold.
    let path = format!("/r/{}", "x".repeat(8000));
    let dropped = || {
        let metrics = gateway.internal("/metrics");
        let line =
            metrics.lines().find(|it| it.starts_with("portcullis_access_log_dropped_total "));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    for round in 0.. {
        assert!(gateway.web(&path).starts_with("HTTP/1.1 200"), "round {round}");
        if round % 50 == 0 && dropped() > 0.0 {
            break;
        }
        assert!(round < 5000, "nothing was dropped");
    }
}
