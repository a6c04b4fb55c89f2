//! What every test needs: a gateway process, servers behind it, clients before it, and conditions with a deadline.

pub(crate) mod client;
pub(crate) mod frames;
#[cfg(feature = "http3")]
pub(crate) mod http3;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod server;

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tempfile::TempDir;

use client::{Client, Response};

/// How long anything may take; long, as test machines are slow, and never waited for when all is well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; fails when it does not within [`DEADLINE`].
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A gateway process with three entry points: `web` (where routers are by default), `secure`, and one for the harness.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    pub(crate) web: SocketAddr,
    pub(crate) secure: SocketAddr,
    ready: SocketAddr,
    generation: u32,
    /// The processes that took over, the newest last.
    successors: Mutex<Vec<Pid>>,
}

impl Gateway {
    /// A gateway with one worker and these routes (TOML), which are served when it returns.
    pub(crate) fn new(routes: &str) -> Self {
        Self::with("", routes)
    }

    /// As [`Gateway::new`], with more install configuration (TOML).
    pub(crate) fn with(install: &str, routes: &str) -> Self {
        Self::on_workers(1, install, routes)
    }

    /// As [`Gateway::with`], with so many workers.
    pub(crate) fn on_workers(workers: usize, install: &str, routes: &str) -> Self {
        let environment = [("PORTCULLIS_WORKERS", workers.to_string())];
        Self::in_environment(&environment, install, routes)
    }

    /// As [`Gateway::with`], with these variables.
    pub(crate) fn in_environment(
        environment: &[(&str, String)],
        install: &str,
        routes: &str,
    ) -> Self {
        for _ in 0..5 {
            if let Some(mut gateway) = Self::start(environment, install, routes)
                && gateway.wait_until_ready()
            {
                return gateway;
            }
        }
        panic!("the gateway does not start");
    }

