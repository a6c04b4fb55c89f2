//! A server of raw TCP that answers lines: `<name> <line>`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A server of raw TCP.
pub(crate) struct Lines {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Lines {
    /// Answers each line with its own name and the line, until the client ends.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::doing(move |stream| {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                if stream.write_all(format!("{name} {line}").as_bytes()).is_err() {
                    return;
                }
                line.clear();
            }
        })
    }

    /// Does this with every connection.
    pub(crate) fn doing(work: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, work) = (Arc::<AtomicUsize>::default(), Arc::new(work));
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, work) = (stream.unwrap(), Arc::clone(&work));
                count.fetch_add(1, SeqCst);
                std::thread::spawn(move || work(&mut stream));
            }
        });
        Self { address, accepted }
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

/// A TCP service by name.
pub(crate) fn service(name: &str, servers: &[SocketAddr]) -> String {
    let servers: String = servers.iter().map(|it| format!("{{ address = \"{it}\" }},")).collect();
    format!("[tcp.services.{name}.loadBalancer]\nservers = [{servers}]\n")
}

/// Everything on the entry point `web` goes to `servers`.
pub(crate) fn all_to(servers: &[SocketAddr]) -> String {
    let router =
        "[tcp.routers.all]\nrule = \"HostSNI(`*`)\"\nservice = \"it\"\nentryPoints = [\"web\"]\n";
    format!("{router}{}", service("it", servers))
}
