//! A node's side of the door: asks the authority, each time on a connection of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::message::{self, Denied};
use crate::net::task;
use crate::tls::spiffe::Refusal;

/// How long an exchange may take.
const WHOLE: Duration = Duration::from_secs(10);

/// Why the authority gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{address} cannot be reached: {error}")]
    Connect { address: String, error: io::Error },
    #[error("{address} is not believed: {refusal}")]
    Tls { address: String, refusal: Refusal },
    #[error("{0} does not answer in time")]
    Timeout(String),
    #[error("{address}: {error}")]
    Http { address: String, error: hyper::Error },
    #[error("the authority refuses ({reason}): {message}")]
    Denied { reason: String, message: String },
    #[error("the answer of {0} is not understood")]
    Answer(String),
    #[error("{0}")]
    Local(String),
}

impl AskError {
    /// Whether the authority, or something in its place, has answered.
    pub(super) fn was_heard(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

/// Asks those at `addresses` in turn, until one answers: who refuses has answered, too.
pub(super) async fn ask<T: DeserializeOwned>(
    addresses: &[String],
    tls: &Arc<ClientConfig>,
    path: &str,
    message: &impl serde::Serialize,
) -> Result<T, AskError> {
    let body = Bytes::from(serde_json::to_vec(message).expect("messages are plain data"));
    let mut last = AskError::Local("no address of an authority is known".to_owned());
    for address in addresses {
        let exchange = exchange(address, tls, path, body.clone());
        let answer = tokio::time::timeout(WHOLE, exchange).await;
        match answer.unwrap_or_else(|_| Err(AskError::Timeout(address.clone()))) {
            Ok(answer) => {
                return serde_json::from_slice(&answer)
                    .map_err(|_| AskError::Answer(address.clone()));
            }
            Err(error) if error.was_heard() => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn exchange(
    address: &str,
    tls: &Arc<ClientConfig>,
    path: &str,
    body: Bytes,
) -> Result<Bytes, AskError> {
    let place = || address.to_owned();
    let connect = |error| AskError::Connect { address: place(), error };
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    // Whom we want is known by its identity, not by a name.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
    let stream = stream.map_err(|error| match Refusal::of(&error) {
        Some(refusal) => AskError::Tls { address: place(), refusal },
        None => connect(error),
    })?;
    let http = |error| AskError::Http { address: place(), error };
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(http)?;
    let driver = AbortOnDrop(task::spawn_control(connection));
    let request = Request::post(format!("https://authority{path}"))
        .body(Full::new(body))
        .expect("every part of it is valid");
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), message::LONGEST).collect().await;
    let body = body.map_err(|_| AskError::Answer(place()))?.to_bytes();
    drop(driver);
    if status.is_success() {
        return Ok(body);
    }
    let denied: Denied = serde_json::from_slice(&body).map_err(|_| AskError::Answer(place()))?;
    Err(AskError::Denied { reason: denied.reason, message: denied.message })
}

/// Certificates in PEM.
pub(super) fn pem(certificates: &[CertificateDer<'_>]) -> String {
    use base64::Engine as _;
    let mut text = String::new();
    for certificate in certificates {
        let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Ends a task with whoever waits for it.
pub(super) struct AbortOnDrop<T>(pub(super) tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
