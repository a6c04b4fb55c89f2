//! SPIFFE: who this process is, whom it trusts, and handshakes in which both sides show an X.509-SVID.
//!
//! A [`Holder`] has the identities of the process and the roots of each trust domain; whoever obtains them (a file, the
//! Workload API, an authority of our own) puts them there, and every handshake from then on uses them.
//! [`client_config`] and [`server_config`] are for the mesh: TLS 1.3 only, h2, no early data. A connection that stands is
//! never touched by a change; a resumed one never outlives what it was made with.

mod bundle;
pub mod files;
mod holder;
mod id;
mod leaf;
mod present;
mod refusal;
mod sessions;
mod svid;
#[cfg(test)]
pub(in crate::tls) mod tests;
mod verify;
pub mod workload_api;

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, NamedGroup, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};

pub use self::bundle::Bundle;
pub use self::holder::Holder;
pub use self::id::{Id, IdError, SYSTEM_NAMESPACE};
pub use self::refusal::Refusal;
pub use self::svid::Svid;
pub use self::verify::Expected;

use self::leaf::Leaf;
use self::present::{OwnClient, OwnServer};
use self::sessions::{ClientSessions, Peers, ServerSessions};
use self::verify::{Presence, VerifyClient, VerifyPinned, VerifyServer};

/// The protocol of tunnels.
const H2: &[u8] = b"h2";

/// Which of the holder's identities is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Own {
    /// The one called so; none if the holder has it no more.
    Named(Id),
    /// Whichever the holder shows where nobody asks for another.
    Default,
}

/// How to dial as `own` to whoever must be exactly `expected`. Give [`server_name`] of `expected` to the connector. Keep what
/// this gives for the pair: its sessions are resumed.
///
/// An error, with its reason, if the holder has no valid identity `own` now; handshakes made later, when it has none any
/// more, fail.
pub fn client_config(
    holder: &Arc<Holder>,
    own: &Id,
    expected: Id,
) -> Result<Arc<ClientConfig>, Refusal> {
    holder.svid(own).ok_or_else(|| Refusal::NoIdentity(own.clone()))?;
    Ok(client_config_for(holder, own, Expected::AnyOf([expected].into())))
}

/// As [`client_config`] to whoever is `expected`; shows nothing while there is no valid identity `own`.
pub fn client_config_for(holder: &Arc<Holder>, own: &Id, expected: Expected) -> Arc<ClientConfig> {
    let parts = parts(holder, Own::Named(own.clone()), expected);
    let mut config = client_builder(parts.verifier).with_client_cert_resolver(parts.own);
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = parts.resumption;
    config.enable_early_data = false;
    Arc::new(config)
}

/// How to dial, without showing anything, to whoever is `expected` and shows a chain with the root whose SHA-256 is `pin`:
/// for the first time, when nothing else is known.
pub fn client_config_pinned(pin: [u8; 32], expected: Expected) -> Arc<ClientConfig> {
    let mut config =
        client_builder(Arc::new(VerifyPinned::new(pin, expected))).with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn client_builder(
    verifier: Arc<dyn ServerCertVerifier>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}

/// What makes a client one of SPIFFE, whatever else its configuration says: it shows one of the holder's identities.
pub(in crate::tls) struct ClientParts {
    pub(in crate::tls) verifier: Arc<dyn ServerCertVerifier>,
    pub(in crate::tls) own: Arc<dyn ResolvesClientCert>,
    pub(in crate::tls) resumption: Resumption,
}

/// For a client that shows the default identity.
pub(in crate::tls) fn client_parts(holder: &Arc<Holder>, expected: Expected) -> ClientParts {
    parts(holder, Own::Default, expected)
}

fn parts(holder: &Arc<Holder>, own: Own, expected: Expected) -> ClientParts {
    let peers = Arc::new(Peers::default());
    ClientParts {
        verifier: Arc::new(VerifyServer::new(holder, expected, &peers)),
        own: Arc::new(OwnClient::new(holder, own.clone())),
        resumption: Resumption::store(Arc::new(ClientSessions::new(holder, own, peers))),
    }
}

/// How to accept: every client must show an SVID of a trust domain that the holder has roots for. Without a name in the
/// ClientHello, or with one that no identity has, the holder's default identity is shown.
pub fn server_config(holder: &Arc<Holder>) -> Arc<ServerConfig> {
    server_config_of(holder, Own::Default, Presence::Required)
}

/// As [`server_config`] for connections whose local address belongs to `own`: shown where the ClientHello has no name.
pub fn server_config_as(holder: &Arc<Holder>, own: &Id) -> Arc<ServerConfig> {
    server_config_of(holder, Own::Named(own.clone()), Presence::Required)
}

/// As [`server_config_as`], also for clients that show nothing: of those [`peer_id`] says [`Refusal::NoCertificate`].
pub fn server_config_for_any(holder: &Arc<Holder>, own: &Id) -> Arc<ServerConfig> {
    server_config_of(holder, Own::Named(own.clone()), Presence::Optional)
}

fn server_config_of(holder: &Arc<Holder>, own: Own, presence: Presence) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(VerifyClient::new(holder, presence)))
        .with_cert_resolver(Arc::new(OwnServer::new(holder, own)));
    config.alpn_protocols = vec![H2.to_vec()];
    config.session_storage = Arc::new(ServerSessions::new(holder));
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// The name in the ClientHello for whoever must be `expected`: `<account>.<namespace>.sa.<trust domain>`. An identity that has
/// no such name is asked for without one.
pub fn server_name(expected: &Id) -> ServerName<'static> {
    let name = expected.server_name().and_then(|name| ServerName::try_from(name).ok());
    // An address is never sent as a name (RFC 6066 section 3).
    name.unwrap_or(ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()))
}

/// Who the peer of a connection is, from the certificates that rustls verified. Ask after every handshake: one that was
/// resumed verified nothing, and its certificate may have expired since.
pub fn peer_id(chain: &[CertificateDer<'_>]) -> Result<Id, Refusal> {
    let leaf = Leaf::of(chain.first().ok_or(Refusal::NoCertificate)?)?;
    leaf.time(leaf::now())?;
    Ok(leaf.id)
}

/// The process's cryptography with the hybrid key exchange first.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = CryptoProvider::clone(super::provider());
        provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::X25519MLKEM768);
        Arc::new(provider)
    })
}