    fn start(environment: &[(&str, String)], install: &str, routes: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [web, secure, ready] = free_addresses();
        let dynamic = folder.path().join("routes");
        fs::create_dir(&dynamic).unwrap();
        let text = format!(
            "[entryPoints.web]\naddress = \"{web}\"\nasDefault = true\n\
             [entryPoints.secure]\naddress = \"{secure}\"\n\
             [entryPoints.ready]\naddress = \"{ready}\"\n\
             [providers.file]\ndirectory = {dynamic:?}\nwatch = true\n{install}\n"
        );
        let file = folder.path().join("install.toml");
        fs::write(&file, text).unwrap();
        fs::write(dynamic.join("main.toml"), marked(routes, 1)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .arg(format!("--configFile={}", file.display()))
            .env("PORTCULLIS_WORKERS", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("PORTCULLIS_CONTROL", folder.path().join("control"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .ok()?;
        Some(Self {
            child,
            folder,
            web,
            secure,
            ready,
            generation: 1,
            successors: Mutex::default(),
        })
    }

    /// Whether it serves; not if the process ended, as when somebody else took a port.
    fn wait_until_ready(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait().unwrap() {
                std::io::stderr().write_all(self.log().as_bytes()).unwrap();
                assert_ne!(status.code(), Some(2), "the command line is wrong");
                return false;
            }
            if self.serves_generation(1) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the gateway is not ready in time: {}", self.log());
    }

    fn serves_generation(&self, generation: u32) -> bool {
        let Ok(mut client) = Client::try_connect(self.ready) else { return false };
        let request = format!("GET /generation-{generation} HTTP/1.1\r\nHost: ready\r\n\r\n");
        client.try_send(request).is_ok()
            && client.try_response("GET").is_ok_and(|it| it.is_some_and(|it| it.status == 302))
    }

    /// The folder that the file provider watches.
    pub(crate) fn routes_folder(&self) -> PathBuf {
        self.folder.path().join("routes")
    }

    /// A place for files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the routes by rename and waits until they are served.
    pub(crate) fn reload(&mut self, routes: &str) {
        let text = self.next_generation(routes);
        let file = self.routes_folder().join("main.toml");
        let new = self.folder.path().join("new.toml");
        fs::write(&new, text).unwrap();
        fs::rename(new, file).unwrap();
        self.until_applied();
    }

    /// Routes as a file that tells, once served, that it is.
    pub(crate) fn next_generation(&mut self, routes: &str) -> String {
        self.generation += 1;
        marked(routes, self.generation)
    }

    /// Waits until the newest generation is served.
    pub(crate) fn until_applied(&self) {
        until("the newest routes are served", || self.serves_generation(self.generation));
    }

    /// A client on the entry point `web`.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.web)
    }

    /// A client that has sent this.
    pub(crate) fn client_sending(&self, bytes: &str) -> Client {
        let mut client = self.client();
        client.send(bytes);
        client
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Response {
        let mut client = self.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n"));
        client.response()
    }

    /// Sends bytes on a connection of their own and gives the first response.
    pub(crate) fn exchange(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = self.client();
        client.send(bytes);
        client.response()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Has the process, or the newest that took over from it, replaced by `program`; gives what went wrong.
    pub(crate) fn upgrade(&mut self, program: &Path, seconds: u16) -> Result<Pid, String> {
        self.replace(program, seconds)
    }

    /// As [`Gateway::upgrade`], while clients use it.
    pub(crate) fn replace(&self, program: &Path, seconds: u16) -> Result<Pid, String> {
        let control = format!("--control={}", self.path("control").display());
        let asked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["upgrade", &control, "--timeout", &seconds.to_string()])
            .arg(program)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        let process = said.split_whitespace().find_map(|word| word.parse().ok());
        match process {
            Some(process) if asked.status.success() => {
                self.successors.lock().push(Pid::from_raw(process));
                Ok(Pid::from_raw(process))
            }
            _ => Err(String::from_utf8_lossy(&asked.stderr).into_owned()),
        }
    }

    /// A program that runs these lines of a shell before it becomes the gateway.
    pub(crate) fn program(&self, name: &str, lines: &str) -> PathBuf {
        let (path, gateway) = (self.path(name), env!("CARGO_BIN_EXE_portcullis"));
        fs::write(&path, format!("#!/bin/sh\n{lines}\nexec {gateway} \"$@\"\n")).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, executable).unwrap();
        path
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the gateway ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Open sockets that are connected, to clients and servers alike.
    pub(crate) fn connections(&self) -> usize {
        let sockets: HashSet<String> = fs::read_dir(self.proc("fd"))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
            })
            .collect();
        // State 01 is established, 08 is closed by the other side alone; the inode is the tenth field.
        let connected = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            matches!(fields.get(3), Some(&("01" | "08")))
                && fields.get(9).is_some_and(|inode| sockets.contains(*inode))
        };
        let tables = ["net/tcp", "net/tcp6"]
            .map(|table| fs::read_to_string(self.proc(table)).unwrap_or_default());
        tables.iter().flat_map(|table| table.lines()).filter(|line| connected(line)).count()
    }

    /// The value behind this beginning of a line of the metrics, which are asked for at the entry point `secure`.
    pub(crate) fn metric(&self, beginning: &str) -> Option<f64> {
        let mut client = Client::connect(self.secure);
        client.send("GET /metrics HTTP/1.1\r\nHost: it.example\r\n\r\n");
        let response = client.response();
        response.text().lines().find_map(|line| line.strip_prefix(beginning)?.trim().parse().ok())
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux counts hundredths of a second for its users.
        Duration::from_millis(ticks * 10)
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Tests capture this; it is shown with their failure.
            println!("gateway log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for successor in &*self.successors.lock() {
            if serves_as(*successor, &self.path("install.toml")) {
                let _ = kill(*successor, Signal::SIGKILL);
            }
        }
    }
}

/// Whether this process is (still) a gateway with this install configuration.
pub(crate) fn serves_as(process: Pid, install: &Path) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*install.to_string_lossy())
}

/// Addresses that nobody listens on at the moment. Not the address of the servers, which so never take a port between its
/// choice and its use.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.2:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

/// An address on which nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let [address] = free_addresses();
    address
}

/// A port on which nobody listens, at any address of this machine.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port()
}

fn marked(routes: &str, generation: u32) -> String {
    format!(
        "{routes}\n[http.routers.it-ready]\nentryPoints = [\"ready\"]\nservice = \"noop@internal\"\n\
         rule = \"Path(`/generation-{generation}`)\"\nmiddlewares = [\"it-ready\"]\n\
         [http.middlewares.it-ready.redirectRegex]\nregex = \"^.*$\"\nreplacement = \"http://ready/\"\n"
    )
}

/// Routes: everything goes to `servers`.
pub(crate) fn all_to(servers: &[SocketAddr]) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\" }}\n{}",
        service("it", servers)
    )
}

/// A service by name.
pub(crate) fn service(name: &str, servers: &[SocketAddr]) -> String {
    let urls: String =
        servers.iter().map(|address| format!("{{ url = \"http://{address}\" }},")).collect();
    format!("[http.services.{name}.loadBalancer]\nservers = [{urls}]\n")
}
