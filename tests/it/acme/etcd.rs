//! etcd, a real one.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::pebble::{is_installed, quietly};
use crate::harness::{nobody, until};

/// A cluster of one member that is gone with it.
pub(crate) struct Etcd {
    folder: TempDir,
    child: Child,
    listens: SocketAddr,
    scheme: &'static str,
}

impl Etcd {
    /// Starts one; `None`, said aloud, on a machine without etcd. With `CI` set, that is a failure.
    pub(crate) fn start() -> Option<Self> {
        Self::with(None)
    }

    /// As [`Etcd::start`], with TLS by this certificate and key.
    pub(crate) fn encrypted(certificate: &Path, key: &Path) -> Option<Self> {
        Self::with(Some((certificate, key)))
    }

    fn with(tls: Option<(&Path, &Path)>) -> Option<Self> {
        if !is_installed("etcd") {
            assert!(std::env::var_os("CI").is_none(), "etcd is not installed");
            println!("SKIPPED: etcd is not installed");
            return None;
        }
        let (folder, listens, peers) = (tempfile::tempdir().unwrap(), nobody(), nobody());
        let mut command = Command::new("etcd");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (clients, peers) = (format!("{scheme}://{listens}"), format!("http://{peers}"));
        command.args(["--name", "one", "--data-dir"]).arg(folder.path().join("data"));
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("one={peers}")]);
        if let Some((certificate, key)) = tls {
            command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = quietly(command, log);
        let etcd =
            Self { folder, child, listens, scheme: if tls.is_some() { "etcds" } else { "etcd" } };
        until("etcd listens", || TcpStream::connect(listens).is_ok());
        until("etcd is ready", || etcd.said().contains("ready to serve client requests"));
        Some(etcd)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Has everybody say who they are: `root`, with this password.
    pub(crate) fn ask_for_users(&self, password: &str) {
        let call = |method: &str, body: &str| {
            let url = format!("http://{}/v3/auth/{method}", self.listens);
            let output = Command::new("curl").args(["-sf", "-d", body, &url]).output().unwrap();
            assert!(output.status.success(), "{method}: {output:?}");
        };
        call("user/add", &format!(r#"{{"name":"root","password":"{password}"}}"#));
        call("user/grant", r#"{"user":"root","role":"root"}"#);
        call("enable", "{}");
    }

    /// Its address as a storage. The first member is not there.
    pub(crate) fn address(&self) -> String {
        format!("{}://{},{}/it", self.scheme, nobody(), self.listens)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
