//! Handshakes with clients over real sockets.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::routing::tls::{Options, Tls};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tls::accept::{self, AcceptError, Hello};
use crate::tls::policy::Refused;
use crate::tls::testing::{
    Authority, Listener, certificates, client_builder, greet_in_single_bytes, host, verifying,
};

#[tokio::test]
async fn clients_get_the_certificate_of_the_name_they_ask_for() {
    let authority = Authority::new("ca");
    let exact = authority.issue(&["a.example.com"]);
    let wild = authority.issue(&["*.example.com"]);
    let listener = Listener::start(&certificates([&exact, &wild]), &[]).await;
    let client = Arc::new(authority.client());
    let seen = listener.greet(&client, "a.example.com").await.unwrap();
    assert_eq!(seen.leaf, exact.der);
    assert_eq!(listener.greet(&client, "A.EXAMPLE.COM").await.unwrap().leaf, exact.der);
    assert_eq!(listener.greet(&client, "b.example.com").await.unwrap().leaf, wild.der);
    // The generated certificate is nobody's.
    assert!(listener.greet(&client, "other.test").await.unwrap_err().contains("certificate"));
}

#[tokio::test]
async fn the_facts_of_the_connection_are_told() {
    let authority = Authority::new("ca");
    let listener = Listener::start(&certificates([&authority.issue(&["a.test"])]), &[]).await;
    let mut client = authority.client();
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let told = listener.greet(&Arc::new(client), "A.test").await.unwrap().told;
    assert_eq!(told, "a.test 1.3 TLS_AES_256_GCM_SHA384 default 0 h2");
    let older = rustls::ClientConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    let told = listener.greet(&Arc::new(older), "a.test").await.unwrap().told;
    assert_eq!(told, "a.test 1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 default 0 -");
}

#[tokio::test]
async fn versions_and_suites_hold_on_the_wire() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test", "b.test"])]);
    let newest = Options { min_version: "VersionTLS13".into(), ..Options::default() };
    let narrow = Options {
        max_version: "VersionTLS12".into(),
        cipher_suites: vec!["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305".into()],
        curve_preferences: vec!["CurveP384".into()],
        alpn_protocols: vec!["http/1.1".into()],
        ..Options::default()
    };
    tls.options.insert("newest@file".into(), newest);
    tls.options.insert("narrow@file".into(), narrow);
    let hosts = [host("a.test", "newest@file"), host("b.test", "narrow@file")];
    let listener = Listener::start(&tls, &hosts).await;
    let client = |version| {
        let client =
            rustls::ClientConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
                .with_protocol_versions(&[version])
                .unwrap();
        Arc::new(client.with_root_certificates(authority.roots()).with_no_client_auth())
    };
    assert!(listener.greet(&client(&TLS13), "a.test").await.is_ok());
    let refused = listener.greet(&client(&TLS12), "a.test").await.unwrap_err();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    assert!(listener.greet(&client(&TLS13), "b.test").await.is_err());
    let told = listener.greet(&client(&TLS12), "b.test").await.unwrap().told;
    assert_eq!(told, "b.test 1.2 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 narrow@file 0 -");
}

#[tokio::test]
async fn strict_listeners_answer_unknown_names_with_an_alert() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("default".into(), Options { sni_strict: true, ..Options::default() });
    let mut listener = Listener::start(&tls, &[]).await;
    let mut client = authority.client();
    assert!(listener.greet(&Arc::new(client.clone()), "a.test").await.is_ok());
    assert!(listener.outcome().await.is_ok());
    let alert = listener.greet(&Arc::new(client.clone()), "b.test").await.unwrap_err();
    assert!(alert.contains("UnrecognisedName"), "{alert}");
    assert!(matches!(listener.outcome().await, Err(AcceptError::Refused(Refused::UnknownName))));
    client.enable_sni = false;
    let alert = listener.greet(&Arc::new(client), "a.test").await.unwrap_err();
    assert!(alert.contains("UnrecognisedName"), "{alert}");
}

#[tokio::test]
async fn a_client_that_names_nobody_gets_the_certificate_of_the_address() {
    let authority = Authority::new("ca");
    let named = authority.issue(&["a.test"]);
    let address = authority.issue(&["box", "127.0.0.1"]);
    let mut tls = certificates([&named, &address]);
    tls.options.insert("default".into(), Options { sni_strict: true, ..Options::default() });
    let listener = Listener::start(&tls, &[]).await;
    // rustls sends no name where it connects to an address.
    let client = Arc::new(authority.client());
    assert_eq!(listener.greet(&client, "127.0.0.1").await.unwrap().leaf, address.der);
    let again = listener.greet(&client, "127.0.0.1").await.unwrap();
    assert_eq!(again.kind, HandshakeKind::Resumed, "the copy shares the ticket keys");
    assert!(again.told.starts_with("- 1.3"), "{}", again.told);
}

