//! An engine for each test, and the provider that follows it.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use portcullis_config::tree::Tree;
use portcullis_providers::{Contact, Kind, Published, Receiver, State, channel};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// An engine of our own.
pub(crate) struct Engine(TempDir);

impl Engine {
    /// `None` if this machine cannot have one.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let required = std::env::var("CI").is_ok_and(|value| value == "true");
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if !required && !root {
            eprintln!("SKIPPED: a Docker engine needs root; run as root or with CI=true");
            return None;
        }
        let engine = Self(tempfile::Builder::new().prefix("dockerd-").tempdir().unwrap());
        engine.start_again(options);
        engine.script("image", &["tools", "/bin/sleep", "/usr/bin/test", "/bin/touch", "/bin/rm"]);
        engine.docker(&format!("network create edge --subnet {}", subnet()));
        Some(engine)
    }

    pub(crate) fn start_again(&self, options: &[&str]) {
        self.script("start", options);
    }

    pub(crate) fn kill(&self) {
        self.script("kill", &[]);
    }

    pub(crate) fn script(&self, command: &str, rest: &[&str]) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/docker/dockerd");
        let output =
            Command::new(script).arg(command).arg(self.0.path()).args(rest).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs the engine's client; no argument may hold a space.
    pub(crate) fn docker(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let output = self.script("client", &arguments);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts a container that sleeps.
    pub(crate) fn run(&self, name: &str, options: &str) {
        self.docker(&format!("run -d --name {name} --net edge {options} tools /bin/sleep 1000"));
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}/sock", self.0.path().display())
    }
}

/// Engines that start at the same time would choose the same free one.
fn subnet() -> String {
    static ENGINES: AtomicU8 = AtomicU8::new(100);
    let engine = ENGINES.fetch_add(1, Ordering::Relaxed);
    format!("10.{engine}.{}.0/24", std::process::id() % 250)
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.script("stop", &[]);
    }
}

/// A provider that runs as the gateway runs it: again after each failure, soon.
pub(crate) struct Running {
    pub(crate) receiver: Receiver,
    state: State,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn run(options: &[(&str, &str)]) -> Running {
    run_tree(&map(options))
}

pub(crate) fn map(entries: &[(&str, &str)]) -> Tree {
    Tree::map(entries.iter().map(|(key, value)| ((*key).to_owned(), Tree::scalar(*value))))
}

pub(crate) fn run_tree(options: &Tree) -> Running {
    let mut provider = (Kind::find("docker").unwrap().build)(options).ok().unwrap();
    let (publisher, receiver) = channel();
    let state = receiver.state();
    let task = tokio::spawn(async move {
        loop {
            let Err(failure) = provider.run(&publisher).await;
            publisher.contact(Contact::Lost);
            eprintln!("the provider failed: {failure}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    Running { receiver, state, task }
}

impl Running {
    /// Waits for a state in which `wanted` holds.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&Published) -> bool,
    ) -> Published {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut last = None;
        loop {
            let Ok(published) = tokio::time::timeout_at(deadline, self.receiver.changed()).await
            else {
                panic!("{what} never came; the last was {last:#?}");
            };
            if wanted(&published) {
                return published;
            }
            last = Some(published);
        }
    }

    pub(crate) async fn contact(&self, wanted: Contact) {
        let deadline = Instant::now() + DEADLINE;
        while self.state.contact() != wanted {
            assert!(Instant::now() < deadline, "{wanted:?} never came");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn urls(published: &Published, service: &str) -> Vec<String> {
    let service = published.routing.http.services.get(service);
    let balancer = service.and_then(|service| service.load_balancer.as_ref());
    let servers = balancer.iter().flat_map(|balancer| &balancer.servers);
    servers.map(|server| server.url.clone()).collect()
}
