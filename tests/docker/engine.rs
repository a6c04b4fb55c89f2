//! A Docker engine for each test; the tests of the gateway and those of the provider share this file.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

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
        engine.docker(&format!("network create edge --subnet {}", subnet()));
        Some(engine)
    }

    /// Makes an image of nothing but these programs and their libraries.
    pub(crate) fn image(&self, name: &str, programs: &[&Path]) {
        let mut arguments = vec![name];
        arguments.extend(programs.iter().map(|program| program.to_str().unwrap()));
        self.script("image", &arguments);
    }

    pub(crate) fn start_again(&self, options: &[&str]) {
        self.script("start", options);
    }

    pub(crate) fn kill(&self) {
        self.script("kill", &[]);
    }

    pub(crate) fn script(&self, command: &str, rest: &[&str]) -> Output {
        // Our crate is the repository itself or a folder of it.
        let mut root = Path::new(env!("CARGO_MANIFEST_DIR"));
        while !root.join("tests/docker/dockerd").exists() {
            root = root.parent().unwrap();
        }
        let output = Command::new(root.join("tests/docker/dockerd"))
            .arg(command)
            .arg(self.0.path())
            .args(rest)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs the engine's client; no argument may hold a space.
    pub(crate) fn docker(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let output = self.script("client", &arguments);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// How long before `now` the engine's last start event was, by the engine's own word and the same clock.
    pub(crate) fn since_start(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let events = self.docker(&format!(
            "events --since 60s --until {until} --filter event=start --format {{{{.TimeNano}}}}"
        ));
        let event: u64 = events.lines().last().unwrap().parse().unwrap();
        now.saturating_sub(Duration::from_nanos(event))
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
