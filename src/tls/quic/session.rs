//! One handshake: rustls speaks TLS, quinn carries it.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

use portcullis_middlewares::message::Tls;
use quinn::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, ServerConfig as _,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::ServerConfig;
use rustls::quic::{Connection, KeyChange, Secrets, ServerConnection, Version};

use super::super::policy::{Chosen, Refused};
use super::super::vocabulary;
use super::Handshakes;
use super::hello::{Bad, Hello};

/// The version number of RFC 9000; every other one that quinn takes is a draft with the labels of TLS 1.3.
const VERSION_1: u32 = 1;

/// A handshake and the keys that come of it.
pub(super) struct Session {
    handshakes: Arc<Handshakes>,
    version: u32,
    parameters: TransportParameters,
    state: State,
}

enum State {
    /// The ClientHello is not complete; nothing has been answered.
    Hello(Box<Hello>),
    /// The terms are chosen.
    Chosen(Box<Handshake>),
}

struct Handshake {
    connection: Connection,
    server_name: Option<Arc<str>>,
    options: Arc<str>,
    next: Option<Secrets>,
    announced: bool,
}

impl Session {
    pub(super) fn new(
        handshakes: Arc<Handshakes>,
        version: u32,
        parameters: &TransportParameters,
    ) -> Self {
        Self { handshakes, version, parameters: *parameters, state: State::Hello(Box::default()) }
    }

    /// Chooses the terms for `name`; `bytes` is the ClientHello.
    fn choose(&mut self, name: Option<String>, bytes: &[u8]) -> Result<(), TransportError> {
        let Chosen { config, options } = (self.handshakes.choose)(name.as_deref())
            .map_err(|refused| failed(alert(refused), refused.to_string()))?;
        let mut parameters = Vec::new();
        self.parameters.write(&mut parameters);
        let version = if self.version == VERSION_1 { Version::V1 } else { Version::V1Draft };
        let connection = ServerConnection::new(over_quic(&config), version, parameters)
            // protocol_version(70): the options exclude TLS 1.3, so they exclude QUIC.
            .map_err(|error| failed(70, error.to_string()))?;
        let connection = Connection::Server(connection);
        let server_name = name.map(Into::into);
        let mut handshake =
            Box::new(Handshake { connection, server_name, options, next: None, announced: false });
        handshake.read(bytes)?;
        self.state = State::Chosen(handshake);
        Ok(())
    }

    fn chosen(&self) -> Option<&Handshake> {
        match &self.state {
            State::Hello(_) => None,
            State::Chosen(handshake) => Some(handshake),
        }
    }
}

/// The same terms, for HTTP/3 and without early data. A copy shares verifier, certificates and ticket keys.
fn over_quic(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// The alert for a client that is refused.
fn alert(refused: Refused) -> u8 {
    match refused {
        // internal_error: it is the configuration that is wrong.
        Refused::Options => 80,
        // unrecognized_name.
        Refused::UnknownName => 112,
    }
}

fn failed(alert: u8, reason: String) -> TransportError {
    TransportError { code: TransportErrorCode::crypto(alert), frame: None, reason }
}

impl Handshake {
    fn read(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.connection.read_hs(bytes).map_err(|error| match self.connection.alert() {
            Some(alert) => failed(alert.into(), error.to_string()),
            None => TransportError {
                code: TransportErrorCode::PROTOCOL_VIOLATION,
                frame: None,
                reason: error.to_string(),
            },
        })
    }

    fn facts(&self) -> Tls {
        let certificates = self.connection.peer_certificates().unwrap_or_default();
        Tls {
            server_name: self.server_name.clone(),
            version: vocabulary::version_text(self.connection.protocol_version()),
            cipher: self
                .connection
                .negotiated_cipher_suite()
                .map_or("", |suite| vocabulary::suite_text(suite.suite())),
            client_certificates: certificates.iter().map(|one| one.clone().into_owned()).collect(),
            options: Arc::clone(&self.options),
        }
    }
}

impl crypto::Session for Session {
    fn initial_keys(&self, connection: &ConnectionId, _side: Side) -> Keys {
        let keys = self.handshakes.initial_keys(self.version, connection);
        keys.unwrap_or_else(|_| unreachable!("the first packet had this version"))
    }

    /// [`Tls`] once the handshake is over.
    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let handshake = self.chosen().filter(|it| !it.connection.is_handshaking())?;
        Some(Box::new(handshake.facts()))
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.chosen().is_none_or(|handshake| handshake.connection.is_handshaking())
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        match &mut self.state {
            State::Hello(hello) => {
                let read = hello.read(bytes);
                let read = read.map_err(|Bad { alert, reason }| failed(alert, reason))?;
                let Some(name) = read else { return Ok(false) };
                let bytes = std::mem::take(hello).into_bytes();
                self.choose(name, &bytes)?;
                Ok(false)
            }
            State::Chosen(handshake) => {
                handshake.read(bytes)?;
                let over = !handshake.connection.is_handshaking();
                Ok(over && !std::mem::replace(&mut handshake.announced, over))
            }
        }
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let sent = self.chosen().and_then(|it| it.connection.quic_transport_parameters());
        let Some(bytes) = sent else { return Ok(None) };
        Ok(Some(TransportParameters::read(Side::Server, &mut Cursor::new(bytes))?))
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        let State::Chosen(handshake) = &mut self.state else { return None };
        let keys = match handshake.connection.write_hs(out)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                handshake.next = Some(next);
                keys
            }
        };
        Some(Keys {
            header: KeyPair {
                local: Box::new(keys.local.header),
                remote: Box::new(keys.remote.header),
            },
            packet: KeyPair {
                local: Box::new(keys.local.packet),
                remote: Box::new(keys.remote.packet),
            },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let State::Chosen(handshake) = &mut self.state else { return None };
        let keys = handshake.next.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(keys.local), remote: Box::new(keys.remote) })
    }

    /// Servers get none.
    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        let handshake = self.chosen().ok_or(ExportKeyingMaterialError)?;
        let made = handshake.connection.export_keying_material(output, label, Some(context));
        made.map(|_| ()).map_err(|_| ExportKeyingMaterialError)
    }
}
