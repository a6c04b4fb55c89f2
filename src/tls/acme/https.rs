//! Requests to authorities and to those who host DNS zones: small, rare, each on a connection of its own, with limits on
//! everything.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::net::task;
use crate::tls::client::load_system_roots;

/// No answer is larger: a certificate chain has a few kilobytes.
const LARGEST: usize = 1 << 20;

/// How long a connection may take, as in Go.
const DIAL: Duration = Duration::from_secs(30);

/// Who asks.
const AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// Asks over HTTP/1.1.
#[derive(Clone)]
pub(in crate::tls) struct Https {
    tls: Arc<ClientConfig>,
    settings: Settings,
}

/// How [`Https`] asks.
#[derive(Clone, Debug)]
pub(in crate::tls) struct Settings {
    /// For a whole exchange.
    pub(in crate::tls) whole: Duration,
    /// Until the head of the answer is there.
    pub(in crate::tls) head: Duration,
    /// The name expected in certificates instead of the host's.
    pub(in crate::tls) server_name: Option<ServerName<'static>>,
    /// Whether `http:` will do.
    pub(in crate::tls) clear: Clear,
}

/// Whether requests may go in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum Clear {
    /// They may: the user gave the address.
    Allowed,
    /// They may not: an authority must be who it says it is.
    Refused,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::tls) enum HttpsError {
    #[error("`{0}` is no https address")]
    Address(String),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read: {0}")]
    Body(String),
}

impl Https {
    /// Trusts `roots`.
    pub(in crate::tls) fn new(
        roots: Arc<RootCertStore>,
        settings: Settings,
    ) -> Result<Self, String> {
        let provider = Arc::clone(crate::tls::provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), settings })
    }

    /// Sends `request` and reads the whole answer.
    pub(in crate::tls) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, HttpsError> {
        let exchange = Box::pin(self.exchange(request));
        tokio::time::timeout(self.settings.whole, exchange)
            .await
            .unwrap_or(Err(HttpsError::Timeout))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpsError> {
        let uri = request.uri().clone();
        let bad = || HttpsError::Address(without_query(&uri));
        let host = uri.host().ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let (is_tls, port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") if self.settings.clear == Clear::Allowed => (false, 80),
            _ => return Err(bad()),
        };
        let connecting = TcpStream::connect((bare, uri.port_u16().unwrap_or(port)));
        let stream =
            tokio::time::timeout(DIAL, connecting).await.map_err(|_| HttpsError::Timeout)??;
        if !is_tls {
            return self.ask(stream, request).await;
        }
        let name = match &self.settings.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare.to_owned()).map_err(|_| bad())?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        self.ask(connector.connect(name, stream).await?, request).await
    }

    async fn ask<IO>(
        &self,
        io: IO,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, HttpsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let uri = request.uri().clone();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::try_from(authority.rsplit('@').next().unwrap_or_default());
        let host = host.map_err(|_| HttpsError::Address(authority.to_owned()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| HttpsError::Address(path.to_owned()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        let driver = AbortOnDrop(task::spawn(connection));
        let head = tokio::time::timeout(self.settings.head, sender.send_request(request));
        let response = head.await.map_err(|_| HttpsError::Timeout)??;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| HttpsError::Body(error.to_string()))?.to_bytes();
        drop(driver);
        Ok(Response::from_parts(parts, body))
    }
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Https").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Ends the connection of a request that was given up.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An address without what may be a secret in it.
fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

/// The authorities that vouch for the server: those in `files`, and the system's if there are none or `system` says so.
pub(in crate::tls) fn roots(
    files: &[String],
    system: System,
) -> Result<Arc<RootCertStore>, String> {
    if files.is_empty() {
        return Ok(Arc::clone(load_system_roots()));
    }
    let mut roots = match system {
        System::Too => RootCertStore::clone(load_system_roots()),
        System::Not => RootCertStore::empty(),
    };
    for file in files {
        let text = portcullis_config::units::FileOrContent(file.clone());
        let named = if text.is_content() { "given as text" } else { file.as_str() };
        let bytes = text.read().map_err(|error| format!("`{named}` cannot be read: {error}"))?;
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate =
                certificate.map_err(|error| format!("`{named}` is not valid PEM: {error}"))?;
            roots.add(certificate).map_err(|error| {
                format!("`{named}` holds a certificate that cannot be an authority: {error}")
            })?;
            found += 1;
        }
        if found == 0 {
            return Err(format!("`{named}` holds no certificate; expected PEM text"));
        }
    }
    Ok(Arc::new(roots))
}

/// Whether the system's authorities count beside given ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum System {
    /// They do.
    Too,
    /// They do not.
    Not,
}

/// An error with its causes on one line.
pub(in crate::tls) fn in_full(error: &HttpsError) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

/// What a future in a box is called where a foreign trait wants one.
pub(in crate::tls) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
