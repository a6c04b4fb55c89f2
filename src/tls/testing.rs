//! What the tests share: an authority, a listener that tells what it saw, and clients.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::routing::tls::{self, Tls};
use portcullis_config::units::FileOrContent;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, SigningKey as _,
};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::accept::{self, AcceptError, Accepted};
use super::configurations::{Configurations, Conflicts};
use super::policy::{Host, Policy};
use crate::net::live::Live;

/// An authority that issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A P-256 certificate for `names`; the first is the common name.
    pub(super) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub(super) fn issue_with(
        &self,
        names: &[&str],
        algorithm: &'static rcgen::SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, names.first().cloned().unwrap_or_default());
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { pem: certificate.pem(), der: certificate.der().clone(), key }
    }

    /// A signature of the authority itself.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.issuer.key().sign(message).unwrap()
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        roots
    }

    /// A client that trusts this authority and shows nothing.
    pub(super) fn client(&self) -> ClientConfig {
        client_builder().with_root_certificates(self.roots()).with_no_client_auth()
    }

    /// A client that trusts this authority and shows `identity`.
    pub(super) fn client_with(&self, identity: &Issued) -> ClientConfig {
        client_builder()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![identity.der.clone()], identity.key())
            .unwrap()
    }
}

pub(super) fn client_builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::clone(super::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

/// A certificate with its key.
pub(super) struct Issued {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    key: KeyPair,
}

impl Issued {
    pub(super) fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), key }
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).unwrap()
    }

    pub(super) fn key_pem(&self) -> FileOrContent {
        FileOrContent(self.key.serialize_pem())
    }

    pub(super) fn pem(&self) -> FileOrContent {
        FileOrContent(self.pem.clone())
    }

    pub(super) fn configured(&self) -> tls::Certificate {
        tls::Certificate { cert_file: self.pem(), key_file: self.key_pem(), stores: Vec::new() }
    }

    pub(super) fn as_client(&self) -> tls::ClientCertificate {
        tls::ClientCertificate { cert_file: self.pem(), key_file: self.key_pem() }
    }
}

/// A SAN of kind URI.
pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A TLS configuration with certificates and nothing else.
pub(super) fn certificates<'a>(issued: impl IntoIterator<Item = &'a Issued>) -> Tls {
    Tls { certificates: issued.into_iter().map(Issued::configured).collect(), ..Tls::default() }
}

/// Options that verify clients against `authority`.
pub(super) fn verifying(authority: &Authority) -> tls::Options {
    let client_auth = tls::ClientAuth {
        ca_files: vec![FileOrContent(authority.pem.clone())],
        client_auth_type: String::new(),
    };
    tls::Options { client_auth, ..tls::Options::default() }
}

/// `(pattern, options)` for one router.
pub(super) fn host<'a>(pattern: &'a str, options: &'a str) -> Host<'a> {
    Host { pattern, options, router: "r@file" }
}

/// A listener that accepts by the newest policy and tells each client what it saw.
pub(super) struct Listener {
    pub(super) configurations: Configurations,
    policy: Arc<Live<Policy>>,
    pub(super) address: SocketAddr,
    outcomes: tokio::sync::mpsc::UnboundedReceiver<Result<(), AcceptError>>,
}

impl Listener {
    pub(super) async fn start(tls: &Tls, hosts: &[Host<'_>]) -> Self {
        let configurations = Configurations::new().unwrap();
        let prepared = configurations.prepare(tls, &[]);
        let policy = Arc::new(Live::new(Arc::new(prepared.policy(hosts, Conflicts::FallBack).0)));
        prepared.publish();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, outcomes) = tokio::sync::mpsc::unbounded_channel();
        let newest = Arc::clone(&policy);
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (newest, told) = (Arc::clone(&newest), told.clone());
                spawn(async move {
                    let local = stream.local_addr().unwrap().ip();
                    let choose = |name: Option<&str>| newest.load().choose(name, local);
                    let accepted = accept::accept(stream, LIMIT, choose).await;
                    drop(told.send(serve(accepted).await));
                });
            }
        });
        Self { configurations, policy, address, outcomes }
    }

    /// What became of the next handshake that ended.
    pub(super) async fn outcome(&mut self) -> Result<(), AcceptError> {
        self.outcomes.recv().await.unwrap()
    }

    /// Publishes another configuration as a reload does.
    pub(super) fn reload(&self, tls: &Tls, hosts: &[Host<'_>]) {
        let prepared = self.configurations.prepare(tls, &[]);
        let policy = prepared.policy(hosts, Conflicts::FallBack).0;
        prepared.publish();
        self.policy.store(Arc::new(policy));
    }

    /// Shakes hands as `config`, asking for `name`.
    pub(super) async fn greet(
        &self,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Seen, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(config));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        Seen::read(stream).await
    }
}

const LIMIT: Duration = Duration::from_secs(10);

async fn serve(accepted: Result<Accepted<TcpStream>, AcceptError>) -> Result<(), AcceptError> {
    let Accepted { mut stream, tls, protocol } = accepted?;
    let told = format!(
        "{} {} {} {} {} {}",
        tls.server_name.as_deref().unwrap_or("-"),
        tls.version,
        tls.cipher,
        tls.options,
        tls.client_certificates.len(),
        protocol.map_or_else(|| "-".to_owned(), |name| String::from_utf8(name.into()).unwrap()),
    );
    stream.write_all(told.as_bytes()).await?;
    // The client closes first, after it has read everything, tickets included.
    stream.shutdown().await?;
    Ok(())
}

/// What a client saw, and what the listener told of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) leaf: CertificateDer<'static>,
    pub(super) kind: HandshakeKind,
    /// `server-name version cipher options client-certificates protocol`.
    pub(super) told: String,
}

impl Seen {
    async fn read(mut stream: tokio_rustls::client::TlsStream<TcpStream>) -> Result<Self, String> {
        let mut told = String::new();
        stream.read_to_string(&mut told).await.map_err(|error| error.to_string())?;
        let connection = stream.get_ref().1;
        let leaf = connection.peer_certificates().unwrap().first().unwrap().clone().into_owned();
        Ok(Self { leaf, kind: connection.handshake_kind().unwrap(), told })
    }
}

/// Shakes hands with a ClientHello cut into records of one byte each; returns what the listener told.
pub(super) fn greet_in_single_bytes(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<String, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    let payload = hello.get(5..).unwrap();
    let cut: Vec<u8> = payload.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    stream.write_all(&cut).unwrap();
    let mut told = String::new();
    rustls::Stream::new(&mut connection, &mut stream)
        .read_to_string(&mut told)
        .map_err(|error| error.to_string())?;
    Ok(told)
}

/// Tests spawn freely.
#[allow(clippy::disallowed_methods, reason = "there are no workers in unit tests")]
pub(super) fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}
