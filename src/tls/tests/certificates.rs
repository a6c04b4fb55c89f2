//! The store: which certificate for which name, and what is told of it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_config::problem::{Kind, Severity};
use portcullis_config::routing::tls::{self, Tls};
use portcullis_config::units::FileOrContent;
use rustls::SignatureScheme;

use crate::tls::certificate::Status;
use crate::tls::configurations::Configurations;
use crate::tls::store::Store;
use crate::tls::testing::{Authority, Issued, certificates};

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256];

fn store(tls: &Tls) -> Arc<Store> {
    Arc::clone(Configurations::new().unwrap().prepare(tls, &[]).store())
}

fn name_of(store: &Store, asked: &str, schemes: &[SignatureScheme]) -> Option<String> {
    store.find(asked, schemes).map(|found| found.facts().common_name.clone())
}

#[test]
fn exact_names_win_over_wildcards_and_wildcards_replace_left_labels_only() {
    let authority = Authority::new("ca");
    let exact = authority.issue(&["a.example.com"]);
    let one = authority.issue(&["*.example.com"]);
    let two = authority.issue(&["*.*.example.com"]);
    let store = store(&certificates([&two, &one, &exact]));
    let name = |asked| name_of(&store, asked, ECDSA);
    assert_eq!(name("a.example.com").as_deref(), Some("a.example.com"));
    assert_eq!(name("b.example.com").as_deref(), Some("*.example.com"));
    assert_eq!(name("x.b.example.com").as_deref(), Some("*.*.example.com"));
    assert_eq!(name("example.com"), None);
    assert_eq!(name("x.y.z.example.com"), None);
    assert_eq!(name(""), None);
    assert_eq!(name("com"), None);
}

#[test]
fn names_of_certificates_are_compared_in_lower_case() {
    let issued = Authority::new("ca").issue(&["A.Example.COM", "*.Sub.Example.com"]);
    let store = store(&certificates([&issued]));
    assert!(store.knows("a.example.com"));
    assert!(store.knows("x.sub.example.com"));
}

#[test]
fn the_common_name_counts_beside_the_alternative_names() {
    let authority = Authority::new("ca");
    let issued = authority.issue_with(&["san.example"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Common.example");
    });
    let store = store(&certificates([&issued]));
    assert!(store.knows("common.example") && store.knows("san.example"));
}

