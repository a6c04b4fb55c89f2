//! The names that users write for versions, cipher suites and key-exchange groups, and what rustls
//! makes of them.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
};

/// What a list of names came to: a value, and remarks about names that had to be left out.
pub(super) struct Understood<T> {
    pub(super) value: T,
    pub(super) remarks: Vec<String>,
}

/// What one set of TLS options allows. Same for clients and servers.
pub(super) struct Allowed {
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Reads `minVersion`, `maxVersion`, `cipherSuites` and `curvePreferences` together; an error means
/// that nothing is left to negotiate.
pub(super) fn allowed(
    min: &str,
    max: &str,
    suites: &[String],
    curves: &[String],
) -> Result<Understood<Allowed>, String> {
    let Understood { value: mut versions, mut remarks } = read_versions(min, max)?;
    let mut provider = CryptoProvider::clone(super::provider());
    if !suites.is_empty() {
        let chosen = read_suites(suites, &versions)?;
        remarks.extend(chosen.remarks);
        provider.cipher_suites = chosen.value;
        let usable = |version: &&SupportedProtocolVersion| {
            provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
        };
        versions.retain(usable);
    }
    if !curves.is_empty() {
        let chosen = read_groups(curves)?;
        remarks.extend(chosen.remarks);
        provider.kx_groups = chosen.value;
    }
    let value = Allowed { versions, provider: Arc::new(provider) };
    Ok(Understood { value, remarks })
}

/// Traefik: `VersionTLS10` to `VersionTLS13`. TLS 1.0 and 1.1 do not exist here, so an older minimum acts as 1.2.
fn read_versions(
    min: &str,
    max: &str,
) -> Result<Understood<Vec<&'static SupportedProtocolVersion>>, String> {
    let mut remarks = Vec::new();
    let minimum = if min.is_empty() { 12 } else { read_version("minVersion", min)? };
    let maximum = if max.is_empty() { 13 } else { read_version("maxVersion", max)? };
    if maximum < 12 {
        return Err(format!(
            "maxVersion {max} leaves no version; TLS 1.2 and 1.3 are served, so use VersionTLS12 or VersionTLS13"
        ));
    }
    if minimum > maximum {
        return Err(format!("minVersion {min} is above maxVersion {max}"));
    }
    if minimum < 12 {
        remarks.push(format!("minVersion {min} acts as VersionTLS12; older versions are not safe"));
    }
    let versions = [(12, &TLS12), (13, &TLS13)];
    let inside = |(number, version)| (minimum..=maximum).contains(&number).then_some(version);
    Ok(Understood { value: versions.into_iter().filter_map(inside).collect(), remarks })
}

fn read_version(field: &str, text: &str) -> Result<u8, String> {
    match text.to_ascii_uppercase().strip_prefix("VERSIONTLS") {
        Some("10") => Ok(10),
        Some("11") => Ok(11),
        Some("12") => Ok(12),
        Some("13") => Ok(13),
        _ => Err(format!("{field} `{text}` is unknown; expected VersionTLS12 or VersionTLS13")),
    }
}

/// Traefik: the list chooses for TLS 1.2 only, the suites of 1.3 are all on. A list of nothing but names of 1.3 leaves
/// 1.2 without a suite, and so does a list of names that are known but not safe.
fn read_suites(
    names: &[String],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Understood<Vec<SupportedCipherSuite>>, String> {
    let mut suites: Vec<_> = TLS13_SUITES.iter().map(|(_, suite)| *suite).collect();
    let mut remarks = Vec::new();
    let (mut older, mut newer, mut dropped) = (false, false, false);
    for name in names {
        let named = |table: &[(&str, SupportedCipherSuite)]| {
            table
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, suite)| *suite)
        };
        if let Some(suite) = named(TLS12_SUITES) {
            older = true;
            if !suites.contains(&suite) {
                suites.push(suite);
            }
        } else if named(TLS13_SUITES).is_some() {
            newer = true;
        } else if UNSAFE_SUITES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            dropped = true;
            remarks.push(format!(
                "cipher suite {name} is left out: CBC, RC4, 3DES and RSA key exchange are not served"
            ));
        } else {
            return Err(format!(
                "cipher suite `{name}` is unknown; expected a name such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            ));
        }
    }
    let needs_older = versions.iter().any(|version| **version == TLS12);
    if needs_older && !older {
        if dropped && !newer {
            return Err("cipherSuites names no suite that can be served; \
                        add one such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
                .to_owned());
        }
        if !versions.contains(&&TLS13) {
            return Err("cipherSuites leaves TLS 1.2, the only version, without a suite".to_owned());
        }
        remarks
            .push("cipherSuites names no suite of TLS 1.2, so only TLS 1.3 is served".to_owned());
    }
    Ok(Understood { value: suites, remarks })
}

fn read_groups(names: &[String]) -> Result<Understood<Vec<&'static dyn SupportedKxGroup>>, String> {
    let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
    let mut remarks = Vec::new();
    for name in names {
        match GROUPS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, Some(group))) => {
                if !groups.iter().any(|known| known.name() == group.name()) {
                    groups.push(*group);
                }
            }
            Some((_, None)) => remarks.push(format!("curve {name} is left out: it is not served")),
            None => {
                return Err(format!(
                    "curve `{name}` is unknown; expected a name such as X25519 or CurveP256"
                ));
            }
        }
    }
    if groups.is_empty() {
        return Err("curvePreferences names no curve that can be served; \
                    add one such as X25519 or CurveP256"
            .to_owned());
    }
    Ok(Understood { value: groups, remarks })
}

/// The groups of a listener without `curvePreferences`. rustls follows the client's order among them.
pub(super) fn default_groups() -> Vec<&'static dyn SupportedKxGroup> {
    let mut groups = aws_lc_rs::DEFAULT_KX_GROUPS.to_vec();
    let post_quantum = |group: &&dyn SupportedKxGroup| group.name() == NamedGroup::X25519MLKEM768;
    if !groups.iter().any(post_quantum) {
        groups.push(group::X25519MLKEM768);
    }
    groups
}

/// The text of a version as the access log and headers show it.
pub(super) fn version_text(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "",
    }
}

/// The name that IANA gives a suite; rustls writes `TLS13_` for those of 1.3.
pub(super) fn suite_text(suite: CipherSuite) -> &'static str {
    let both = TLS13_SUITES.iter().chain(TLS12_SUITES);
    both.into_iter().find(|(_, known)| known.suite() == suite).map_or("", |(name, _)| *name)
}

const TLS13_SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// IANA's names first; Go also knows the ChaCha20 suites without their hash.
const TLS12_SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Names that Traefik accepts and rustls, for good reasons, does not have.
const UNSAFE_SUITES: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_FALLBACK_SCSV",
];

/// Go's names and those of the RFCs; `None` = known, but not in the cryptographic library's TLS groups.
const GROUPS: &[(&str, Option<&'static dyn SupportedKxGroup>)] = &[
    ("CurveP256", Some(group::SECP256R1)),
    ("secp256r1", Some(group::SECP256R1)),
    ("CurveP384", Some(group::SECP384R1)),
    ("secp384r1", Some(group::SECP384R1)),
    ("CurveP521", None),
    ("secp521r1", None),
    ("X25519", Some(group::X25519)),
    ("X25519MLKEM768", Some(group::X25519MLKEM768)),
    ("SecP256r1MLKEM768", Some(group::SECP256R1MLKEM768)),
    ("SecP384r1MLKEM1024", None),
];
