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

#[test]
fn ghsa_gv8r_9rw9_9697_the_policy_of_a_name_is_the_same_for_every_protocol() {
    let secure = Secure::new();
    for protocols in [&[][..], &[&b"http/1.1"[..]], &[&b"h2"[..]], &[&b"h2"[..], b"http/1.1"]] {
        let mut client = secure.connect("strict.example", WHOLE, protocols);
        let _ = client.try_send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(!client.try_response("GET").is_ok_and(|response| response.is_some()));
    }
    assert_eq!(secure.server.count(), 0);
}

#[test]
fn cve_2024_39321_early_data_is_never_taken() {
    let secure = Secure::new();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(secure.roots.clone())
        .with_no_client_auth();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let name = ServerName::try_from("open.example").unwrap();
        let stream = TcpStream::connect(secure.gateway.secure).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&config), name).unwrap();
        // A session could be resumed by now; its ticket allows no early data.
        assert!(connection.early_data().is_none());
        let mut stream = StreamOwned::new(connection, stream);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        kinds.push(stream.conn.handshake_kind().unwrap());
    }
    // Otherwise the test says nothing.
    assert_eq!(kinds[2], rustls::HandshakeKind::Resumed);
}

#[test]
fn key_update_flood() {
    let secure = Secure::new();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(secure.roots.clone())
        .with_no_client_auth();
    let name = ServerName::try_from("open.example").unwrap();
    let socket = TcpStream::connect(secure.gateway.secure).unwrap();
    socket.set_write_timeout(Some(DEADLINE)).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.example\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    let before = secure.gateway.resident();
    // Each wants an answer, and none of the answers is read.
    for _ in 0..20_000 {
        if stream.conn.refresh_traffic_keys().is_err() || stream.flush().is_err() {
            break;
        }
    }
    assert_eq!(secure.status("open.example", "open.example", WHOLE), Some(200));
    let grown = secure.gateway.resident().saturating_sub(before);
    assert!(grown < 24 * 1024, "{grown} KiB more after the flood");
}