#[test]
fn of_two_certificates_the_client_gets_the_one_it_can_verify() {
    let authority = Authority::new("ca");
    let elliptic =
        authority.issue_with(&["elliptic", "a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |_| {});
    let rsa = authority.issue_with(&["rsa", "a.test"], &rcgen::PKCS_RSA_SHA256, |_| {});
    for order in [[&elliptic, &rsa], [&rsa, &elliptic]] {
        let store = store(&certificates(order));
        assert_eq!(name_of(&store, "a.test", ECDSA).as_deref(), Some("elliptic"));
        assert_eq!(name_of(&store, "a.test", RSA).as_deref(), Some("rsa"));
    }
}

#[test]
fn a_wildcard_that_the_client_can_verify_beats_an_exact_name_that_it_cannot() {
    let authority = Authority::new("ca");
    let exact = authority.issue_with(&["a.test"], &rcgen::PKCS_RSA_SHA256, |_| {});
    let wild = authority.issue(&["*.test"]);
    let store = store(&certificates([&exact, &wild]));
    assert_eq!(name_of(&store, "a.test", ECDSA).as_deref(), Some("*.test"));
    assert_eq!(name_of(&store, "a.test", RSA).as_deref(), Some("a.test"));
    assert_eq!(name_of(&store, "a.test", &[]).as_deref(), Some("a.test"));
}

#[test]
fn of_equals_the_one_that_is_valid_longest_is_offered_in_any_order() {
    let authority = Authority::new("ca");
    let until = |name: &str, days: u64| {
        authority.issue_with(&[name, "a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
            params.not_after = (SystemTime::now() + Duration::from_secs(days * 86400)).into();
        })
    };
    let (soon, late) = (until("soon", 1), until("late", 100));
    for order in [[&soon, &late], [&late, &soon]] {
        let store = store(&certificates(order));
        assert_eq!(name_of(&store, "a.test", ECDSA).as_deref(), Some("late"));
    }
}

#[test]
fn a_broken_pair_is_a_problem_and_the_others_serve() {
    let authority = Authority::new("ca");
    let (good, other) = (authority.issue(&["good.test"]), authority.issue(&["other.test"]));
    let mut tls = certificates([&good]);
    let pair = |cert_file, key_file| tls::Certificate { cert_file, key_file, stores: Vec::new() };
    let text = |text: &str| FileOrContent(text.to_owned());
    tls.certificates.push(pair(other.pem(), good.key_pem()));
    tls.certificates.push(pair(text("/nowhere/cert.pem"), text("/nowhere/key.pem")));
    tls.certificates.push(pair(good.pem(), text("-----BEGIN X-----\nAAAA\n-----END X-----\n")));
    tls.certificates.push(pair(text(""), good.key_pem()));
    let configurations = Configurations::new().unwrap();
    let prepared = configurations.prepare(&tls, &[]);
    assert!(prepared.store().knows("good.test"));
    assert!(!prepared.store().knows("other.test"));
    let messages: Vec<_> = prepared
        .problems()
        .iter()
        .map(|problem| {
            assert_eq!(problem.about.kind, Kind::TlsCertificate);
            assert_eq!(problem.severity, Severity::Error);
            problem.to_string()
        })
        .collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert!(messages[0].contains("the key does not belong to the certificate"), "{messages:?}");
    assert!(messages[1].contains("`/nowhere/cert.pem` cannot be read"), "{messages:?}");
    assert!(messages[2].contains("keyFile (given as text) holds no private key"), "{messages:?}");
    assert!(messages[3].contains("certFile is empty"), "{messages:?}");
    assert!(messages.iter().all(|message| !message.contains("BEGIN")), "{messages:?}");
}

#[test]
fn files_and_all_kinds_of_keys_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let issued = authority.issue(&["file.test"]);
    let (chain, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&chain, format!("{}{}", issued.pem, authority.pem)).unwrap();
    std::fs::write(&key, issued.key_pem().0).unwrap();
    let path = |path: &std::path::Path| FileOrContent(path.to_str().unwrap().to_owned());
    let mut tls = Tls::default();
    tls.certificates.push(tls::Certificate {
        cert_file: path(&chain),
        key_file: path(&key),
        stores: vec!["default".to_owned()],
    });
    let issue = |name, algorithm| authority.issue_with(&[name], algorithm, |_| {}).configured();
    tls.certificates.push(issue("p384.test", &rcgen::PKCS_ECDSA_P384_SHA384));
    tls.certificates.push(issue("rsa.test", &rcgen::PKCS_RSA_SHA256));
    tls.certificates.push(issue("ed.test", &rcgen::PKCS_ED25519));
    let store = store(&tls);
    let of = |name| store.facts().find(|facts| facts.common_name == name).unwrap();
    assert_eq!(store.find("file.test", ECDSA).unwrap().key().cert.len(), 2);
    assert_eq!((of("p384.test").key_type, of("p384.test").key_size), ("ECDSA", 384));
    assert_eq!((of("rsa.test").key_type, of("rsa.test").key_size), ("RSA", 2048));
    assert_eq!(of("ed.test").key_type, "Unknown");
}

#[test]
fn the_default_certificate_is_the_configured_one_or_one_generated_for_the_process() {
    let configurations = Configurations::new().unwrap();
    let generated = configurations.store();
    let facts = generated.fallback().facts().clone();
    assert_eq!(facts.common_name, "PORTCULLIS DEFAULT CERT");
    let labels: Vec<_> = facts.sans.first().unwrap().split('.').map(str::len).collect();
    assert_eq!(labels, [32, 32, "portcullis".len(), "default".len()]);
    assert_eq!(generated.facts().count(), 0);
    let again = Configurations::new().unwrap().store().fallback().facts().name.clone();
    assert_eq!(again, facts.name);

    let own = Authority::new("ca").issue(&["own.test"]);
    let store = tls::Store { default_certificate: Some(own.as_client()), ..tls::Store::default() };
    let mut tls = Tls::default();
    tls.stores.insert("default".to_owned(), store);
    let prepared = configurations.prepare(&tls, &[]);
    assert_eq!(prepared.store().fallback().facts().common_name, "own.test");
    assert_eq!(prepared.store().facts().count(), 1);
    assert!(prepared.problems().is_empty());
}

#[test]
fn a_broken_default_certificate_is_a_problem_and_the_generated_one_stands_in() {
    let own = Authority::new("ca").issue(&["own.test"]);
    let mut pair = own.as_client();
    pair.key_file = FileOrContent("/nowhere/key.pem".to_owned());
    let store = tls::Store { default_certificate: Some(pair), ..tls::Store::default() };
    let mut tls = Tls::default();
    tls.stores.insert("default".to_owned(), store);
    let prepared = Configurations::new().unwrap().prepare(&tls, &[]);
    assert_eq!(prepared.store().fallback().facts().common_name, "PORTCULLIS DEFAULT CERT");
    assert_eq!(prepared.problems().first().unwrap().about.kind, Kind::TlsStore);
}

#[test]
fn the_facts_have_the_shape_of_the_api() {
    let issued = Issued::self_signed(|params| {
        let names = &mut params.distinguished_name;
        names.push(rcgen::DnType::CommonName, "a.example.com");
        names.push(rcgen::DnType::OrganizationName, "Org X");
        names.push(rcgen::DnType::CountryName, "DE");
        params.subject_alt_names = rcgen::CertificateParams::new([
            "b.test".to_owned(),
            "127.0.0.1".to_owned(),
            "*.A.test".to_owned(),
        ])
        .unwrap()
        .subject_alt_names;
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2027, 1, 2);
        params.serial_number = Some(vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0].into());
    });
    let store = store(&certificates([&issued]));
    let facts = store.facts().next().unwrap();
    let json = serde_json::to_value(facts).unwrap();
    assert_eq!(json["sans"], serde_json::json!(["*.A.test", "127.0.0.1", "b.test"]));
    assert_eq!(json["notAfter"], "2027-01-02T00:00:00Z");
    assert_eq!(json["notBefore"], "2026-01-02T00:00:00Z");
    assert_eq!(json["serialNumber"], "4722366482869645213696");
    assert_eq!(json["commonName"], "a.example.com");
    assert_eq!(json["issuerCN"], "a.example.com");
    assert_eq!(json["issuerOrg"], "Org X");
    assert_eq!(json["country"], "DE");
    assert_eq!(json["version"], "v3");
    assert_eq!((&json["keyType"], &json["keySize"]), (&"ECDSA".into(), &256.into()));
    assert_eq!(json["signatureAlgorithm"], "ECDSA-SHA256");
    assert_eq!(json["name"], json["certFingerprint"]);
    assert_eq!(json["name"].as_str().unwrap().len(), 64);
    assert_eq!(json["publicKeyFingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(facts.dns_names, "*.A.test,b.test");
    let day = 24 * 3600;
    assert_eq!(facts.status(facts.expires - 31 * day), Status::Enabled);
    assert_eq!(facts.status(facts.expires - 29 * day), Status::Warning);
    assert_eq!(facts.status(facts.expires + 1), Status::Expired);
}

#[test]
fn a_certificate_for_another_store_is_not_offered() {
    let mut tls = certificates([&Authority::new("ca").issue(&["a.test"])]);
    tls.certificates[0].stores = vec!["other".to_owned()];
    let prepared = Configurations::new().unwrap().prepare(&tls, &[]);
    assert!(!prepared.store().knows("a.test"));
    assert_eq!(prepared.problems().len(), 1);
}

#[test]
fn a_look_up_among_5000_certificates_is_a_matter_of_microseconds() {
    let authority = Authority::new("ca");
    let names: Vec<_> = (0..200).map(|each| format!("*.n{each}.example.com")).collect();
    // 25 names each: the index counts names, and keys are slow to make.
    let issued: Vec<_> = (0..200)
        .map(|each| {
            let mut all = vec![names[each].clone()];
            all.extend((0..24).map(|more| format!("h{more}.n{each}.example.com")));
            authority.issue(&all.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect();
    let store = store(&certificates(&issued));
    let asked: Vec<_> = (0..200).map(|each| format!("any.n{each}.example.com")).collect();
    let begin = Instant::now();
    for _ in 0..100 {
        for name in &asked {
            assert!(store.find(name, ECDSA).is_some());
        }
    }
    let each = begin.elapsed() / 20_000;
    // 2 microseconds is the aim with optimisation; tests run without, on busy machines.
    assert!(each < Duration::from_micros(50), "{each:?}");
}
