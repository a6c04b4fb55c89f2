//! Client certificates: the four ways to ask, and what becomes of tickets.

use std::sync::Arc;

use portcullis_config::routing::tls::{ClientAuth, Options};
use portcullis_config::units::FileOrContent;
use rustls::{ClientConfig, HandshakeKind};

use crate::tls::testing::{Authority, Listener, certificates, host, verifying};

/// Which of nobody, a stranger and a friend is let in under `kind`, on TLS 1.2 and 1.3 alike.
async fn admitted(kind: &str) -> [bool; 3] {
    let (authority, other) = (Authority::new("ours"), Authority::new("theirs"));
    let client_auth = ClientAuth {
        ca_files: vec![FileOrContent(authority.pem.clone())],
        client_auth_type: kind.to_owned(),
    };
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("mtls@file".into(), Options { client_auth, ..Options::default() });
    let listener = Listener::start(&tls, &[host("a.test", "mtls@file")]).await;
    let identities = [None, Some(other.issue(&["stranger"])), Some(authority.issue(&["friend"]))];
    let mut outcomes = Vec::new();
    for identity in &identities {
        let mut of_versions = Vec::new();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let builder = ClientConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(authority.roots());
            let client = match identity {
                None => builder.with_no_client_auth(),
                Some(own) => {
                    let fixed = rustls::sign::CertifiedKey::from_der(
                        vec![own.der.clone()],
                        own.key(),
                        crate::tls::provider(),
                    );
                    // Shown whatever authorities the listener names.
                    let shown = rustls::sign::SingleCertAndKey::from(fixed.unwrap());
                    builder.with_client_cert_resolver(Arc::new(shown))
                }
            };
            let outcome = listener.greet(&Arc::new(client), "a.test").await;
            if let Ok(seen) = &outcome {
                let shown = usize::from(identity.is_some() && kind != "NoClientCert");
                assert!(seen.told.ends_with(&format!("mtls@file {shown} -")), "{}", seen.told);
            }
            of_versions.push(outcome.is_ok());
        }
        assert_eq!(of_versions[0], of_versions[1], "{kind}");
        outcomes.push(of_versions[0]);
    }
    outcomes.try_into().unwrap()
}

#[tokio::test]
async fn the_types_let_in_whom_they_name() {
    assert_eq!(admitted("NoClientCert").await, [true, true, true]);
    assert_eq!(admitted("RequestClientCert").await, [true, true, true]);
    assert_eq!(admitted("RequireAnyClientCert").await, [false, true, true]);
    assert_eq!(admitted("VerifyClientCertIfGiven").await, [true, false, true]);
    assert_eq!(admitted("RequireAndVerifyClientCert").await, [false, false, true]);
    assert_eq!(admitted("").await, [false, false, true]);
}

#[tokio::test]
async fn a_ticket_from_a_listener_without_client_certificates_is_no_way_into_one_with() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    let listener = Listener::start(&tls, &[]).await;
    let client = Arc::new(authority.client());
    assert!(listener.greet(&client, "a.test").await.is_ok());
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().kind, HandshakeKind::Resumed);
    tls.options.insert("mtls@file".into(), verifying(&authority));
    listener.reload(&tls, &[host("a.test", "mtls@file")]);
    assert!(listener.greet(&client, "a.test").await.is_err());
}

#[tokio::test]
async fn a_ticket_dies_with_the_authorities_it_was_checked_against() {
    let (authority, old, new) =
        (Authority::new("ca"), Authority::new("old"), Authority::new("new"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &old.pem).unwrap();
    let mut options = verifying(&old);
    options.client_auth.ca_files = vec![FileOrContent(file.to_str().unwrap().to_owned())];
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("mtls@file".into(), options);
    let hosts = [host("a.test", "mtls@file")];
    let listener = Listener::start(&tls, &hosts).await;
    let client = Arc::new(authority.client_with(&old.issue(&["friend"])));
    assert!(listener.greet(&client, "a.test").await.is_ok());
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().kind, HandshakeKind::Resumed);
    // The same path with other content is another recipe.
    std::fs::write(&file, &new.pem).unwrap();
    listener.reload(&tls, &hosts);
    assert!(listener.greet(&client, "a.test").await.is_err());
}

#[tokio::test]
async fn a_resumed_connection_still_knows_its_client() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("mtls@file".into(), verifying(&authority));
    let listener = Listener::start(&tls, &[host("a.test", "mtls@file")]).await;
    let client = Arc::new(authority.client_with(&authority.issue(&["friend"])));
    listener.greet(&client, "a.test").await.unwrap();
    let again = listener.greet(&client, "a.test").await.unwrap();
    assert_eq!(again.kind, HandshakeKind::Resumed);
    assert!(again.told.ends_with("mtls@file 1 -"), "{}", again.told);
}
