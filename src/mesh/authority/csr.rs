//! Requests for certificates: a key that never leaves its node, and the proof that whoever asks has it (RFC 2986).

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair, PublicKey,
    PublicKeyData as _,
};
use rustls_pki_types::{CertificateSigningRequestDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// A new key and the request for a certificate for it. The request names nobody: the identity is asked for beside it.
pub(super) struct NewKey {
    key: KeyPair,
    /// In DER.
    pub(super) request: Vec<u8>,
}

impl NewKey {
    /// A P-256 key.
    pub(super) fn new() -> Result<Self, String> {
        let failed = |error: rcgen::Error| format!("no key can be made: {error}");
        Self::with(KeyPair::generate().map_err(failed)?)
    }

    fn with(key: KeyPair) -> Result<Self, String> {
        let failed = |error: rcgen::Error| format!("no request can be made: {error}");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(failed)?.der().to_vec();
        Ok(Self { key, request })
    }

    /// The key in `pem`, with another request for it.
    pub(super) fn of(pem: &str) -> Result<Self, String> {
        let failed = |error: rcgen::Error| format!("the kept key is not usable: {error}");
        Self::with(KeyPair::from_pem(pem).map_err(failed)?)
    }

    /// In PKCS#8.
    pub(super) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// In PEM.
    pub(super) fn pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// The key in a request, whose signature proves that whoever asks has it.
pub(super) fn public_key(request: &[u8]) -> Result<PublicKey, String> {
    let request = CertificateSigningRequestDer::from(request);
    let request = CertificateSigningRequestParams::from_der(&request)
        .map_err(|error| format!("the certificate request is not usable: {error}"))?;
    if request.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err("the certificate request has no P-256 key".to_owned());
    }
    Ok(request.public_key)
}

/// What a key is recognised by: SHA-256 in hexadecimal.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    crate::tls::hexadecimal(&Sha256::digest(key.der_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_proves_that_its_key_is_there() {
        let key = NewKey::new().unwrap();
        assert_eq!(public_key(&key.request).unwrap().der_bytes(), key.key.der_bytes());
        let mut forged = key.request.clone();
        let other = NewKey::new().unwrap();
        let at = forged.windows(8).position(|it| it == &key.key.der_bytes()[..8]).unwrap();
        forged[at..at + 65].copy_from_slice(other.key.der_bytes());
        assert!(public_key(&forged).unwrap_err().contains("not usable"));
        assert!(public_key(b"nonsense").is_err());
        let large = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let large = CertificateParams::default().serialize_request(&large).unwrap();
        assert!(public_key(large.der()).unwrap_err().contains("P-256"));
    }
}
