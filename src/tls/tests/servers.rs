//! Handshakes with servers over real sockets.

use std::sync::Arc;

use portcullis_config::problem::Severity;
use portcullis_config::routing::http::{ServersTransport, Spiffe};
use portcullis_config::units::FileOrContent;
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls::client::{self, Alpn, ClientTls, Offer};
use crate::tls::testing::{Authority, Issued, spawn, uri};

/// A server that shows `issued`, asks for certificates of `clients`, and speaks both protocols.
async fn server(issued: &Issued, clients: Option<&Authority>) -> std::net::SocketAddr {
    let builder = ServerConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let provider = Arc::clone(crate::tls::provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(vec![issued.der.clone()], issued.key()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let accepting = acceptor.accept(stream);
            spawn(async move {
                let Ok(mut stream) = accepting.await else { return };
                drop(tokio::io::AsyncWriteExt::write_all(&mut stream, b"served").await);
                drop(tokio::io::AsyncReadExt::read_u8(&mut stream).await);
            });
        }
    });
    address
}

fn trusting(authority: &Authority) -> ServersTransport {
    let root_cas = vec![FileOrContent(authority.pem.clone())];
    ServersTransport { root_cas, ..ServersTransport::default() }
}

fn compile(transport: &ServersTransport) -> ClientTls {
    let (tls, problems) = ClientTls::compile("t@file", transport, None);
    tls.unwrap_or_else(|| panic!("{problems:?}"))
}

/// The protocol and version agreed on, or the error.
async fn dial(
    address: std::net::SocketAddr,
    transport: &ServersTransport,
    host: &str,
    offer: Offer,
) -> std::io::Result<(Alpn, ProtocolVersion)> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut stream, alpn) = client::connect(stream, &compile(transport), host, offer).await?;
    // A server of TLS 1.3 refuses our certificate only after our handshake.
    let mut served = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut served).await?;
    Ok((alpn, stream.get_ref().1.protocol_version().unwrap()))
}

fn is_untrusted<T: std::fmt::Debug>(outcome: &std::io::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| {
        error.kind() == std::io::ErrorKind::InvalidData && client::is_certificate_error(error)
    })
}

#[tokio::test]
async fn servers_are_trusted_by_root_and_name() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let address = server(&authority.issue(&["a.test", "127.0.0.1"]), None).await;
    let ours = trusting(&authority);
    assert_eq!(dial(address, &ours, "a.test", Offer::Any).await.unwrap().0, Alpn::H2);
    assert!(dial(address, &ours, "127.0.0.1", Offer::Any).await.is_ok());
    assert!(dial(address, &ours, "a.test.", Offer::Any).await.is_ok());
    assert!(is_untrusted(&dial(address, &ours, "b.test", Offer::Any).await));
    assert!(is_untrusted(&dial(address, &ours, "127.0.0.2", Offer::Any).await));
    assert!(is_untrusted(&dial(address, &trusting(&other), "a.test", Offer::Any).await));
    // The system does not know our authority.
    let system = ServersTransport::default();
    assert!(is_untrusted(&dial(address, &system, "a.test", Offer::Any).await));
    let blind = ServersTransport { insecure_skip_verify: true, ..ServersTransport::default() };
    assert!(dial(address, &blind, "whatever.test", Offer::Any).await.is_ok());
}

#[tokio::test]
async fn a_configured_server_name_replaces_the_host() {
    let authority = Authority::new("ca");
    let address = server(&authority.issue(&["inner.test"]), None).await;
    let named = ServersTransport { server_name: "inner.test".into(), ..trusting(&authority) };
    assert!(dial(address, &named, "127.0.0.1", Offer::Any).await.is_ok());
    assert!(is_untrusted(&dial(address, &trusting(&authority), "127.0.0.1", Offer::Any).await));
}

#[tokio::test]
async fn upgrades_and_disable_http2_keep_to_http1() {
    let authority = Authority::new("ca");
    let address = server(&authority.issue(&["a.test"]), None).await;
    let ours = trusting(&authority);
    assert_eq!(dial(address, &ours, "a.test", Offer::Http1).await.unwrap().0, Alpn::Http1);
    let old = ServersTransport { disable_http2: true, ..trusting(&authority) };
    assert_eq!(dial(address, &old, "a.test", Offer::Any).await.unwrap().0, Alpn::Http1);
}

#[tokio::test]
async fn versions_hold_and_a_minimum_needs_no_maximum() {
    let authority = Authority::new("ca");
    let address = server(&authority.issue(&["a.test"]), None).await;
    let newest = ServersTransport { min_version: "VersionTLS13".into(), ..trusting(&authority) };
    let agreed = dial(address, &newest, "a.test", Offer::Any).await.unwrap().1;
    assert_eq!(agreed, ProtocolVersion::TLSv1_3);
    let older = ServersTransport { max_version: "VersionTLS12".into(), ..trusting(&authority) };
    let agreed = dial(address, &older, "a.test", Offer::Any).await.unwrap().1;
    assert_eq!(agreed, ProtocolVersion::TLSv1_2);
}

