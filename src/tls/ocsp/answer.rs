//! `Answer`: what a responder says about a certificate, believed only where issuer, signature and time fit.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::certificate::Certificate;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{self, Decode as _, Encode as _, Reader as _, SliceReader, Tag};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus,
    SingleResponse,
};

/// id-pkix-ocsp-basic, the one kind of answers that there is.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9: the issuer lets this key sign answers.
const SIGNS_ANSWERS: KeyUsage = KeyUsage::required(&[0x2b, 6, 1, 5, 5, 7, 3, 9]);

/// How much clocks may differ, in seconds.
const SKEW: i64 = 300;

/// How long an answer without an end holds, in seconds: there is always a newer one (RFC 6960 section 2.4).
const WITHOUT_END: i64 = 3600;

/// An answer that is right for its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// When it was known to be right, in seconds since 1970.
    pub(super) begins: i64,
    /// From when on there is a newer one, in seconds since 1970.
    pub(super) ends: i64,
    /// As it came, for clients.
    pub(super) bytes: Vec<u8>,
}

/// What is said of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// Since then, in seconds since 1970, and why, if that is said.
    Revoked(i64, Option<String>),
}

/// Why an answer is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    #[error("the answer is no OCSP response: {0}")]
    Format(der::Error),
    #[error("the responder refuses to answer: {0:?}")]
    Refused(OcspResponseStatus),
    #[error("the answer is of no known kind")]
    Kind,
    #[error("the answer is about another certificate")]
    Other,
    #[error("the responder does not know the certificate")]
    Unknown,
    #[error("the answer is signed by nobody who may: {0}")]
    Signature(webpki::Error),
    #[error("the answer holds from {0} seconds in the future")]
    Early(i64),
    #[error("the answer ended {0} seconds ago")]
    Late(i64),
}

impl From<der::Error> for Bad {
    fn from(error: der::Error) -> Self {
        Self::Format(error)
    }
}

impl Answer {
    /// Checks `bytes` as an answer about `id`, whose `issuer` must have signed it, or have let somebody sign it. `now` is
    /// in seconds since 1970.
    pub(super) fn check(
        bytes: &[u8],
        id: &CertId,
        issuer: &CertificateDer<'_>,
        now: i64,
    ) -> Result<Self, Bad> {
        let response = OcspResponse::from_der(bytes)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(Bad::Refused(response.response_status));
        }
        let inner = response.response_bytes.filter(|it| it.response_type == BASIC);
        let inner = inner.ok_or(Bad::Kind)?.response;
        let basic = BasicOcspResponse::from_der(inner.as_bytes())?;
        signature(&basic, inner.as_bytes(), issuer, now)?;
        let about = |single: &&SingleResponse| same(&single.cert_id, id);
        let single = basic.tbs_response_data.responses.iter().find(about).ok_or(Bad::Other)?;
        let begins = seconds(single.this_update);
        let ends = single.next_update.map_or(begins.saturating_add(WITHOUT_END), seconds);
        if begins > now.saturating_add(SKEW) {
            return Err(Bad::Early(begins - now));
        }
        if ends <= now {
            return Err(Bad::Late(now - ends));
        }
        let verdict = match single.cert_status {
            CertStatus::Good(_) => Verdict::Good,
            CertStatus::Revoked(revoked) => Verdict::Revoked(
                seconds(revoked.revocation_time),
                revoked.revocation_reason.map(|reason| format!("{reason:?}")),
            ),
            CertStatus::Unknown(_) => return Err(Bad::Unknown),
        };
        Ok(Self { verdict, begins, ends, bytes: bytes.to_vec() })
    }
}

/// Whether both name one certificate. The parameters of the hash may be absent or null.
fn same(one: &CertId, other: &CertId) -> bool {
    one.serial_number == other.serial_number
        && one.hash_algorithm.oid == other.hash_algorithm.oid
        && one.issuer_name_hash == other.issuer_name_hash
        && one.issuer_key_hash == other.issuer_key_hash
}

fn seconds(time: OcspGeneralizedTime) -> i64 {
    i64::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

/// Checks that the issuer signed, or somebody whom the issuer itself lets sign answers (RFC 6960 section 4.2.2.2).
fn signature(
    basic: &BasicOcspResponse,
    bytes: &[u8],
    issuer: &CertificateDer<'_>,
    now: i64,
) -> Result<(), Bad> {
    let signed = Signed::of(basic, bytes)?;
    let mut error = match signed.is_by(issuer) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let anchors = [anchor_from_trusted_cert(issuer).map_err(Bad::Signature)?];
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.max(0).unsigned_abs()));
    for delegate in basic.certs.iter().flatten().take(MOST_SIGNERS) {
        let delegate = CertificateDer::from(Certificate::to_der(delegate)?);
        let allowed = signed.is_by(&delegate).and_then(|()| {
            let own = EndEntityCert::try_from(&delegate)?;
            own.verify_for_usage(algorithms(), &anchors, &[], time, SIGNS_ANSWERS, None, None)?;
            Ok(())
        });
        match allowed {
            Ok(()) => return Ok(()),
            Err(other) => error = other,
        }
    }
    Err(Bad::Signature(error))
}

/// Responders send one certificate, or a chain.
const MOST_SIGNERS: usize = 4;

/// What is signed, how, and the signature.
struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// The signed bytes as they came: written anew they could differ.
    fn of(basic: &'a BasicOcspResponse, bytes: &'a [u8]) -> Result<Self, Bad> {
        let mut reader = SliceReader::new(AnyRef::from_der(bytes)?.value())?;
        let message = reader.tlv_bytes()?;
        let algorithm = AnyRef::decode(&mut reader)?.value();
        let whole = basic.signature.as_bytes();
        let signature = whole.ok_or_else(|| Tag::BitString.value_error())?;
        Ok(Self { message, algorithm, signature })
    }

    fn is_by(&self, signer: &CertificateDer<'_>) -> Result<(), webpki::Error> {
        let signer = EndEntityCert::try_from(signer)?;
        let named = |it: &&&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
            it.signature_alg_id().as_ref() == self.algorithm
        };
        let mut error = webpki::Error::InvalidSignatureForPublicKey;
        // One algorithm of a signature fits keys of several kinds.
        for algorithm in algorithms().iter().filter(named) {
            match signer.verify_signature(*algorithm, self.message, self.signature) {
                Ok(()) => return Ok(()),
                Err(other) => error = other,
            }
        }
        Err(error)
    }
}

fn algorithms() -> &'static [&'static dyn rustls_pki_types::SignatureVerificationAlgorithm] {
    crate::tls::provider().signature_verification_algorithms.all
}

#[cfg(test)]
mod tests;
