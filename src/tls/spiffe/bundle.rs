//! `Bundle`: the roots of each trust domain.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;

use super::id::check_trust_domain;

/// The roots of each trust domain. A certificate counts only if a root of its own trust domain vouches for it.
#[derive(Clone, Default)]
pub struct Bundle {
    domains: HashMap<Box<str>, Roots>,
}

/// The roots of one trust domain, in the forms in which rustls wants them.
#[derive(Clone)]
pub(super) struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    pub(super) store: Arc<RootCertStore>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
}

impl Bundle {
    /// The roots of one trust domain, at least one.
    pub fn of(trust_domain: &str, roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut bundle = Self::default();
        bundle.add(trust_domain, roots)?;
        Ok(bundle)
    }

    /// Adds the roots of a trust domain, or replaces them. The error says what is wrong with them.
    pub fn add(
        &mut self,
        trust_domain: &str,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<(), String> {
        let about = |reason: String| format!("roots of trust domain `{trust_domain}`: {reason}");
        check_trust_domain(trust_domain).map_err(|reason| about(reason.to_owned()))?;
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            let unusable = |error| about(format!("one cannot be an authority: {error}"));
            store.add(certificate.clone()).map_err(unusable)?;
        }
        let store = Arc::new(store);
        let provider = Arc::clone(crate::tls::provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), provider)
            .build()
            .map_err(|error| about(error.to_string()))?;
        self.domains.insert(trust_domain.into(), Roots { certificates, store, clients });
        Ok(())
    }

    /// The names of the trust domains.
    pub fn trust_domains(&self) -> impl Iterator<Item = &str> {
        self.domains.keys().map(|name| &**name)
    }

    /// The roots of a trust domain; empty if there are none.
    pub fn roots(&self, trust_domain: &str) -> &[CertificateDer<'static>] {
        self.of_domain(trust_domain).map(|it| it.certificates.as_slice()).unwrap_or_default()
    }

    pub(super) fn of_domain(&self, trust_domain: &str) -> Option<&Roots> {
        self.domains.get(trust_domain)
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        let same = |name: &str, roots: &Roots| {
            other.of_domain(name).is_some_and(|it| it.certificates == roots.certificates)
        };
        self.domains.len() == other.domains.len()
            && self.domains.iter().all(|(name, roots)| same(name, roots))
    }
}

impl Eq for Bundle {}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains = self.domains.iter().map(|(name, roots)| (name, roots.certificates.len()));
        f.debug_map().entries(domains).finish()
    }
}
