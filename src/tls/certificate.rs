//! One certificate chain with its key, the names it is good for, and its facts for API and metrics.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_config::units::FileOrContent;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::X509Name;

use super::pem::Source;
use crate::net::live::Live;

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    stapled: Live<Option<Stapled>>,
    names: Vec<String>,
    facts: Facts,
}

/// A certificate with an OCSP answer.
#[derive(Debug)]
struct Stapled {
    key: Arc<CertifiedKey>,
    /// In seconds since 1970.
    until: i64,
}

impl Certificate {
    /// Loads a pair of PEM sources; the message says which of them is broken and how.
    pub(super) fn read(certificate: &FileOrContent, key: &FileOrContent) -> Result<Pair, String> {
        let chain = Source::new("certFile", certificate).read()?;
        let key = Source::new("keyFile", key).read()?;
        let mut digest = Sha256::new();
        digest.update((chain.len() as u64).to_be_bytes());
        digest.update(&chain);
        digest.update(&key);
        Ok(Pair { digest: digest.finalize().into(), chain, key })
    }

    /// Takes a chain, leaf first, and the leaf's key.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, String> {
        let leaf = chain.first().ok_or("the chain is empty")?;
        let facts = Facts::of(leaf)?;
        let names = names(leaf)?;
        let key =
            CertifiedKey::from_der(chain, key, super::provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the key does not belong to the certificate".to_owned()
                }
                _ => "the key is of no supported kind; expected RSA (2048 bits or more), \
                      ECDSA (P-256, P-384, P-521) or Ed25519"
                    .to_owned(),
            })?;
        Ok(Self { key: Arc::new(key), stapled: Live::new(Arc::new(None)), names, facts })
    }

    /// Takes PEM texts as resolvers store them; the message never holds any of the key.
    pub(super) fn from_pem(chain: &str, key: &str) -> Result<Self, String> {
        let (chain, key) = (FileOrContent(chain.to_owned()), FileOrContent(key.to_owned()));
        Self::read(&chain, &key)?.load(&chain, &key)
    }

    /// The certificates of the chain, the leaf first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// Whether it is for `host` (canonical): by a name of its own, or by a wildcard for the left-most label.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.iter().any(|name| name == host || Some(name) == wildcard.as_ref())
    }

    /// The chain and the key.
    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// What rustls offers: the chain and the key, with the OCSP answer if there is one that still holds.
    pub(super) fn offer(&self) -> Arc<CertifiedKey> {
        let holds = |it: &&Stapled| jiff::Timestamp::now().as_second() < it.until;
        self.stapled.with(|stapled| {
            let stapled = stapled.as_ref().filter(holds);
            Arc::clone(stapled.map_or(&self.key, |stapled| &stapled.key))
        })
    }

    /// Shows `answer` in handshakes from now on, until a time in seconds since 1970; `None` = no answer.
    pub(super) fn staple(&self, answer: Option<(&[u8], i64)>) {
        let stapled = answer.map(|(bytes, until)| {
            let key = CertifiedKey { ocsp: Some(bytes.to_vec()), ..CertifiedKey::clone(&self.key) };
            Stapled { key: Arc::new(key), until }
        });
        self.stapled.store(Arc::new(stapled));
    }

    /// Common name, DNS names and addresses, lower case, wildcards as they stand, each once.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the API and the metrics show of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// The bytes of a certificate and its key before they are understood, with a digest to find the same pair again.
pub(super) struct Pair {
    pub(super) digest: [u8; 32],
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    /// Parses both; the sources give the messages their places.
    pub(super) fn load(
        &self,
        certificate: &FileOrContent,
        key: &FileOrContent,
    ) -> Result<Certificate, String> {
        let chain = Source::new("certFile", certificate).certificates(&self.chain)?;
        let key = Source::new("keyFile", key).key(&self.key)?;
        Certificate::new(chain, key)
    }
}

/// What the API shows of a certificate. Traefik: the shape of `/api/certificates`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// SHA-256 of the certificate in hexadecimal; also its name in the API.
    pub name: String,
    /// DNS names and addresses, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<String>,
    /// End of validity, RFC 3339.
    pub not_after: String,
    /// Begin of validity, RFC 3339.
    pub not_before: String,
    /// In decimal.
    pub serial_number: String,
    /// Of the subject.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub common_name: String,
    /// First organization of the issuer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_org: String,
    /// Common name of the issuer.
    #[serde(rename = "issuerCN", skip_serializing_if = "String::is_empty")]
    pub issuer_cn: String,
    /// Country of the issuer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_country: String,
    /// First organization of the subject.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Country of the subject.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// `v3`.
    pub version: String,
    /// `RSA`, `ECDSA` or `Unknown`.
    pub key_type: &'static str,
    /// In bits; 0 = unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub key_size: usize,
    /// As Go names it, `ECDSA-SHA256`.
    pub signature_algorithm: String,
    /// SHA-256 of the certificate in hexadecimal.
    pub cert_fingerprint: String,
    /// SHA-256 of the public key with its algorithm in hexadecimal.
    pub public_key_fingerprint: String,
    /// DNS names alone, comma separated: the label `sans` of the metric.
    #[serde(skip)]
    pub dns_names: String,
    /// End of validity in seconds since 1970: the value of the metric.
    #[serde(skip)]
    pub expires: i64,
    /// Begin of validity in seconds since 1970.
    #[serde(skip)]
    pub begins: i64,
}

/// Whether a certificate is still good. Traefik: less than 30 days are a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Good for 30 days or more.
    Enabled,
    /// Good for less than 30 days.
    Warning,
    /// No longer good.
    Expired,
}

