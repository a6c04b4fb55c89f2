//! Attacks that worked elsewhere, one test by advisory.

use std::sync::Arc;

use portcullis_config::problem::Severity;
use portcullis_config::routing::tls::{Options, Tls};
use portcullis_config::units::FileOrContent;

use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::policy::Refused;
use crate::tls::testing::{
    Authority, Listener, certificates, greet_in_single_bytes, host, verifying,
};

/// `mtls@file` wants a certificate; `default` does not.
fn with_client_certificates(authority: &Authority) -> Tls {
    let mut tls = certificates([&authority.issue(&["a.test", "*.a.test", "open.test"])]);
    tls.options.insert("mtls@file".into(), verifying(authority));
    tls
}

/// CVE-2026-32305: a ClientHello in fragments fell back to the default options, without client certificates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2026_32305_fragments_do_not_change_the_options() {
    let authority = Authority::new("ca");
    let hosts = [host("a.test", "mtls@file")];
    let listener = Listener::start(&with_client_certificates(&authority), &hosts).await;
    let (address, client) = (listener.address, Arc::new(authority.client()));
    let greet = |name: &'static str| {
        let client = Arc::clone(&client);
        tokio::task::spawn_blocking(move || greet_in_single_bytes(address, &client, name))
    };
    let refused = greet("a.test").await.unwrap().unwrap_err();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    assert!(greet("open.test").await.unwrap().unwrap().contains(" default "));
}

/// CVE-2026-48491: the check of `Host` against the handshake's name did not know wildcards.
#[tokio::test]
async fn cve_2026_48491_wildcard_hosts_are_misdirected_on_other_connections() {
    let authority = Authority::new("ca");
    let configurations = Configurations::new().unwrap();
    let prepared = configurations.prepare(&with_client_certificates(&authority), &[]);
    let hosts = [host("*.a.test", "mtls@file"), host("open.test", "default")];
    let policy = prepared.policy(&hosts, Conflicts::FallBack).0;
    let open = policy.choose(Some("open.test"), [127, 0, 0, 1].into()).unwrap().options;
    assert!(policy.admits(&open, "open.test"));
    for host in ["x.a.test", "X.A.TEST", "x.a.test.", "X.a.Test."] {
        assert!(!policy.admits(&open, host), "{host}");
    }
}

/// CVE-2026-53622: an exact look-up of the name missed wildcards and other letter cases.
#[tokio::test]
async fn cve_2026_53622_wildcards_and_upper_case_get_their_options() {
    let authority = Authority::new("ca");
    let hosts = [host("*.A.test", "mtls@file"), host("a.TEST", "mtls@file")];
    let listener = Listener::start(&with_client_certificates(&authority), &hosts).await;
    let (anonymous, known) =
        (Arc::new(authority.client()), Arc::new(authority.client_with(&authority.issue(&["us"]))));
    for name in ["a.test", "A.TEST", "x.a.test", "X.A.Test"] {
        assert!(listener.greet(&anonymous, name).await.is_err(), "{name}");
        assert!(
            listener.greet(&known, name).await.unwrap().told.contains(" mtls@file 1 "),
            "{name}"
        );
    }
}

/// CVE-2026-27586: client authentication failed open when the file of authorities was missing or bad.
#[tokio::test]
async fn cve_2026_27586_bad_authorities_fail_closed() {
    let authority = Authority::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate here\n").unwrap();
    for file in ["/nowhere/ca.pem", empty.to_str().unwrap()] {
        let mut tls = with_client_certificates(&authority);
        let options = tls.options.get_mut("mtls@file").unwrap();
        options.client_auth.ca_files = vec![FileOrContent(file.to_owned())];
        let listener = Listener::start(&tls, &[host("a.test", "mtls@file")]).await;
        let known = Arc::new(authority.client_with(&authority.issue(&["us"])));
        assert!(listener.greet(&known, "a.test").await.is_err());
        assert!(listener.greet(&Arc::new(authority.client()), "a.test").await.is_err());
        assert!(listener.greet(&known, "open.test").await.is_ok());
    }
}

/// CVE-2026-85597: routers with other options for the same host took the client certificates away.
#[test]
fn cve_2026_85597_conflicting_options_are_told_and_can_be_refused() {
    let authority = Authority::new("ca");
    let configurations = Configurations::new().unwrap();
    let mut tls = with_client_certificates(&authority);
    tls.options.insert("weak@file".into(), Options { sni_strict: true, ..Options::default() });
    let prepared = configurations.prepare(&tls, &[]);
    let hosts = [host("a.test", "mtls@file"), host("A.test.", "weak@file")];
    let local = [127, 0, 0, 1].into();

    let (lenient, problems) = prepared.policy(&hosts, Conflicts::FallBack);
    assert_eq!(&*lenient.choose(Some("a.test"), local).unwrap().options, "default");
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
    assert_eq!(problems.len(), 2);

    let (strict, problems) = prepared.policy(&hosts, Conflicts::Refuse);
    assert_eq!(strict.choose(Some("a.test"), local).unwrap_err(), Refused::Options);
    assert!(!strict.admits(&"default".into(), "a.test"));
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
    assert_eq!(problems.len(), 2);
}
