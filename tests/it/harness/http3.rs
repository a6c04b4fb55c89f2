//! A client of HTTP/3, and a gateway with three hosts for it.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use http::{HeaderMap, Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connecting, Connection, Endpoint};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, RootCertStore, StreamOwned};
use tokio::task::JoinHandle;

use super::{DEADLINE, Gateway, service};

/// A stream of one request.
pub(crate) type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A gateway for `open.example`, `old.example` (TLS 1.2 at most) and, with client certificates only, `strict.example`.
pub(crate) struct Secure {
    pub(crate) gateway: Gateway,
    roots: RootCertStore,
    identity: (CertificateDer<'static>, Vec<u8>),
    routes: String,
    /// The certificate files: a process that takes over reads them, too.
    _files: tempfile::TempDir,
}

/// HTTP/3 on the entry point `secure`.
const HTTP3: &str = "[entryPoints.secure.http3]\n";

impl Secure {
    /// In front of `servers`.
    pub(crate) fn new(servers: &[SocketAddr]) -> Self {
        Self::with(1, "", servers)
    }

    /// As [`Secure::new`], with so many workers and more install configuration (TOML).
    pub(crate) fn with(workers: usize, install: &str, servers: &[SocketAddr]) -> Self {
        Self::before(workers, install, &service("it", servers))
    }

    /// As [`Secure::with`], in front of the service `it` (TOML).
    pub(crate) fn before(workers: usize, install: &str, service: &str) -> Self {
        let names = ["open.example", "strict.example", "old.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let router = |name: &str, options: &str| {
            format!(
                "[http.routers.{name}]\nrule = \"Host(`{name}.example`)\"\nservice = \"it\"\n\
                 entryPoints = [\"secure\"]\n[http.routers.{name}.tls]\n{options}"
            )
        };
        let routes = format!(
            "{}{}{}[[tls.certificates]]\ncertFile = {cert:?}\nkeyFile = {key:?}\n\
             [tls.options.mutual.clientAuth]\ncaFiles = [{cert:?}]\n\
             clientAuthType = \"RequireAndVerifyClientCert\"\n\
             [tls.options.old]\nmaxVersion = \"VersionTLS12\"\n",
            router("open", ""),
            router("strict", "options = \"mutual\"\n"),
            router("old", "options = \"old\"\n"),
        );
        let install = format!("{HTTP3}{install}");
        let all = format!("{routes}{service}");
        let gateway = Gateway::on_workers(workers, &install, &all);
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let identity = (made.cert.der().clone(), made.signing_key.serialize_der());
        Self { gateway, roots, identity, routes, _files: folder }
    }

    /// Sends everything to other servers.
    pub(crate) fn reload(&mut self, servers: &[SocketAddr]) {
        let routes = format!("{}{}", self.routes, service("it", servers));
        self.gateway.reload(&routes);
    }

    /// How clients shake hands, with the certificate that `strict.example` asks for or without.
    pub(crate) fn tls(&self, with_identity: bool) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone());
        if with_identity {
            let (chain, key) = (vec![self.identity.0.clone()], self.identity.1.clone());
            let key = PrivateKeyDer::try_from(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        }
    }

    /// A QUIC connection made for `name`.
    pub(crate) async fn quic(&self, name: &str) -> Result<Connection, String> {
        self.quic_as(name, self.tls(false)).await
    }

    /// As [`Secure::quic`], shaking hands so.
    pub(crate) async fn quic_as(
        &self,
        name: &str,
        tls: rustls::ClientConfig,
    ) -> Result<Connection, String> {
        let (_, connecting) = connecting(name, tls, self.gateway.secure);
        in_time(connecting).await.map_err(|error| error.to_string())
    }

    /// Begins to connect to another address than the gateway's, with a ClientHello that fits into one packet.
    pub(crate) fn connecting(&self, name: &str, to: SocketAddr) -> (Endpoint, Connecting) {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.kx_groups.retain(|group| group.name() == rustls::NamedGroup::X25519);
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        connecting(name, tls, to)
    }

    /// A client that can move to another address.
    pub(crate) async fn moving_client(&self, name: &str) -> (Endpoint, Client) {
        let (endpoint, connecting) = connecting(name, self.tls(false), self.gateway.secure);
        (endpoint, Client::on(in_time(connecting).await.unwrap()).await)
    }

    /// The answer of HTTP/1 over TLS for GET.
    pub(crate) fn over_tcp(&self, name: &str) -> super::client::Response {
        let stream = TcpStream::connect(self.gateway.secure).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let server_name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.tls(false)), server_name).unwrap();
        let mut client = super::client::Client::on(StreamOwned::new(connection, stream));
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        client.response()
    }

    /// A client on a connection made for `name`.
    pub(crate) async fn client(&self, name: &str) -> Client {
        Client::on(self.quic(name).await.unwrap()).await
    }

    /// The status for `host` over a connection made for `name`; an error if there is none.
    pub(crate) async fn status(
        &self,
        name: &str,
        host: &str,
        with_identity: bool,
    ) -> Result<u16, String> {
        let connection = self.quic_as(name, self.tls(with_identity)).await?;
        let mut client = Client::try_on(connection).await?;
        let request = Request::get(format!("https://{host}/")).body(()).unwrap();
        client.exchange(request, &[]).await.map(|answer| answer.head.status().as_u16())
    }
}

fn connecting(name: &str, mut tls: rustls::ClientConfig, to: SocketAddr) -> (Endpoint, Connecting) {
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, to, name).unwrap();
    (endpoint, connecting)
}

/// A client on one connection.
pub(crate) struct Client {
    requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Ends with the connection.
    pub(crate) driver: JoinHandle<h3::error::ConnectionError>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) async fn on(connection: Connection) -> Self {
        Self::try_on(connection).await.unwrap()
    }

    async fn try_on(connection: Connection) -> Result<Self, String> {
        let made = in_time(h3::client::new(h3_quinn::Connection::new(connection))).await;
        let (mut driver, requests) = made.map_err(|error| error.to_string())?;
        #[allow(clippy::disallowed_methods, reason = "tests have one runtime")]
        let driver =
            tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Ok(Self { requests, driver })
    }

    /// Begins a request.
    pub(crate) async fn begin(&mut self, request: Request<()>) -> Result<Stream, String> {
        in_time(self.requests.send_request(request)).await.map_err(|error| error.to_string())
    }

    /// Sends a request with a body in these pieces and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<()>,
        pieces: &[&'static [u8]],
    ) -> Result<Answer, String> {
        let mut stream = self.begin(request).await?;
        for piece in pieces {
            in_time(stream.send_data(Bytes::from_static(piece))).await.map_err(text)?;
        }
        in_time(stream.finish()).await.map_err(text)?;
        answer(&mut stream).await
    }

    /// GET on `open.example`.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.exchange(get(path), &[]).await
    }
}

/// A GET on `open.example`.
pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("https://open.example{path}")).body(()).unwrap()
}

fn text(error: h3::error::StreamError) -> String {
    error.to_string()
}

/// Reads the whole answer.
pub(crate) async fn answer(stream: &mut Stream) -> Result<Answer, String> {
    let head = in_time(stream.recv_response()).await.map_err(text)?;
    let mut body = Vec::new();
    while let Some(mut data) = in_time(stream.recv_data()).await.map_err(text)? {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    let trailers = in_time(stream.recv_trailers()).await.map_err(text)?;
    Ok(Answer { head, body, trailers })
}

/// What `future` gives; fails when that takes too long.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

/// Waits until `condition` holds, while connections go on.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "in vain waited until {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
