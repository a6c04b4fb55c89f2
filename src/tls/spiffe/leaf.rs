//! What an X.509-SVID's certificate says (SPIFFE X.509-SVID standard, sections 2, 4 and 5).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Id, Refusal};

/// How far clocks may differ, in seconds.
pub(super) const TOLERANCE: u64 = 60;

/// The leaf of a chain, whose form is right. Who signed it is another question.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) id: Id,
    /// In seconds since 1970.
    pub(super) not_before: u64,
    /// In seconds since 1970.
    pub(super) not_after: u64,
}

impl Leaf {
    /// Reads a leaf: exactly one URI among its names, which is a SPIFFE ID with a path; no authority; for signatures of
    /// handshakes on either side.
    pub(super) fn of(der: &CertificateDer<'_>) -> Result<Self, Refusal> {
        let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        check_usage(&certificate)?;
        let names = certificate.subject_alternative_name().map_err(|error| malformed(&error))?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let mut uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let uri = uris.next().ok_or(Refusal::NoId)?;
        if uris.next().is_some() {
            return Err(Refusal::SeveralIds);
        }
        let id = Id::parse(uri).map_err(|error| Refusal::BadId(error.to_string()))?;
        if id.path().is_empty() {
            return Err(Refusal::BadId(format!("`{id}` names a trust domain, not a workload")));
        }
        let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
        let validity = certificate.validity();
        Ok(Self {
            id,
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
        })
    }

    /// Checks that `now`, in seconds since 1970, is within its life or as far from it as clocks may differ. Gives a time
    /// within its life, at which its issuers are to be valid, too.
    pub(super) fn time(&self, now: u64) -> Result<u64, Refusal> {
        if now > self.not_after.saturating_add(TOLERANCE) {
            return Err(Refusal::Expired(self.id.clone()));
        }
        if now.saturating_add(TOLERANCE) < self.not_before {
            return Err(Refusal::Clock(self.id.clone()));
        }
        Ok(now.max(self.not_before).min(self.not_after))
    }
}

fn check_usage(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    if certificate.is_ca() {
        return Err(Refusal::NotALeaf);
    }
    let usage = certificate.key_usage();
    let usage = usage.map_err(|error| Refusal::Malformed(error.to_string()))?;
    let usage = usage.ok_or(Refusal::WrongUsage("it has no key usage"))?.value;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(Refusal::NotALeaf);
    }
    if !usage.digital_signature() {
        return Err(Refusal::WrongUsage("its key is not for signatures"));
    }
    let purpose = certificate.extended_key_usage();
    let purpose = purpose.map_err(|error| Refusal::Malformed(error.to_string()))?;
    // Section 4.4: there need not be one.
    if purpose.is_some_and(|it| !(it.value.any || it.value.client_auth && it.value.server_auth)) {
        return Err(Refusal::WrongUsage("it is not for both clients and servers"));
    }
    Ok(())
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    seconds(SystemTime::now())
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(super) fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
