//! The messages of the Workload API, as far as they are needed: other fields are skipped. Names and numbers are those of
//! the standard's `workloadapi.proto`.

use std::collections::HashMap;
use std::fmt;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Svid;

/// What `FetchX509SVID` answers: everything that the process may have at the time.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509SvidResponse {
    /// The identities; the first is the default.
    #[prost(message, repeated, tag = "1")]
    pub(super) svids: Vec<X509Svid>,
    /// Roots of other trust domains, by their SPIFFE IDs: certificates one behind the other.
    #[prost(map = "string, bytes", tag = "3")]
    pub(super) federated_bundles: HashMap<String, Vec<u8>>,
}

/// One identity. No `Debug` of its own: it would show the key.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509Svid {
    /// `spiffe://…`.
    #[prost(string, tag = "1")]
    pub(super) spiffe_id: String,
    /// The chain, leaf first: certificates in DER one behind the other.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) x509_svid: Vec<u8>,
    /// The key in PKCS#8.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) x509_svid_key: Vec<u8>,
    /// The roots of the identity's trust domain: certificates one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bundle: Vec<u8>,
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}

impl X509Svid {
    /// The identity and the roots of its trust domain.
    pub(super) fn read(&self) -> Result<(Svid, Vec<CertificateDer<'static>>), String> {
        let key = PrivateKeyDer::try_from(self.x509_svid_key.clone())
            .map_err(|_| "its key is not in PKCS#8".to_owned())?;
        let svid = Svid::new(certificates(&self.x509_svid)?, key)?;
        if svid.id.as_str() != self.spiffe_id {
            return Err(format!("its certificate is for `{}`", svid.id));
        }
        Ok((svid, certificates(&self.bundle)?))
    }
}

/// Certificates that stand one behind the other.
pub(super) fn certificates(mut bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut certificates = Vec::new();
    while !bytes.is_empty() {
        let (rest, _) = X509Certificate::from_der(bytes)
            .map_err(|error| format!("a certificate cannot be understood: {error}"))?;
        let (certificate, _) = bytes.split_at(bytes.len() - rest.len());
        certificates.push(CertificateDer::from(certificate.to_vec()));
        bytes = rest;
    }
    Ok(certificates)
}
