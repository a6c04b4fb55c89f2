//! TLS: which certificate and which settings a client gets, and how servers are trusted.
//!
//! [`configurations::Configurations`] turns the configured certificates and options into a
//! [`store::Store`] and rustls configurations, keeping equal ones across reloads; a
//! [`policy::Policy`] says which of them serves which name on one entry point; [`accept`] shakes
//! hands with clients and [`client`] with servers.

pub mod accept;
pub mod acme;
pub mod certificate;
pub mod client;
mod client_auth;
pub mod configurations;
mod generated;
pub mod hello;
pub mod ocsp;
mod offered;
mod options;
mod pem;
pub mod policy;
#[cfg(feature = "http3")]
pub mod quic;
pub mod spiffe;
pub mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one source of cryptography in the process. It is always passed on, never installed, so that
/// no library can bring a second one.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vocabulary::default_groups();
        Arc::new(provider)
    })
}

pub(crate) use acme::replace_file;
pub(crate) use certificate::hexadecimal;

/// A host name as all look-ups use it: lower case, without one trailing dot.
pub(crate) fn canonical(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
