//! Shaking hands with clients over QUIC.
//!
//! The terms are chosen as over TCP: once the ClientHello is there and before anything is answered. So certificates, TLS
//! options, client certificates and refusals by name are those of HTTP/1 and h2, and what the options say cannot be got
//! around by asking for HTTP/3. Early data (0-RTT) is never accepted: it could be replayed, and it would be served before
//! the client's address is proven.

mod hello;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use portcullis_middlewares::message::Tls;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{Keys, ServerConfig as QuicCrypto, UnsupportedVersion};
use quinn_proto::ConnectionId;
use quinn_proto::transport_parameters::TransportParameters;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::server::ResolvesServerCertUsingSni;

use super::policy::{Chosen, Refused};
use session::Session;

/// Says on which terms a client is accepted, given the name that it asks for (lower case, without a trailing dot).
type Choose = dyn Fn(Option<&str>) -> Result<Chosen, Refused> + Send + Sync;

/// What is the same for all handshakes: the keys of first packets, which anybody can compute (RFC 9001 section 5.2).
#[derive(Clone)]
pub struct Handshakes {
    initial: Arc<QuicServerConfig>,
    choose: Arc<Choose>,
}

impl Handshakes {
    /// Handshakes that accept nobody.
    pub fn refusing() -> Result<Self, String> {
        let tls13 = &[&rustls::version::TLS13];
        let config = ServerConfig::builder_with_provider(Arc::clone(super::provider()))
            .with_protocol_versions(tls13)
            .map_err(|error| format!("QUIC needs TLS 1.3: {error}"))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
        let suite = suite.ok_or("the cipher suite of first packets is missing")?;
        let initial = QuicServerConfig::with_initial(Arc::new(config), suite);
        let initial = Arc::new(initial.map_err(|error| error.to_string())?);
        Ok(Self { initial, choose: Arc::new(|_| Err(Refused::Options)) })
    }

    /// The same with terms.
    pub fn choosing(
        &self,
        choose: impl Fn(Option<&str>) -> Result<Chosen, Refused> + Send + Sync + 'static,
    ) -> Self {
        Self { initial: Arc::clone(&self.initial), choose: Arc::new(choose) }
    }
}

impl QuicCrypto for Handshakes {
    fn initial_keys(
        &self,
        version: u32,
        connection: &ConnectionId,
    ) -> Result<Keys, UnsupportedVersion> {
        self.initial.initial_keys(version, connection)
    }

    fn retry_tag(&self, version: u32, original: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.initial.retry_tag(version, original, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        parameters: &TransportParameters,
    ) -> Box<dyn quinn::crypto::Session> {
        Box::new(Session::new(self, version, parameters))
    }
}

/// What requests and logs get to know of a connection whose handshake is over; `None` before.
pub fn facts(connection: &quinn::Connection) -> Option<Tls> {
    Some(*connection.handshake_data()?.downcast::<Tls>().ok()?)
}