#[tokio::test]
async fn broken_options_refuse_their_hosts_and_no_other() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test", "b.test"])]);
    tls.options.insert(
        "broken@file".into(),
        Options { max_version: "VersionTLS10".into(), ..Options::default() },
    );
    let mut listener = Listener::start(&tls, &[host("a.test", "broken@file")]).await;
    let client = Arc::new(authority.client());
    let alert = listener.greet(&client, "a.test").await.unwrap_err();
    assert!(alert.contains("InternalError"), "{alert}");
    assert!(matches!(listener.outcome().await, Err(AcceptError::Refused(Refused::Options))));
    assert!(listener.greet(&client, "b.test").await.is_ok());
}

#[tokio::test]
async fn disabled_tickets_mean_no_resumption() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test", "b.test"])]);
    let options = Options { disable_session_tickets: true, ..Options::default() };
    tls.options.insert("none@file".into(), options);
    let listener = Listener::start(&tls, &[host("b.test", "none@file")]).await;
    let client = Arc::new(authority.client());
    for (name, kind) in [("a.test", HandshakeKind::Resumed), ("b.test", HandshakeKind::Full)] {
        assert_eq!(listener.greet(&client, name).await.unwrap().kind, HandshakeKind::Full);
        assert_eq!(listener.greet(&client, name).await.unwrap().kind, kind, "{name}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_tls_are_told_apart() {
    let mut listener = Listener::start(&Tls::default(), &[]).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(matches!(listener.outcome().await, Err(AcceptError::NotTls)));
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(matches!(listener.outcome().await, Err(AcceptError::Io(_))));
}

#[tokio::test]
async fn a_client_hello_without_end_is_refused() {
    let mut listener = Listener::start(&Tls::default(), &[]).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    // A handshake message that announces 16 MiB, in full records.
    let mut record = vec![22, 3, 1, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    let mut sent = 0;
    while sent < 1 << 20 && stream.write_all(&record).await.is_ok() {
        sent += record.len();
    }
    let outcome = listener.outcome().await.unwrap_err();
    assert!(matches!(outcome, AcceptError::Handshake(_) | AcceptError::Io(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_silent_client_is_given_up_in_every_state() {
    let authority = Authority::new("ca");
    let configurations = crate::tls::configurations::Configurations::new().unwrap();
    let prepared = configurations.prepare(&certificates([&authority.issue(&["a.test"])]), &[]);
    let policy = prepared.policy(&[], crate::tls::configurations::Conflicts::FallBack).0;
    let name = rustls_pki_types::ServerName::try_from("a.test").unwrap();
    let client = Arc::new(authority.client());
    let mut hello = Vec::new();
    let mut connection = rustls::ClientConnection::new(client, name).unwrap();
    connection.write_tls(&mut hello).unwrap();
    // Nothing, half a record, half a hello, a whole hello.
    for length in [0, 3, hello.len() / 2, hello.len()] {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(&hello[..length]).await.unwrap();
        let choose = |name: Option<&str>| policy.choose(name, [127, 0, 0, 1].into());
        let outcome = accept::accept(far, Duration::from_millis(20), choose).await;
        assert!(matches!(outcome, Err(AcceptError::Timeout)), "{length}: {outcome:?}");
        drop(near);
    }
}

#[tokio::test]
async fn the_hello_can_be_read_before_anything_is_decided() {
    let authority = Authority::new("ca");
    let mut client = authority.client();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let name = rustls_pki_types::ServerName::try_from("A.test").unwrap();
    let mut bytes = Vec::new();
    let mut connection = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    connection.write_tls(&mut bytes).unwrap();
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    near.write_all(&bytes).await.unwrap();
    let hello = Hello::read(far).await.unwrap();
    assert_eq!(hello.server_name(), Some("a.test"));
    assert!(hello.offers(b"h2") && !hello.offers(b"http/1.1"));
    hello.refuse(Refused::UnknownName).await;
    let mut alert = Vec::new();
    near.read_to_end(&mut alert).await.unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 112]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_in_single_bytes_is_a_hello() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("mtls@file".into(), verifying(&authority));
    let listener = Listener::start(&tls, &[host("a.test", "mtls@file")]).await;
    let identity = authority.issue(&["client"]);
    let client = Arc::new(
        client_builder()
            .with_root_certificates(authority.roots())
            .with_client_auth_cert(vec![identity.der.clone()], identity.key())
            .unwrap(),
    );
    let address = listener.address;
    let told =
        tokio::task::spawn_blocking(move || greet_in_single_bytes(address, &client, "A.TEST"));
    let told = told.await.unwrap().unwrap();
    assert_eq!(told, "a.test 1.3 TLS_AES_256_GCM_SHA384 mtls@file 1 -");
}

#[tokio::test]
async fn a_hello_in_endless_fragments_is_refused() {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    // A hello of 60,000 bytes, each in its own record.
    let hello = [1, 0, 0xea, 0x60].into_iter().chain(std::iter::repeat_n(0, 60_000));
    let cut: Vec<u8> = hello.flat_map(|byte| [22, 3, 1, 0, 1, byte]).collect();
    let writing = crate::tls::testing::spawn(async move { near.write_all(&cut).await });
    assert!(matches!(Hello::read(far).await.err(), Some(AcceptError::Io(_))));
    assert!(writing.await.unwrap().is_err(), "nobody reads on");
}
