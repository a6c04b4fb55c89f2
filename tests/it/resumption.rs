//! Resumed sessions, key exchange and many certificates, as clients of the program meet them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, service, until};

/// A gateway for `it.example` over TLS.
struct Secure {
    gateway: Gateway,
    server: Server,
    roots: RootCertStore,
}

/// What a handshake came to.
#[derive(Debug, PartialEq)]
struct Met {
    kind: Option<HandshakeKind>,
    group: Option<NamedGroup>,
    leaf: Option<CertificateDer<'static>>,
}

impl Secure {
    fn new() -> Self {
        let server = Server::saying("secret");
        let gateway = Gateway::on_workers(2, "", "");
        let mut secure = Self { gateway, server, roots: RootCertStore::empty() };
        secure.rotate();
        secure
    }

    /// Gives the gateway a new certificate, which clients trust.
    fn rotate(&mut self) {
        let made = rcgen::generate_simple_self_signed(["it.example".to_owned()]).unwrap();
        self.roots.add(made.cert.der().clone()).unwrap();
        fs::write(self.gateway.path("cert.pem"), made.cert.pem()).unwrap();
        fs::write(self.gateway.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        self.reload("");
    }

    fn reload(&mut self, more: &str) {
        let routes = format!(
            "[http.routers.it]\nrule = \"Host(`it.example`)\"\nservice = \"it\"\n\
             entryPoints = [\"secure\"]\n[http.routers.it.tls]\n{}\
             [[tls.certificates]]\ncertFile = {:?}\nkeyFile = {:?}\n{more}",
            service("it", &[self.server.address]),
            self.gateway.path("cert.pem"),
            self.gateway.path("key.pem"),
        );
        self.gateway.reload(&routes);
    }

    /// A client that remembers its sessions.
    fn client(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut provider = default_provider();
        provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        Arc::new(config)
    }

    /// One request on a connection of its own; reading its answer also takes the ticket in.
    fn meet(&self, config: &Arc<ClientConfig>) -> Met {
        meet(self.gateway.secure, config)
    }
}

/// See [`Secure::meet`].
fn meet(address: SocketAddr, config: &Arc<ClientConfig>) -> Met {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let name = ServerName::try_from("it.example").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut plain = stream.try_clone().unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut plain).unwrap();
    }
    let met = Met {
        kind: connection.handshake_kind(),
        group: connection.negotiated_key_exchange_group().map(|group| group.name()),
        leaf: connection.peer_certificates().map(|chain| chain[0].clone().into_owned()),
    };
    let mut client = Client::on(StreamOwned::new(connection, stream));
    client.send("GET / HTTP/1.1\r\nHost: it.example\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().text(), "secret");
    met
}

#[test]
fn sessions_survive_reloads_and_rotated_certificates() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut secure = Secure::new();
        let client = secure.client(version);
        assert_eq!(secure.meet(&client).kind, Some(HandshakeKind::Full));
        // Each connection may be another worker's: the keys of tickets are common to all.
        for _ in 0..6 {
            assert_eq!(secure.meet(&client).kind, Some(HandshakeKind::Resumed));
        }
        secure.reload("[http.routers.more]\nrule = \"Host(`more.example`)\"\nservice = \"it\"\n");
        assert_eq!(secure.meet(&client).kind, Some(HandshakeKind::Resumed));
        let old = secure.meet(&secure.client(version)).leaf;
        secure.rotate();
        assert_eq!(secure.meet(&client).kind, Some(HandshakeKind::Resumed));
        let stranger = secure.meet(&secure.client(version));
        assert_eq!(stranger.kind, Some(HandshakeKind::Full));
        assert_ne!(stranger.leaf, old);
    }
}

#[test]
fn the_hybrid_key_exchange_is_preferred_unless_curves_are_chosen() {
    let mut secure = Secure::new();
    let met = secure.meet(&secure.client(&rustls::version::TLS13));
    assert_eq!(met.group, Some(NamedGroup::X25519MLKEM768));
    secure.reload("[tls.options.default]\ncurvePreferences = [\"X25519\"]\n");
    let met = secure.meet(&secure.client(&rustls::version::TLS13));
    assert_eq!(met.group, Some(NamedGroup::X25519));
    secure.reload("[tls.options.default]\ncurvePreferences = [\"X25519MLKEM768\"]\n");
    let met = secure.meet(&secure.client(&rustls::version::TLS13));
    assert_eq!(met.group, Some(NamedGroup::X25519MLKEM768));
}

#[test]
fn a_certificate_that_is_rotated_under_load_fails_no_handshake() {
    let mut secure = Secure::new();
    let made: Vec<_> = (0..8)
        .map(|_| rcgen::generate_simple_self_signed(["it.example".to_owned()]).unwrap())
        .collect();
    for one in &made {
        secure.roots.add(one.cert.der().clone()).unwrap();
    }
    let mut config = ClientConfig::clone(&secure.client(&rustls::version::TLS13));
    config.resumption = rustls::client::Resumption::disabled();
    let (config, address) = (Arc::new(config), secure.gateway.secure);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    assert_eq!(meet(address, &config).kind, Some(HandshakeKind::Full));
                    done.fetch_add(1, SeqCst);
                }
            });
        }
        for one in &made {
            let goal = done.load(SeqCst) + 30;
            fs::write(secure.gateway.path("key.pem"), one.signing_key.serialize_pem()).unwrap();
            fs::write(secure.gateway.path("cert.pem"), one.cert.pem()).unwrap();
            secure.reload("");
            until("handshakes go on", || done.load(SeqCst) >= goal);
            assert_eq!(meet(address, &config).leaf.as_ref(), Some(one.cert.der()));
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn five_thousand_certificates_take_little_memory() {
    const COUNT: usize = 5_000;
    const MOST: u64 = 120 << 10;
    let mut secure = Secure::new();
    secure.meet(&secure.client(&rustls::version::TLS13));
    let before = secure.gateway.resident();
    let mut more = String::new();
    let mut chosen = Vec::new();
    for number in 0..COUNT {
        let name = format!("host-{number}.example");
        let made = rcgen::generate_simple_self_signed([name.clone()]).unwrap();
        let [cert, key] = ["cert", "key"].map(|it| secure.gateway.path(&format!("{number}.{it}")));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        more += &format!("[[tls.certificates]]\ncertFile = {cert:?}\nkeyFile = {key:?}\n");
        if number % 1000 == 7 {
            secure.roots.add(made.cert.der().clone()).unwrap();
            chosen.push((name, made.cert.der().clone()));
        }
    }
    secure.reload(&more);
    let config = secure.client(&rustls::version::TLS13);
    for (name, der) in chosen {
        let server = ServerName::try_from(name).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&config), server).unwrap();
        let mut stream = TcpStream::connect(secure.gateway.secure).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        assert_eq!(connection.peer_certificates().unwrap()[0], der);
    }
    let grown = secure.gateway.resident() - before;
    println!("{COUNT} certificates: {grown} KiB");
    assert!(grown <= MOST, "{grown} KiB");
}
