//! BIND, a real name server that takes signed updates.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::pebble::{is_installed, quietly};
use crate::harness::until;

/// Where it listens: BIND takes addresses of interfaces only.
const HOST: &str = "127.0.0.1";

/// The key that updates are signed with.
pub(crate) const KEY: (&str, &str) = ("it-key.", "aXQtaXMtYS1zZWNyZXQtb2YtdGVzdHMtb25seS0wMTI=");

/// A name server with the zone `it.test`, in which every name is at the gateway's address.
pub(crate) struct Bind {
    folder: TempDir,
    child: Child,
    pub(crate) address: SocketAddr,
    /// Whether it listens on the port that name servers have, too.
    pub(crate) is_official: bool,
}

impl Bind {
    /// Starts one; `None`, said aloud, on a machine without BIND. With `CI` set, that is a failure.
    pub(crate) fn start() -> Option<Self> {
        if !is_installed("named") || !is_installed("dig") {
            assert!(std::env::var_os("CI").is_none(), "bind9 is not installed");
            println!("SKIPPED: bind9 is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let address = UdpSocket::bind((HOST, 0)).unwrap().local_addr().unwrap();
        let is_official =
            UdpSocket::bind((HOST, 53)).is_ok() && TcpListener::bind((HOST, 53)).is_ok();
        let official =
            if is_official { format!("listen-on port 53 {{ {HOST}; }};") } else { String::new() };
        let config = format!(
            "options {{ directory \"{place}\"; pid-file none; session-keyfile none; recursion no; listen-on-v6 {{ none; }};\n\
             listen-on port {} {{ {HOST}; }}; {official} managed-keys-directory \"{place}\"; }};\n\
             controls {{ }};\n\
             key \"{}\" {{ algorithm hmac-sha256; secret \"{}\"; }};\n\
             zone \"it.test\" {{ type primary; file \"zone\"; update-policy {{ grant \"{}\" zonesub TXT; }}; }};\n",
            address.port(),
            KEY.0,
            KEY.1,
            KEY.0,
        );
        let zone = format!(
            "$TTL 5\n@ IN SOA ns hostmaster ( 1 5 5 60 1 )\n@ IN NS ns\nns IN A {HOST}\n\
             @ IN A 127.0.0.2\n* IN A 127.0.0.2\n_acme-challenge.deep.alias IN CNAME elsewhere.other\n"
        );
        fs::write(folder.path().join("named.conf"), config).unwrap();
        fs::write(folder.path().join("zone"), zone).unwrap();
        let mut command = Command::new("named");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg("-g").arg("-c").arg(folder.path().join("named.conf"));
        let child = quietly(command, fs::File::create(folder.path().join("log")).unwrap());
        let bind = Self { folder, child, address, is_official };
        until("the name server answers", || bind.dig("SOA", "it.test").contains("hostmaster"));
        Some(bind)
    }

    /// The short answer of the name server.
    pub(crate) fn dig(&self, kind: &str, name: &str) -> String {
        let server = format!("@{}", self.address.ip());
        let port = self.address.port().to_string();
        let asked = Command::new("dig")
            .args(["+short", "+tries=1", "+time=1", &server, "-p", &port, kind, name])
            .output()
            .unwrap();
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            println!("bind:\n{log}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
