//! Redis, a real one.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::pebble::{is_installed, quietly};
use crate::harness::{nobody, until};

/// An empty database that is gone with it.
pub(crate) struct Redis {
    _folder: TempDir,
    child: Child,
    listens: SocketAddr,
}

impl Redis {
    /// Starts one; `None`, said aloud, on a machine without Redis. With `CI` set, that is a failure.
    pub(crate) fn start() -> Option<Self> {
        if !is_installed("redis-server") {
            assert!(std::env::var_os("CI").is_none(), "redis-server is not installed");
            println!("SKIPPED: redis-server is not installed");
            return None;
        }
        let (folder, listens) = (tempfile::tempdir().unwrap(), nobody());
        let mut command = Command::new("redis-server");
        command.args(["--bind", &listens.ip().to_string(), "--port", &listens.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = quietly(command, log);
        until("redis listens", || TcpStream::connect(listens).is_ok());
        Some(Self { _folder: folder, child, listens })
    }

    /// Its address as a storage.
    pub(crate) fn address(&self) -> String {
        format!("redis://{}/0", self.listens)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
