//! Pebble, a real authority for tests, and the name server that it asks.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Gateway, nobody, until};

/// How an authority behaves.
pub(crate) struct Behaviour {
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// How many seconds certificates last.
    pub(crate) lasting: u32,
    /// Another name server than the one that knows every name.
    pub(crate) name_server: Option<SocketAddr>,
}

impl Default for Behaviour {
    fn default() -> Self {
        let environment = &[("PEBBLE_WFE_NONCEREJECT", "0")];
        Self { environment, lasting: 90 * 24 * 3600, name_server: None }
    }
}

/// A place for an authority; it listens once it is started.
pub(crate) struct Pebble {
    folder: TempDir,
    listens: SocketAddr,
    children: Vec<Child>,
}

impl Pebble {
    /// A place; `None`, said aloud, on a machine without Pebble. With `CI` set, that is a failure.
    pub(crate) fn place() -> Option<Self> {
        if !is_installed("pebble") || !is_installed("pebble-challtestsrv") {
            assert!(std::env::var_os("CI").is_none(), "pebble is not installed");
            println!("SKIPPED: pebble is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost", "127.0.0.1", "127.0.0.2"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Some(Self { folder, listens: nobody(), children: Vec::new() })
    }

    /// The install configuration of a resolver `pebble` that keeps its certificates in `storage`.
    pub(crate) fn resolver(&self, storage: &str, challenge: &str) -> String {
        let ca = self.path("cert.pem");
        format!(
            "[certificatesResolvers.pebble.acme]\nemail = \"ops@it.test\"\nkeyType = \"EC256\"\n\
             caServer = \"https://{}/dir\"\ncaCertificates = [{ca:?}]\nstorage = {storage:?}\n\
             [certificatesResolvers.pebble.acme.{challenge}]\n",
            self.listens
        )
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the authority; it looks for proofs at `gateway`.
    pub(crate) fn start(&mut self, gateway: &Gateway, behaviour: &Behaviour) {
        let names = behaviour.name_server.unwrap_or_else(|| self.start_names());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.listens.to_string(),
            "managementListenAddress": nobody().to_string(),
            "certificate": self.path("cert.pem"),
            "privateKey": self.path("key.pem"),
            "httpPort": gateway.web.port(),
            "tlsPort": gateway.secure.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "retryAfter": { "authz": 1, "order": 1 },
            "certificateValidityPeriod": behaviour.lasting,
        }});
        fs::write(self.path("config.json"), config.to_string()).unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(self.path("config.json"))
            .args(["-dnsserver", &names.to_string(), "-strict"])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .envs(behaviour.environment.iter().copied());
        self.children.push(quietly(command, log));
        let listens = self.listens;
        until("pebble listens", || std::net::TcpStream::connect(listens).is_ok());
    }

    /// A name server for which every name is at the gateway's address.
    fn start_names(&mut self) -> SocketAddr {
        let (names, management) = (nobody(), nobody());
        let log = fs::File::create(self.path("names.log")).unwrap();
        let mut command = Command::new("pebble-challtestsrv");
        command
            .args(["-dns01", &names.to_string(), "-management", &management.to_string()])
            .args(["-defaultIPv4", "127.0.0.2", "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        self.children.push(quietly(command, log));
        until("the name server runs", || std::net::TcpStream::connect(management).is_ok());
        names
    }

    /// Ends the authority, which forgets everything.
    pub(crate) fn stop(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many certificates it has issued.
    pub(crate) fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// How many orders it has taken.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            println!("pebble:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        self.stop();
    }
}

/// Whether a program is on the path or among those for administrators.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin"]).any(|folder| PathBuf::from(folder).join(program).exists())
}

/// Starts a program whose output goes to `log`.
pub(crate) fn quietly(mut command: Command, mut log: fs::File) -> Child {
    writeln!(log, "{command:?}").unwrap();
    let errors = log.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap()
}