impl Facts {
    /// Whether it is still good at `now`, in seconds since 1970.
    pub fn status(&self, now: i64) -> Status {
        match self.expires.saturating_sub(now) {
            left if left <= 0 => Status::Expired,
            left if left < 30 * 24 * 3600 => Status::Warning,
            _ => Status::Enabled,
        }
    }

    /// Whether it is valid at `now`, in seconds since 1970. One that is not valid yet counts as valid within an hour,
    /// since clocks differ.
    pub(super) fn is_valid(&self, now: i64) -> bool {
        now < self.expires && now >= self.begins.saturating_sub(3600)
    }

    fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
        let certificate = parse(der)?;
        let fingerprint = hexadecimal(&Sha256::digest(der));
        let (mut dns_names, addresses) = alternative_names(&certificate);
        dns_names.sort();
        let mut sans: Vec<_> = dns_names.iter().cloned().chain(addresses).collect();
        sans.sort();
        let (key_type, key_size) = public_key(&certificate);
        let validity = certificate.validity();
        let (subject, issuer) = (certificate.subject(), certificate.issuer());
        Ok(Self {
            name: fingerprint.clone(),
            sans,
            not_after: rfc3339(validity.not_after.timestamp()),
            not_before: rfc3339(validity.not_before.timestamp()),
            serial_number: certificate.serial.to_string(),
            common_name: first(subject, X509Name::iter_common_name),
            issuer_org: first(issuer, X509Name::iter_organization),
            issuer_cn: first(issuer, X509Name::iter_common_name),
            issuer_country: first(issuer, X509Name::iter_country),
            organization: first(subject, X509Name::iter_organization),
            country: first(subject, X509Name::iter_country),
            version: format!("v{}", certificate.version().0 + 1),
            key_type,
            key_size,
            signature_algorithm: signature_algorithm(&certificate),
            cert_fingerprint: fingerprint,
            public_key_fingerprint: hexadecimal(&Sha256::digest(certificate.public_key().raw)),
            dns_names: dns_names.join(","),
            expires: validity.not_after.timestamp(),
            begins: validity.not_before.timestamp(),
        })
    }
}

/// The common names of the issuers of each certificate in a PEM text; what cannot be read counts as absent.
pub(super) fn issuers(chain: &str) -> Vec<String> {
    let certificates = CertificateDer::pem_slice_iter(chain.as_bytes()).flatten();
    let issuer = |der: CertificateDer<'_>| {
        let certificate = parse(&der).ok()?;
        Some(first(certificate.issuer(), X509Name::iter_common_name))
    };
    certificates.filter_map(issuer).collect()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("the certificate cannot be understood: {error}"))
}

/// Traefik: the common name counts beside the alternative names.
fn names(der: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let certificate = parse(der)?;
    let common = first(certificate.subject(), X509Name::iter_common_name);
    let (dns_names, addresses) = alternative_names(&certificate);
    let mut names = Vec::new();
    for name in std::iter::once(common).chain(dns_names).chain(addresses) {
        let name = super::canonical(&name).into_owned();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// DNS names and addresses in their order; what cannot be read counts as absent.
fn alternative_names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return (names, addresses);
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    (names, addresses)
}

fn address(bytes: &[u8]) -> Option<String> {
    let address: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return None,
    };
    Some(address.to_string())
}

fn first<'n, 'a: 'n, I>(name: &'n X509Name<'a>, attributes: fn(&'n X509Name<'a>) -> I) -> String
where
    I: Iterator<Item = &'n x509_parser::x509::AttributeTypeAndValue<'a>>,
{
    attributes(name).next().and_then(|value| value.as_str().ok()).unwrap_or_default().to_owned()
}

fn public_key(certificate: &X509Certificate<'_>) -> (&'static str, usize) {
    match certificate.public_key().parsed() {
        Ok(key @ PublicKey::RSA(_)) => ("RSA", key.key_size()),
        // The coordinates of P-521 fill 66 bytes.
        Ok(key @ PublicKey::EC(_)) => {
            ("ECDSA", if key.key_size() == 528 { 521 } else { key.key_size() })
        }
        _ => ("Unknown", 0),
    }
}

/// Go's names of signature algorithms.
fn signature_algorithm(certificate: &X509Certificate<'_>) -> String {
    let algorithm = &certificate.signature_algorithm;
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm)
    {
        let hash = match parameters.hash_algorithm_oid().to_id_string().as_str() {
            "2.16.840.1.101.3.4.2.2" => "SHA384",
            "2.16.840.1.101.3.4.2.3" => "SHA512",
            _ => "SHA256",
        };
        return format!("{hash}-RSAPSS");
    }
    let oid = algorithm.algorithm.to_id_string();
    let known = [
        ("1.2.840.113549.1.1.5", "SHA1-RSA"),
        ("1.2.840.113549.1.1.11", "SHA256-RSA"),
        ("1.2.840.113549.1.1.12", "SHA384-RSA"),
        ("1.2.840.113549.1.1.13", "SHA512-RSA"),
        ("1.2.840.10045.4.1", "ECDSA-SHA1"),
        ("1.2.840.10045.4.3.2", "ECDSA-SHA256"),
        ("1.2.840.10045.4.3.3", "ECDSA-SHA384"),
        ("1.2.840.10045.4.3.4", "ECDSA-SHA512"),
        ("1.3.101.112", "Ed25519"),
    ];
    known.iter().find(|(id, _)| *id == oid).map_or(oid, |(_, name)| (*name).to_owned())
}

fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(size: &usize) -> bool {
    *size == 0
}
