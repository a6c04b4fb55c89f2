//! A TLS options object becomes a rustls configuration.

use std::sync::Arc;

use portcullis_config::routing::tls::Options;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

use super::client_auth;
use super::pem::Source;
use super::store::{NewestChoice, Store, Strictness};
use super::vocabulary::{self, Understood};
use crate::net::live::Live;

/// An options object together with the content of the files it names: two equal recipes give equal
/// configurations, so the old one with its session tickets can stay. A changed authority file makes another recipe,
/// since a ticket must not outlive the authorities it was checked against.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Recipe {
    options: Options,
    authorities: Vec<Vec<u8>>,
}

impl Recipe {
    /// Reads the files that `options` names.
    pub(super) fn read(options: &Options) -> Result<Self, String> {
        let files = options.client_auth.ca_files.iter();
        let authorities = files.map(|file| Source::new("caFiles", file).read());
        Ok(Self { authorities: authorities.collect::<Result<_, _>>()?, options: options.clone() })
    }

    /// Whether names without a certificate are refused.
    pub(super) fn strictness(&self) -> Strictness {
        if self.options.sni_strict { Strictness::Strict } else { Strictness::Default }
    }

    /// What has to be said about the object although it serves.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.allowed().map(|understood| understood.remarks).unwrap_or_default()
    }

    /// Builds the configuration; an error means that the object serves nobody.
    pub(super) fn build(&self, store: &Arc<Live<Store>>) -> Result<ServerConfig, String> {
        let allowed = self.allowed()?.value;
        let verifier = client_auth::verifier(&self.options.client_auth, &self.authorities)?;
        let choice = NewestChoice { store: Arc::clone(store), strictness: self.strictness() };
        let mut config = ServerConfig::builder_with_provider(allowed.provider)
            .with_protocol_versions(&allowed.versions)
            .map_err(|error| format!("nothing is left to negotiate: {error}"))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(choice) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = self.protocols()?;
        self.resume(&mut config)?;
        Ok(config)
    }

    fn allowed(&self) -> Result<Understood<vocabulary::Allowed>, String> {
        let Options { min_version, max_version, cipher_suites, curve_preferences, .. } =
            &self.options;
        vocabulary::allowed(min_version, max_version, cipher_suites, curve_preferences)
    }

    fn protocols(&self) -> Result<Vec<Vec<u8>>, String> {
        let names = &self.options.alpn_protocols;
        if names.is_empty() {
            return Ok(vec![b"h2".to_vec(), b"http/1.1".to_vec()]);
        }
        let bytes = |name: &String| match name.len() {
            1..=255 => Ok(name.clone().into_bytes()),
            _ => Err(format!("alpnProtocols `{name}` has {} bytes; expected 1 to 255", name.len())),
        };
        // That one is spoken where an authority's proof is shown, and nowhere else.
        names.iter().filter(|name| *name != "acme-tls/1").map(bytes).collect()
    }

    /// Tickets are encrypted with keys that change every six hours, so nothing is kept for a client. There is no
    /// session cache: it would be one lock for all workers, for clients of TLS 1.2 that know no tickets.
    /// Traefik: one ticket after a handshake of TLS 1.3.
    fn resume(&self, config: &mut ServerConfig) -> Result<(), String> {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        if self.options.disable_session_tickets {
            config.send_tls13_tickets = 0;
            return Ok(());
        }
        config.send_tls13_tickets = 1;
        config.ticketer = Ticketer::new()
            .map_err(|error| format!("keys for session tickets cannot be made: {error}"))?;
        Ok(())
    }
}