#[tokio::test]
async fn we_show_our_certificate_to_servers_that_ask() {
    let authority = Authority::new("ca");
    let address = server(&authority.issue(&["a.test"]), Some(&authority)).await;
    assert!(dial(address, &trusting(&authority), "a.test", Offer::Any).await.is_err());
    let rsa = authority.issue_with(&["us"], &rcgen::PKCS_RSA_SHA256, |_| {});
    let certificates = vec![authority.issue(&["us"]).as_client(), rsa.as_client()];
    let known = ServersTransport { certificates, ..trusting(&authority) };
    assert!(dial(address, &known, "a.test", Offer::Any).await.is_ok());
}

#[tokio::test]
async fn the_uri_of_the_server_must_match() {
    let authority = Authority::new("ca");
    let issued = authority.issue_with(&["a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.subject_alt_names.push(uri("spiffe://domain.test/server"));
    });
    let address = server(&issued, None).await;
    let wanting = |text: &str, insecure_skip_verify| ServersTransport {
        peer_cert_uri: text.into(),
        insecure_skip_verify,
        ..trusting(&authority)
    };
    let right = "spiffe://domain.test/server";
    assert!(dial(address, &wanting(right, false), "a.test", Offer::Any).await.is_ok());
    assert!(is_untrusted(&dial(address, &wanting(right, false), "b.test", Offer::Any).await));
    assert!(is_untrusted(
        &dial(address, &wanting("spiffe://domain.test/x", false), "a.test", Offer::Any).await
    ));
    // Without names the chain and the URI still count.
    assert!(dial(address, &wanting(right, true), "b.test", Offer::Any).await.is_ok());
    assert!(is_untrusted(&dial(address, &wanting("spiffe://x", true), "b.test", Offer::Any).await));
    let foreign = ServersTransport {
        root_cas: trusting(&Authority::new("o")).root_cas,
        ..wanting(right, true)
    };
    assert!(is_untrusted(&dial(address, &foreign, "b.test", Offer::Any).await));
}

#[tokio::test]
async fn a_self_signed_certificate_among_the_roots_is_trusted_even_as_an_authority() {
    let change = |is_ca| {
        move |params: &mut rcgen::CertificateParams| {
            params.subject_alt_names =
                rcgen::CertificateParams::new(["self.test".to_owned()]).unwrap().subject_alt_names;
            params.is_ca = is_ca;
        }
    };
    let unconstrained = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for is_ca in [unconstrained, rcgen::IsCa::NoCa] {
        let issued = Issued::self_signed(change(is_ca));
        let address = server(&issued, None).await;
        let pinned =
            ServersTransport { root_cas: vec![issued.pem()], ..ServersTransport::default() };
        assert!(dial(address, &pinned, "self.test", Offer::Any).await.is_ok());
        assert!(is_untrusted(&dial(address, &pinned, "other.test", Offer::Any).await));
    }
    let old = Issued::self_signed(|params| {
        change(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))(params);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let address = server(&old, None).await;
    let pinned = ServersTransport { root_cas: vec![old.pem()], ..ServersTransport::default() };
    assert!(is_untrusted(&dial(address, &pinned, "self.test", Offer::Any).await));
}

#[tokio::test]
async fn a_server_without_tls_is_not_acceptable_and_not_a_matter_of_certificates() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await,
        );
        drop(tokio::io::AsyncReadExt::read_u8(&mut stream).await);
    });
    let blind = ServersTransport { insecure_skip_verify: true, ..ServersTransport::default() };
    let error = dial(address, &blind, "a.test", Offer::Any).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(!client::is_certificate_error(&error));
}

#[test]
fn unusable_transports_are_errors() {
    let error = |transport: &ServersTransport| {
        let (tls, problems) = ClientTls::compile("t@file", transport, None);
        assert!(tls.is_none());
        let problem = problems.into_iter().next().unwrap();
        assert_eq!(problem.severity, Severity::Error);
        problem.message
    };
    let base = ServersTransport::default;
    let spiffe = Some(Spiffe::default());
    assert!(error(&ServersTransport { spiffe, ..base() }).contains("spiffe.workloadAPIAddr"));
    let root_cas = vec![FileOrContent("/nowhere/ca.pem".into())];
    assert!(error(&ServersTransport { root_cas, ..base() }).contains("rootCAs `/nowhere/ca.pem`"));
    let max_version = "VersionTLS11".into();
    assert!(error(&ServersTransport { max_version, ..base() }).contains("leaves no version"));
    let server_name = "no name".into();
    assert!(error(&ServersTransport { server_name, ..base() }).contains("serverName"));
    let authority = Authority::new("ca");
    let mut mixed = authority.issue(&["a"]).as_client();
    mixed.key_file = authority.issue(&["b"]).key_pem();
    let certificates = vec![mixed];
    assert!(error(&ServersTransport { certificates, ..base() }).contains("certificates"));
}

#[test]
fn a_changed_authority_file_makes_a_transport_stale() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, Authority::new("old").pem).unwrap();
    let root_cas = vec![FileOrContent(file.to_str().unwrap().to_owned())];
    let transport = ServersTransport { root_cas, ..ServersTransport::default() };
    let tls = compile(&transport);
    assert!(tls.is_current(&transport));
    std::fs::write(&file, Authority::new("new").pem).unwrap();
    assert!(!tls.is_current(&transport));
    std::fs::remove_file(&file).unwrap();
    assert!(!tls.is_current(&transport));
}
