//! The verifiers of both sides: form, trust domain, time, chain, and whether it is whom we want.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::bundle::Roots;
use super::leaf::Leaf;
use super::sessions::Peers;
use super::{Bundle, Holder, Id, Refusal};

/// Whom a client wants to meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// One of these.
    AnyOf(Arc<[Id]>),
    /// Anyone of a trust domain.
    MemberOf(Arc<str>),
    /// Anyone whose trust domain we have roots for.
    Anyone,
    /// A part of the mesh itself: `control`, `node` or `edge`.
    Role(&'static str),
}

impl Expected {
    fn check(&self, found: &Id) -> Result<(), Refusal> {
        match self {
            Self::AnyOf(ids) if !ids.contains(found) => {
                Err(Refusal::WrongId { expected: self.to_string(), found: found.clone() })
            }
            Self::MemberOf(domain) if **domain != *found.trust_domain() => {
                Err(Refusal::UntrustedDomain(found.trust_domain().to_owned()))
            }
            Self::Role(role) if found.system_name(role).is_none() => {
                Err(Refusal::WrongId { expected: self.to_string(), found: found.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyOf(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
                f.write_str(&ids.join(" or "))
            }
            Self::MemberOf(domain) => write!(f, "anyone of `{domain}`"),
            Self::Anyone => f.write_str("anyone"),
            Self::Role(role) => write!(f, "the mesh's `{role}`"),
        }
    }
}

/// Checks all but whom we want; gives the leaf. `chain` asks the roots of the leaf's trust domain at a time.
fn verify(
    bundle: &Bundle,
    leaf: &CertificateDer<'_>,
    now: UnixTime,
    chain: impl FnOnce(&Roots, UnixTime) -> Result<(), Error>,
) -> Result<Leaf, Refusal> {
    let leaf = Leaf::of(leaf)?;
    let domain = leaf.id.trust_domain();
    let roots = bundle.of_domain(domain);
    let roots = roots.ok_or_else(|| Refusal::UntrustedDomain(domain.to_owned()))?;
    let at = leaf.time(now.as_secs())?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
    chain(roots, at).map_err(|error| refusal(&error, &leaf.id))?;
    Ok(leaf)
}

/// What rustls says about a chain.
fn refusal(error: &Error, id: &Id) -> Refusal {
    let Error::InvalidCertificate(error) = error else {
        return Refusal::Malformed(error.to_string());
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Refusal::Expired(id.clone())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refusal::Clock(id.clone())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Refusal::WrongUsage("an authority in its chain is made for something else")
        }
        CertificateError::BadEncoding => Refusal::Malformed(error.to_string()),
        _ => Refusal::UntrustedRoot(id.trust_domain().to_owned()),
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    crate::tls::provider().signature_verification_algorithms
}

fn verify_server(
    bundle: &Bundle,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Leaf, Refusal> {
    verify(bundle, leaf, now, |roots, at| {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            &roots.store,
            intermediates,
            at,
            algorithms().all,
        )
    })
}

/// Verifies servers.
#[derive(Debug)]
pub(super) struct VerifyServer {
    holder: Arc<Holder>,
    expected: Expected,
    peers: Arc<Peers>,
}

impl VerifyServer {
    pub(super) fn new(holder: &Arc<Holder>, expected: Expected, peers: &Arc<Peers>) -> Self {
        Self { holder: Arc::clone(holder), expected, peers: Arc::clone(peers) }
    }
}

impl ServerCertVerifier for VerifyServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = verify_server(&self.holder.bundle(), leaf, intermediates, now)?;
        self.expected.check(&leaf.id)?;
        self.peers.met(leaf.not_after);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Verifies a server by the root that it must show, too, where nothing else is known.
#[derive(Debug)]
pub(super) struct VerifyPinned {
    pin: [u8; 32],
    expected: Expected,
}

impl VerifyPinned {
    pub(super) fn new(pin: [u8; 32], expected: Expected) -> Self {
        Self { pin, expected }
    }
}

impl ServerCertVerifier for VerifyPinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_pinned = |it: &&CertificateDer<'_>| Sha256::digest(it)[..] == self.pin;
        let root = intermediates.iter().find(is_pinned).ok_or(Refusal::WrongPin)?;
        let domain = Leaf::of(leaf)?.id;
        let bundle = Bundle::of(domain.trust_domain(), vec![root.clone().into_owned()])
            .map_err(Refusal::Malformed)?;
        let leaf = verify_server(&bundle, leaf, intermediates, now)?;
        self.expected.check(&leaf.id)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Whether a client may show nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It may.
    Optional,
    /// It may not.
    Required,
}

/// Verifies clients: policy decides later who may do what.
#[derive(Debug)]
pub(super) struct VerifyClient {
    holder: Arc<Holder>,
    presence: Presence,
}

impl VerifyClient {
    pub(super) fn new(holder: &Arc<Holder>, presence: Presence) -> Self {
        Self { holder: Arc::clone(holder), presence }
    }
}

impl ClientCertVerifier for VerifyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.presence == Presence::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        verify(&self.holder.bundle(), leaf, now, |roots, at| {
            roots.clients.verify_client_cert(leaf, intermediates, at).map(drop)
        })?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
