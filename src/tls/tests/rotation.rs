//! Reloads: what stays, what changes, and that nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_config::problem::Severity;
use portcullis_config::routing::tls::{Certificate, Options, Tls};
use portcullis_config::units::FileOrContent;
use rustls::HandshakeKind;
use rustls::client::Resumption;

use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::testing::{Authority, Listener, certificates, host, spawn};

#[tokio::test]
async fn tickets_survive_a_new_set_of_certificates() {
    let authority = Authority::new("ca");
    let (old, new) = (authority.issue(&["a.test"]), authority.issue(&["a.test"]));
    let listener = Listener::start(&certificates([&old]), &[]).await;
    let client = Arc::new(authority.client());
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().leaf, old.der);
    listener.reload(&certificates([&new]), &[]);
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().kind, HandshakeKind::Resumed);
    // Who comes anew gets the new one.
    let stranger = Arc::new(authority.client());
    assert_eq!(listener.greet(&stranger, "a.test").await.unwrap().leaf, new.der);
}

#[tokio::test]
async fn nothing_changes_before_it_is_published() {
    let authority = Authority::new("ca");
    let (old, new) = (authority.issue(&["a.test"]), authority.issue(&["a.test"]));
    let listener = Listener::start(&certificates([&old]), &[]).await;
    let mut client = authority.client();
    client.resumption = Resumption::disabled();
    let client = Arc::new(client);
    let prepared = listener.configurations.prepare(&certificates([&new]), &[]);
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().leaf, old.der);
    prepared.publish();
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().leaf, new.der);
}

#[test]
fn equal_options_and_certificates_are_the_same_objects_after_a_reload() {
    let configurations = Configurations::new().unwrap();
    let authority = Authority::new("ca");
    let issued = authority.issue(&["a.test"]);
    let mut tls = certificates([&issued]);
    tls.options.insert("o@file".into(), Options { sni_strict: true, ..Options::default() });
    let hosts = [host("a.test", "o@file")];
    let choose = |tls: &Tls| {
        let prepared = configurations.prepare(tls, &[]);
        let policy = prepared.policy(&hosts, Conflicts::FallBack).0;
        let certificate = prepared.store().find("a.test", &[]).map(Arc::clone);
        prepared.publish();
        (policy.choose(Some("a.test"), [127, 0, 0, 1].into()).unwrap().config, certificate.unwrap())
    };
    let (config, certificate) = choose(&tls);
    tls.certificates.push(authority.issue(&["b.test"]).configured());
    let (again, same) = choose(&tls);
    assert!(Arc::ptr_eq(&config, &again));
    assert!(Arc::ptr_eq(&certificate, &same));
    tls.options.get_mut("o@file").unwrap().alpn_protocols = vec!["http/1.1".into()];
    let (other, _) = choose(&tls);
    assert!(!Arc::ptr_eq(&config, &other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_certificates_rotate() {
    let authority = Authority::new("ca");
    let sets: Vec<_> = (0..8).map(|_| certificates([&authority.issue(&["a.test"])])).collect();
    let listener = Arc::new(Listener::start(&sets[0], &[]).await);
    let done = Arc::new(AtomicBool::new(false));
    let clients = (0..4).map(|each| {
        let (listener, done) = (Arc::clone(&listener), Arc::clone(&done));
        let mut client = authority.client();
        // Half of them resume.
        if each % 2 == 0 {
            client.resumption = Resumption::disabled();
        }
        let client = Arc::new(client);
        spawn(async move {
            let mut count = 0;
            while count < 50 || !done.load(Ordering::Relaxed) {
                listener.greet(&client, "a.test").await.unwrap();
                count += 1;
            }
            count
        })
    });
    let clients: Vec<_> = clients.collect();
    for round in 0..200 {
        listener.reload(&sets[round % sets.len()], &[]);
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() >= 50);
    }
}

#[tokio::test]
async fn an_expired_or_foreign_certificate_is_offered_only_where_nothing_better_is() {
    let authority = Authority::new("ca");
    let expired = authority.issue_with(&["a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let good = authority.issue(&["a.test"]);
    let client = Arc::new(authority.client());
    let listener = Listener::start(&certificates([&expired, &good]), &[]).await;
    assert_eq!(listener.greet(&client, "a.test").await.unwrap().leaf, good.der);
    // A reload to a pair that does not belong together keeps the rest.
    let mut broken = certificates([&good, &expired]);
    broken.certificates[1].key_file = good.key_pem();
    listener.reload(&broken, &[]);
    assert!(listener.greet(&client, "a.test").await.is_ok());
}

#[tokio::test]
async fn files_that_break_during_a_reload_leave_the_old_certificate_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let (old, new) = (authority.issue(&["a.test"]), authority.issue(&["a.test"]));
    let (chain, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&chain, &old.pem).unwrap();
    std::fs::write(&key, old.key_pem().0).unwrap();
    let path = |path: &std::path::Path| FileOrContent(path.to_str().unwrap().to_owned());
    let mut tls = Tls::default();
    tls.certificates.push(Certificate {
        cert_file: path(&chain),
        key_file: path(&key),
        stores: Vec::new(),
    });
    let listener = Listener::start(&tls, &[]).await;
    let leaf = async || {
        let stranger = Arc::new(authority.client());
        listener.greet(&stranger, "a.test").await.unwrap().leaf
    };
    // The certificate is new already, the key not yet; then a half of it; then all; then it is gone.
    std::fs::write(&chain, &new.pem).unwrap();
    let problems = listener.configurations.prepare(&tls, &[]).problems().to_vec();
    assert_eq!(problems[0].severity, Severity::Warning);
    assert!(problems[0].message.contains("still offered"), "{problems:?}");
    listener.reload(&tls, &[]);
    assert_eq!(leaf().await, old.der);
    std::fs::write(&key, &new.key_pem().0[..100]).unwrap();
    listener.reload(&tls, &[]);
    assert_eq!(leaf().await, old.der);
    std::fs::write(&key, new.key_pem().0).unwrap();
    listener.reload(&tls, &[]);
    assert_eq!(leaf().await, new.der);
    std::fs::remove_file(&key).unwrap();
    listener.reload(&tls, &[]);
    assert_eq!(leaf().await, new.der);
}

#[test]
fn a_name_is_found_among_five_thousand_within_two_microseconds() {
    const COUNT: usize = 5_000;
    let authority = Authority::new("ca");
    let issued: Vec<_> = (0..COUNT)
        .map(|number| {
            let (exact, wild) = (format!("host-{number}.test"), format!("*.wild-{number}.test"));
            authority.issue(&[&exact, &wild])
        })
        .collect();
    let configurations = Configurations::new().unwrap();
    let prepared = configurations.prepare(&certificates(&issued), &[]);
    let store = prepared.store();
    let names: Vec<String> = (0..COUNT)
        .flat_map(|number| [format!("host-{number}.test"), format!("a.wild-{number}.test")])
        .collect();
    let round = || {
        let begun = std::time::Instant::now();
        let found = names.iter().filter(|name| store.find(name, &[]).is_some()).count();
        assert_eq!(found, names.len());
        begun.elapsed() / u32::try_from(names.len()).unwrap()
    };
    // The best of some rounds: a busy machine makes others slower.
    let best = (0..20).map(|_| round()).min().unwrap();
    assert!(best <= std::time::Duration::from_micros(2), "{best:?}");
    println!("{best:?} each");
}
