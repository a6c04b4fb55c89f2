//! Verifying the certificates of servers.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a server has to prove beside owning its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing: `insecureSkipVerify`.
    Nothing,
    /// An authority vouches for it, for whatever name.
    Chain,
    /// An authority vouches for it and for the name.
    ChainAndName,
}

/// Whose word counts.
#[derive(Debug)]
pub(super) enum Roots {
    /// The system's authorities, loaded when the first server is verified.
    System,
    /// Those of `rootCAs`, and the certificates themselves.
    Given(Arc<RootCertStore>, Vec<CertificateDer<'static>>),
}

impl Roots {
    /// Takes the certificates of `rootCAs`.
    pub(super) fn given(certificates: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| {
                format!("rootCAs holds a certificate that cannot be an authority: {error}")
            })?;
        }
        Ok(Self::Given(Arc::new(roots), certificates))
    }

    fn anchors(&self) -> &RootCertStore {
        match self {
            Self::System => load_system_roots(),
            Self::Given(roots, _) => roots,
        }
    }

    /// Whether the server's certificate itself is among `rootCAs`. Traefik: such a certificate is trusted even if it is
    /// marked as an authority, as the self-signed ones of many tools are.
    fn contain(&self, certificate: &CertificateDer<'_>) -> bool {
        matches!(self, Self::Given(_, pinned) if pinned.contains(certificate))
    }
}

/// The system's authorities, or Mozilla's where the system has none. Read once, at the first call, which takes some
/// milliseconds: call it before the workers do.
pub fn load_system_roots() -> &'static Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some system authorities cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    })
}

/// Verifies servers as one transport demands.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Roots,
    demand: Demand,
    uri: Option<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// `uri` is the URI name that the certificate must carry, too.
    pub(super) fn new(roots: Roots, demand: Demand, uri: Option<String>) -> Self {
        let algorithms = crate::tls::provider().signature_verification_algorithms;
        Self { roots, demand, uri, algorithms }
    }

    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.roots.contain(leaf) {
            return verify_validity(leaf, now);
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            self.roots.anchors(),
            intermediates,
            now,
            self.algorithms.all,
        )
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.demand != Demand::Nothing {
            self.verify_chain(leaf, intermediates, now)?;
        }
        if self.demand == Demand::ChainAndName {
            verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        }
        match &self.uri {
            Some(uri) if !has_uri(leaf, uri)? => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse<'a>(leaf: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(leaf);
    parsed.map(|(_, certificate)| certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn verify_validity(leaf: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let certificate = parse(leaf)?;
    let validity = certificate.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

fn has_uri(leaf: &CertificateDer<'_>, wanted: &str) -> Result<bool, Error> {
    let certificate = parse(leaf)?;
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Ok(false) };
    let is_wanted =
        |name: &GeneralName<'_>| matches!(name, GeneralName::URI(uri) if *uri == wanted);
    Ok(names.value.general_names.iter().any(is_wanted))
}
