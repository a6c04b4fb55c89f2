//! Why a peer is not believed.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error, OtherError};

use super::Id;

/// Why a peer is not believed, or we cannot show ourselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No root of its trust domain vouches for it.
    #[error("no root of trust domain `{0}` vouches for the certificate")]
    UntrustedRoot(String),
    /// Its trust domain is none that we have roots for, or not the wanted one.
    #[error("trust domain `{0}` is not trusted here")]
    UntrustedDomain(String),
    /// Its certificate is over, by more than clocks differ.
    #[error("the certificate of `{0}` has expired")]
    Expired(Id),
    /// Its certificate begins later, by more than clocks differ.
    #[error("the certificate of `{0}` is not valid yet; do the clocks agree?")]
    Clock(Id),
    /// It is somebody else.
    #[error("the peer is `{found}`, not {expected}")]
    WrongId {
        /// Whom we wanted.
        expected: String,
        /// Who it is.
        found: Id,
    },
    /// It says of itself to be several.
    #[error("the certificate names several identities")]
    SeveralIds,
    /// It does not say who it is.
    #[error("the certificate names no identity")]
    NoId,
    /// It names what cannot be an identity.
    #[error("{0}")]
    BadId(String),
    /// It may sign others.
    #[error("the certificate is one of an authority")]
    NotALeaf,
    /// It is made for something else.
    #[error("the certificate may not be used for this: {0}")]
    WrongUsage(&'static str),
    /// There is no certificate.
    #[error("the peer shows no certificate")]
    NoCertificate,
    /// Its root is not the one that the token names.
    #[error("its root is not the one that the token names")]
    WrongPin,
    /// It cannot be read.
    #[error("the certificate cannot be understood: {0}")]
    Malformed(String),
    /// We have no valid certificate to show.
    #[error("there is no valid certificate for `{0}`")]
    NoIdentity(Id),
    /// The peer does not believe us.
    #[error("the peer refuses our certificate: {0}")]
    ByPeer(&'static str),
}

impl Refusal {
    /// One word, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UntrustedRoot(_) => "untrusted_root",
            Self::UntrustedDomain(_) => "untrusted_domain",
            Self::Expired(_) => "expired",
            Self::Clock(_) => "clock",
            Self::WrongId { .. } => "wrong_id",
            Self::SeveralIds => "several_ids",
            Self::NoId => "no_id",
            Self::BadId(_) => "bad_id",
            Self::NotALeaf => "not_a_leaf",
            Self::WrongUsage(_) => "wrong_usage",
            Self::NoCertificate => "no_certificate",
            Self::WrongPin => "wrong_pin",
            Self::Malformed(_) => "malformed",
            Self::NoIdentity(_) => "no_identity",
            Self::ByPeer(_) => "refused_by_peer",
        }
    }

    /// The refusal behind the failure of a handshake; `None` where it failed for another reason, such as a broken
    /// connection.
    pub fn of(error: &io::Error) -> Option<Self> {
        Self::of_tls(error.get_ref()?.downcast_ref::<Error>()?)
    }

    fn of_tls(error: &Error) -> Option<Self> {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
                inner.downcast_ref::<Self>().cloned()
            }
            Error::InvalidCertificate(other) => Some(Self::Malformed(other.to_string())),
            Error::NoCertificatesPresented => Some(Self::NoCertificate),
            Error::AlertReceived(alert) => Some(Self::ByPeer(said(*alert)?)),
            _ => None,
        }
    }
}

/// What a peer says when it does not believe us.
fn said(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateExpired => Some("expired"),
        AlertDescription::CertificateRequired => Some("none was shown"),
        AlertDescription::UnknownCA => Some("unknown authority"),
        AlertDescription::AccessDenied => Some("access denied"),
        AlertDescription::CertificateUnknown => Some("not acceptable"),
        AlertDescription::BadCertificate => Some("malformed"),
        AlertDescription::UnsupportedCertificate => Some("unsupported"),
        AlertDescription::CertificateRevoked => Some("revoked"),
        _ => None,
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}
