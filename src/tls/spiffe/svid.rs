//! `Svid`: an identity that this process can prove.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::leaf::{self, Leaf};
use super::{Id, Refusal};

/// An identity with the certificates and the key that prove it.
#[derive(Clone)]
pub struct Svid {
    /// Who we are.
    pub id: Id,
    /// The chain, leaf first, without the root, and the key.
    pub key: Arc<CertifiedKey>,
    /// Begin of the leaf's life.
    pub not_before: SystemTime,
    /// End of the leaf's life.
    pub not_after: SystemTime,
}

impl Svid {
    /// Takes a chain, leaf first, and the leaf's key. The error says what is wrong and never shows any of the key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, String> {
        let leaf = chain.first().ok_or("the chain is empty")?;
        let leaf = Leaf::of(leaf).map_err(|refusal: Refusal| refusal.to_string())?;
        let key = CertifiedKey::from_der(chain, key, crate::tls::provider())
            .map_err(|error| format!("the key does not fit the certificate: {error}"))?;
        Ok(Self {
            id: leaf.id,
            key: Arc::new(key),
            not_before: leaf::moment(leaf.not_before),
            not_after: leaf::moment(leaf.not_after),
        })
    }

    /// Whether it may be shown at `now`: peers tolerate clocks that differ, we do not rely on it at the end of its life.
    pub fn is_valid(&self, now: SystemTime) -> bool {
        let (now, begin) = (leaf::seconds(now), leaf::seconds(self.not_before));
        now + leaf::TOLERANCE >= begin && now < leaf::seconds(self.not_after)
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("id", &self.id)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
