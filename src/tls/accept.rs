//! Shaking hands with clients.
//!
//! rustls reads the ClientHello, however it is cut into records, and only then are the terms chosen.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_middlewares::message::Tls;
use rustls::server::Acceptor;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::acme::challenges::{self, Challenges};
use super::policy::{Chosen, Refused};
use super::{canonical, vocabulary};

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted<IO> {
    /// The clear side.
    pub stream: TlsStream<IO>,
    /// What requests and logs get to know.
    pub tls: Tls,
    /// The protocol agreed on; `None` if the client named none, which means HTTP/1.1.
    pub protocol: Option<Box<[u8]>>,
}

impl<IO> Accepted<IO> {
    /// Whether the client speaks h2.
    pub fn is_http2(&self) -> bool {
        self.protocol.as_deref() == Some(b"h2")
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The time limit passed.
    #[error("the tls handshake took too long")]
    Timeout,
    /// The first bytes were not TLS.
    #[error("the client does not speak tls")]
    NotTls,
    /// An authority asked for a proof and got it; there is nothing else to say on that connection.
    #[error("an authority got the proof that it asked for")]
    Proven,
    /// The name may not be served; the client got an alert.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What the client said was not acceptable: no common version, a bad certificate; or it sent an alert.
    #[error("tls handshake failed: {0}")]
    Handshake(#[source] rustls::Error),
    /// The connection broke.
    #[error("the connection broke during the tls handshake: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        use rustls::Error::InvalidMessage;
        use rustls::InvalidMessage::{InvalidContentType, UnknownProtocolVersion};
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(InvalidMessage(InvalidContentType | UnknownProtocolVersion)) => Self::NotTls,
            Some(inner) => Self::Handshake(inner.clone()),
            None => Self::Io(error),
        }
    }
}

/// Shakes hands within `limit`; `choose` says on which terms, given the name that the client asks for (lower case, without
/// a trailing dot). A refused client gets an alert.
pub async fn accept<IO, F>(io: IO, limit: Duration, choose: F) -> Result<Accepted<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(Option<&str>) -> Result<Chosen, Refused>,
{
    accept_or_prove(io, limit, None, choose).await
}

/// As [`accept`], except that an authority which asks for a proof of `challenges` gets that, and the connection ends.
pub async fn accept_or_prove<IO, F>(
    io: IO,
    limit: Duration,
    challenges: Option<&Challenges>,
    choose: F,
) -> Result<Accepted<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    F: FnOnce(Option<&str>) -> Result<Chosen, Refused>,
{
    let handshake = async {
        let hello = Hello::read(io).await?;
        if let Some(challenges) = challenges
            && let Some(proof) = hello.proof(challenges).await
        {
            return Err(hello.prove(proof).await);
        }
        match choose(hello.server_name()) {
            Ok(chosen) => hello.accept(chosen).await,
            Err(refused) => Err(hello.refuse(refused).await),
        }
    };
    // Boxed: handshakes are short, and their state must not make every connection's task larger.
    tokio::time::timeout(limit, Box::pin(handshake)).await.unwrap_or(Err(AcceptError::Timeout))
}

/// A connection of which the ClientHello has been read and nothing answered.
pub struct Hello<IO> {
    start: StartHandshake<IO>,
    server_name: Option<Arc<str>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Hello<IO> {
    /// Reads the ClientHello: at most 64 KiB, in records of any size. The caller limits the time.
    pub async fn read(io: IO) -> Result<Self, AcceptError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        let server_name = start.client_hello().server_name().map(|name| canonical(name).into());
        Ok(Self { start, server_name })
    }

    /// The name that the client asks for, lower case, without a trailing dot.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether the client offers `protocol` by ALPN.
    pub fn offers(&self, protocol: &[u8]) -> bool {
        let offered = self.start.client_hello().alpn();
        offered.is_some_and(|mut names| names.any(|name| name == protocol))
    }

    /// The proof that the client asks for, if it is an authority that somebody waits for (RFC 8737).
    pub async fn proof(&self, challenges: &Challenges) -> Option<Arc<ServerConfig>> {
        let name = self.server_name().filter(|_| self.offers(challenges::ALPN))?;
        challenges.certificate(name).await
    }

    /// Shows the proof in the handshake and closes. The caller limits the time: a client that stops in the middle must not
    /// hold the connection.
    pub async fn prove(self, proof: Arc<ServerConfig>) -> AcceptError {
        match self.start.into_stream(proof).await {
            Ok(mut stream) => {
                drop(stream.shutdown().await);
                AcceptError::Proven
            }
            Err(error) => error.into(),
        }
    }

    /// Finishes the handshake on `chosen` terms.
    pub async fn accept(self, chosen: Chosen) -> Result<Accepted<IO>, AcceptError> {
        let stream = self.start.into_stream(chosen.config).await?;
        let connection = stream.get_ref().1;
        let protocol = connection.alpn_protocol().map(Into::into);
        let tls = facts(connection, self.server_name, chosen.options);
        Ok(Accepted { stream, tls, protocol })
    }

    /// Tells the client that it is refused, and closes.
    pub async fn refuse(self, refused: Refused) -> AcceptError {
        let mut io = self.start.io;
        // The client may be gone already; it is refused all the same.
        if io.write_all(alert(refused)).await.is_ok() {
            drop(io.shutdown().await);
        }
        AcceptError::Refused(refused)
    }
}

/// A fatal alert before any keys exist (RFC 8446 sections 5.1 and 6): content type, version, length, level, description.
/// rustls can only send the alerts of its own decisions.
fn alert(refused: Refused) -> &'static [u8] {
    match refused {
        // internal_error(80): it is the configuration that is wrong.
        Refused::Options => &[21, 3, 3, 0, 2, 2, 80],
        // unrecognized_name(112).
        Refused::UnknownName => &[21, 3, 3, 0, 2, 2, 112],
    }
}

fn facts(connection: &ServerConnection, server_name: Option<Arc<str>>, options: Arc<str>) -> Tls {
    let certificates = connection.peer_certificates().unwrap_or_default();
    Tls {
        server_name,
        version: vocabulary::version_text(connection.protocol_version()),
        cipher: connection
            .negotiated_cipher_suite()
            .map_or("", |suite| vocabulary::suite_text(suite.suite())),
        client_certificates: certificates.iter().map(|one| one.clone().into_owned()).collect(),
        options,
    }
}
