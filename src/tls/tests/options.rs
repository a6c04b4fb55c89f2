//! Options objects: what they come to, and what they do not.

use portcullis_config::problem::{Kind, Severity};
use portcullis_config::routing::tls::{ClientAuth, Options, Tls};
use portcullis_config::units::FileOrContent;
use rustls::NamedGroup;

use crate::tls::configurations::Configurations;
use crate::tls::testing::Authority;

/// What becomes of `options`: the remarks, or the error.
fn outcome(options: Options) -> Result<Vec<String>, String> {
    let mut tls = Tls::default();
    tls.options.insert("o@file".to_owned(), options);
    let prepared = Configurations::new().unwrap().prepare(&tls, &[]);
    let messages = prepared.problems().iter().map(|problem| {
        assert_eq!((problem.about.kind, problem.about.name.as_str()), (Kind::TlsOptions, "o@file"));
        (problem.severity, problem.message.clone())
    });
    let (errors, remarks): (Vec<_>, Vec<_>) =
        messages.partition(|(severity, _)| *severity == Severity::Error);
    assert_eq!(prepared.terms("o@file").is_none(), !errors.is_empty());
    match errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(remarks.into_iter().map(|(_, remark)| remark).collect()),
    }
}

fn versions(min: &str, max: &str) -> Result<Vec<String>, String> {
    outcome(Options { min_version: min.into(), max_version: max.into(), ..Options::default() })
}

fn suites(names: &[&str]) -> Result<Vec<String>, String> {
    let cipher_suites = names.iter().map(|name| (*name).to_owned()).collect();
    outcome(Options { cipher_suites, ..Options::default() })
}

fn curves(names: &[&str]) -> Result<Vec<String>, String> {
    let curve_preferences = names.iter().map(|name| (*name).to_owned()).collect();
    outcome(Options { curve_preferences, ..Options::default() })
}

#[test]
fn old_minimum_versions_act_as_1_2_with_a_warning() {
    for old in ["VersionTLS10", "VersionTLS11"] {
        let remarks = versions(old, "").unwrap();
        assert!(remarks[0].contains("acts as VersionTLS12"), "{remarks:?}");
    }
    assert_eq!(versions("VersionTLS12", "VersionTLS13"), Ok(Vec::new()));
    assert_eq!(versions("", "VersionTLS12"), Ok(Vec::new()));
}

#[test]
fn options_without_any_version_are_an_error() {
    assert!(versions("", "VersionTLS11").unwrap_err().contains("leaves no version"));
    assert!(versions("VersionTLS13", "VersionTLS12").unwrap_err().contains("is above"));
    assert!(versions("TLS1.2", "").unwrap_err().contains("minVersion `TLS1.2` is unknown"));
}

#[test]
fn only_unsafe_suites_are_an_error() {
    let names = ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256"];
    let error = suites(&names).unwrap_err();
    assert!(error.contains("names no suite that can be served"), "{error}");
    assert!(error.contains("connections to its hosts are refused"), "{error}");
}

#[test]
fn unsafe_suites_beside_safe_ones_are_left_out_with_a_warning() {
    let remarks =
        suites(&["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]);
    assert_eq!(remarks.unwrap().len(), 1);
    assert!(suites(&["TLS_ECDHE_RSA_WITH_AES_129_GCM_SHA256"]).unwrap_err().contains("is unknown"));
}

#[test]
fn suites_of_1_3_alone_mean_1_3_alone() {
    let remarks = suites(&["TLS_AES_128_GCM_SHA256"]).unwrap();
    assert!(remarks[0].contains("only TLS 1.3 is served"), "{remarks:?}");
    let options = Options {
        max_version: "VersionTLS12".into(),
        cipher_suites: vec!["TLS_AES_128_GCM_SHA256".into()],
        ..Options::default()
    };
    assert!(outcome(options).unwrap_err().contains("without a suite"));
}

#[test]
fn a_list_of_suites_does_not_matter_where_only_1_3_is_served() {
    let options = Options {
        min_version: "VersionTLS13".into(),
        cipher_suites: vec!["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA".into()],
        ..Options::default()
    };
    assert_eq!(outcome(options).unwrap().len(), 1);
}

#[test]
fn curves_go_by_both_their_names() {
    for known in
        ["CurveP256", "secp256r1", "CurveP384", "secp384r1", "X25519", "x25519", "X25519MLKEM768"]
    {
        assert_eq!(curves(&[known]), Ok(Vec::new()), "{known}");
    }
    assert_eq!(curves(&["CurveP521", "X25519", "SecP384r1MLKEM1024"]).unwrap().len(), 2);
    assert!(curves(&["CurveP521"]).unwrap_err().contains("names no curve that can be served"));
    assert!(curves(&["P-256"]).unwrap_err().contains("`P-256` is unknown"));
}

#[test]
fn a_hybrid_curve_is_offered_by_default() {
    let groups = &crate::tls::provider().kx_groups;
    assert!(groups.iter().any(|group| group.name() == NamedGroup::X25519MLKEM768));
}

#[test]
fn alpn_names_must_fit() {
    let options = |name: &str| Options { alpn_protocols: vec![name.into()], ..Options::default() };
    assert_eq!(outcome(options("http/1.1")), Ok(Vec::new()));
    assert!(outcome(options("")).unwrap_err().contains("alpnProtocols"));
    assert!(outcome(options(&"x".repeat(256))).unwrap_err().contains("256 bytes"));
}

fn client_auth(kind: &str, files: &[&str]) -> Result<Vec<String>, String> {
    let client_auth = ClientAuth {
        ca_files: files.iter().map(|file| FileOrContent((*file).to_owned())).collect(),
        client_auth_type: kind.into(),
    };
    outcome(Options { client_auth, ..Options::default() })
}

#[test]
fn verifying_types_need_authorities() {
    for kind in ["VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] {
        assert!(client_auth(kind, &[]).unwrap_err().contains("needs caFiles"), "{kind}");
        assert_eq!(client_auth(kind, &[&Authority::new("ca").pem]), Ok(Vec::new()));
    }
    for kind in ["", "NoClientCert", "RequestClientCert", "RequireAnyClientCert"] {
        assert_eq!(client_auth(kind, &[]), Ok(Vec::new()), "{kind}");
    }
    assert!(client_auth("Sometimes", &[]).unwrap_err().contains("`Sometimes` is unknown"));
}

#[test]
fn unusable_authority_files_are_an_error_whatever_the_type() {
    let good = Authority::new("ca").pem;
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for bad in ["/nowhere/ca.pem", empty.to_str().unwrap(), "", odd] {
        for kind in ["", "NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven"] {
            let error = client_auth(kind, &[&good, bad]).unwrap_err();
            assert!(error.contains("caFiles"), "{kind} {bad}: {error}");
            assert!(error.contains("connections to its hosts are refused"), "{error}");
        }
    }
}
