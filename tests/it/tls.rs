//! TLS as clients meet it: names, fragments, policies.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, frames, service};

/// Writes at most so many bytes at a time.
struct Pieces {
    stream: TcpStream,
    size: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(&bytes[..bytes.len().min(self.size)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A gateway for `open.example` and, with client certificates only, `strict.example`.
pub(crate) struct Secure {
    pub(crate) gateway: Gateway,
    pub(crate) server: Server,
    roots: RootCertStore,
}

impl Secure {
    fn new() -> Self {
        Self::with("")
    }

    /// With more install configuration (TOML).
    pub(crate) fn with(install: &str) -> Self {
        let server = Server::saying("secret");
        let names = ["open.example", "strict.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let router = |name: &str, options: &str| {
            format!(
                "[http.routers.{name}]\nrule = \"Host(`{name}.example`)\"\nservice = \"it\"\n\
                 entryPoints = [\"secure\"]\n[http.routers.{name}.tls]\n{options}"
            )
        };
        let routes = format!(
            "{}{}{}[[tls.certificates]]\ncertFile = {cert:?}\nkeyFile = {key:?}\n\
             [tls.options.mutual.clientAuth]\ncaFiles = [{cert:?}]\n\
             clientAuthType = \"RequireAndVerifyClientCert\"\n",
            router("open", ""),
            router("strict", "options = \"mutual\"\n"),
            service("it", &[server.address]),
        );
        let gateway = Gateway::with(install, &routes);
        std::fs::remove_dir_all(folder).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        Self { gateway, server, roots }
    }

    /// A connection with this server name that writes in pieces of `size` and offers these protocols.
    fn connect(&self, name: &str, size: usize, protocols: &[&[u8]]) -> Client {
        self.connect_behind(b"", name, size, protocols)
    }

    /// As [`Secure::connect`], with these bytes before those of TLS.
    pub(crate) fn connect_behind(
        &self,
        before: &[u8],
        name: &str,
        size: usize,
        protocols: &[&[u8]],
    ) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        // Records as small as the library makes them: the ClientHello spans many.
        config.max_fragment_size = (size < 100).then_some(32 + 5);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream = TcpStream::connect(self.gateway.secure).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(before).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Client::on(StreamOwned::new(connection, Pieces { stream, size }))
    }

    /// The status for `host` over a connection made for `name`; `None` if there is none.
    fn status(&self, name: &str, host: &str, size: usize) -> Option<u16> {
        let mut client = self.connect(name, size, &[]);
        client.try_send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).ok()?;
        client.try_response("GET").ok()?.map(|response| response.status)
    }
}

const WHOLE: usize = usize::MAX;

#[test]
fn routers_of_tls_serve_tls_alone() {
    let secure = Secure::new();
    assert_eq!(secure.status("open.example", "open.example", WHOLE), Some(200));
    assert_eq!(secure.server.last().header("x-forwarded-proto"), Some("https"));
    let mut plain = Client::connect(secure.gateway.secure);
    plain.send("GET / HTTP/1.1\r\nHost: open.example\r\n\r\n");
    assert_eq!(plain.response().status, 404);
}

#[test]
fn h2_is_agreed_by_alpn() {
    let secure = Secure::new();
    let mut client = secure.connect("open.example", WHOLE, &[b"h2", b"http/1.1"]);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frames::frame(frames::SETTINGS, 0, 0, b""));
    let block = b"\x82\x87\x84\x41\x0copen.example";
    client.send(frames::frame(frames::HEADERS, frames::END_STREAM | frames::END_HEADERS, 1, block));
    let (_, stream, body) = frames::read_until(&mut client, frames::DATA);
    assert_eq!((stream, &*body), (1, &b"secret"[..]));
}

#[test]
fn cve_2026_32305_a_hello_in_fragments_gets_the_same_policy() {
    let secure = Secure::new();
    for size in [1, 7, WHOLE] {
        assert_eq!(secure.status("open.example", "open.example", size), Some(200), "{size}");
        assert_eq!(secure.status("strict.example", "strict.example", size), None, "{size}");
    }
    assert_eq!(secure.server.count(), 3);
}

#[test]
fn cve_2026_48491_and_53622_names_in_other_case_get_the_same_policy() {
    let secure = Secure::new();
    for name in ["STRICT.example", "Strict.Example", "strict.example"] {
        assert_eq!(secure.status(name, "strict.example", WHOLE), None, "{name}");
    }
    assert_eq!(secure.server.count(), 0);
}

#[test]
fn cve_2026_53622_a_connection_for_one_host_is_no_way_to_a_stricter_one() {
    let secure = Secure::new();
    for host in ["strict.example", "STRICT.example", "strict.example:443", "strict.example."] {
        let status = secure.status("open.example", host, WHOLE);
        assert!(matches!(status, Some(421 | 404 | 400)), "{host}: {status:?}");
    }
    assert_eq!(secure.server.count(), 0);
}
