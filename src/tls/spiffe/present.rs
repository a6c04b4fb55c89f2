//! Which identity is shown in a handshake.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Holder, Own};

/// Shows one identity to servers.
#[derive(Debug)]
pub(super) struct OwnClient {
    holder: Arc<Holder>,
    own: Own,
}

impl OwnClient {
    pub(super) fn new(holder: &Arc<Holder>, own: Own) -> Self {
        Self { holder: Arc::clone(holder), own }
    }
}

impl ResolvesClientCert for OwnClient {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = Arc::clone(&self.holder.own(&self.own)?.key);
        key.key.choose_scheme(schemes).is_some().then_some(key)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows clients the identity whose name they ask for, or one.
#[derive(Debug)]
pub(super) struct OwnServer {
    holder: Arc<Holder>,
    own: Own,
}

impl OwnServer {
    pub(super) fn new(holder: &Arc<Holder>, own: Own) -> Self {
        Self { holder: Arc::clone(holder), own }
    }
}

impl ResolvesServerCert for OwnServer {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = crate::tls::canonical(name);
            self.holder.svid_by_name(&name)
        });
        let svid = named.or_else(|| self.holder.own(&self.own))?;
        Some(Arc::clone(&svid.key))
    }
}
