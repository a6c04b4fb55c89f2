//! TLS towards servers: what a `serversTransport` says of trust, and the handshake.

mod spiffe;
mod verify;

use std::io;
use std::sync::Arc;

use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::http::ServersTransport;
use portcullis_config::routing::tls::ClientCertificate;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use self::verify::{Demand, Roots, Verifier};
use super::pem::Source;
use super::spiffe::Holder;
use super::vocabulary::{self, Understood};

pub use self::verify::load_system_roots;

/// How the servers of one transport are trusted, and how we show ourselves to them.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// Asked for and verified instead of the server's host.
    server_name: Option<ServerName<'static>>,
    /// Of everything that was read from files.
    digest: [u8; 32],
}

/// Which protocols a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 and, where allowed, h2.
    Any,
    /// HTTP/1.1 only, for upgrades.
    Http1,
    /// None of HTTP: the protocol is the user's.
    Unnamed,
}

/// The protocol that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1, or a server that knows no ALPN.
    Http1,
    /// h2.
    H2,
}

impl ClientTls {
    /// Compiles the TLS part of `transport`, called `name` in problems; `holder` has our SPIFFE identities, if we may have
    /// any. `None` comes with an error problem; services that use the transport are broken then.
    pub fn compile(
        name: &str,
        transport: &ServersTransport,
        holder: Option<&Arc<Holder>>,
    ) -> (Option<Self>, Vec<Problem>) {
        let problem = |message: String| Problem::warning(Kind::HttpServersTransport, name, message);
        match build(transport, holder) {
            Ok(Understood { value, remarks }) => {
                (Some(value), remarks.into_iter().map(problem).collect())
            }
            Err(error) => (None, vec![Problem::error(Kind::HttpServersTransport, name, error)]),
        }
    }

    /// Whether the files that `transport`, the settings that this was compiled from, names still hold what they did.
    pub fn is_current(&self, transport: &ServersTransport) -> bool {
        digest(transport).is_ok_and(|digest| digest == self.digest)
    }
}

/// Shakes hands with the server `host`, a name or an address without brackets. The caller limits the time.
///
/// An error of kind [`io::ErrorKind::InvalidData`] means that the server's TLS was not acceptable (see
/// [`is_certificate_error`]); every other kind, that the connection broke.
pub async fn connect<IO>(
    io: IO,
    tls: &ClientTls,
    host: &str,
    offer: Offer,
) -> io::Result<(TlsStream<IO>, Alpn)>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => server_name(host)
            .map_err(|message| io::Error::new(io::ErrorKind::InvalidData, message))?,
    };
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream = match offer {
        Offer::Any => connector.connect(name, io).await?,
        Offer::Http1 => connector.with_alpn(vec![HTTP1.to_vec()]).connect(name, io).await?,
        Offer::Unnamed => connector.with_alpn(Vec::new()).connect(name, io).await?,
    };
    let alpn = match stream.get_ref().1.alpn_protocol() {
        Some(protocol) if protocol == H2 => Alpn::H2,
        _ => Alpn::Http1,
    };
    Ok((stream, alpn))
}

/// Whether `error`, from [`connect`], says that the server's certificate is not trusted.
pub fn is_certificate_error(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

fn build(
    transport: &ServersTransport,
    holder: Option<&Arc<Holder>>,
) -> Result<Understood<ClientTls>, String> {
    let parts = spiffe::parts(transport, holder)?;
    let digest = digest(transport)?;
    let server_name = match transport.server_name.as_str() {
        "" => None,
        name => Some(server_name(name).map_err(|message| format!("serverName: {message}"))?),
    };
    let ServersTransport { min_version, max_version, cipher_suites, .. } = transport;
    let allowed = vocabulary::allowed(min_version, max_version, cipher_suites, &[])?;
    let builder = ClientConfig::builder_with_provider(allowed.value.provider)
        .with_protocol_versions(&allowed.value.versions)
        .map_err(|error| format!("nothing is left to negotiate: {error}"))?
        .dangerous();
    let mut config = match parts {
        Some(parts) => {
            let builder = builder.with_custom_certificate_verifier(parts.verifier);
            let mut config = builder.with_client_cert_resolver(parts.own);
            config.resumption = parts.resumption;
            config
        }
        None => {
            let verifier = Arc::new(verifier(transport)?);
            let builder = builder.with_custom_certificate_verifier(verifier);
            let certificates = client_certificates(&transport.certificates)?;
            let mut config = match certificates.as_slice() {
                [] => builder.with_no_client_auth(),
                _ => builder.with_client_cert_resolver(Arc::new(Identities(certificates))),
            };
            config.resumption = Resumption::in_memory_sessions(REMEMBERED_SERVERS);
            config
        }
    };
    config.alpn_protocols = if transport.disable_http2 {
        vec![HTTP1.to_vec()]
    } else {
        vec![H2.to_vec(), HTTP1.to_vec()]
    };
    let value = ClientTls { config: Arc::new(config), server_name, digest };
    Ok(Understood { value, remarks: allowed.remarks })
}

/// Servers of one transport whose sessions are remembered for shorter handshakes.
const REMEMBERED_SERVERS: usize = 64;

/// A digest of the authorities, certificates and keys of `transport`.
fn digest(transport: &ServersTransport) -> Result<[u8; 32], String> {
    let roots = transport.root_cas.iter().map(|file| ("rootCAs", file));
    let pairs = transport.certificates.iter();
    let pairs = pairs.flat_map(|pair| [("certFile", &pair.cert_file), ("keyFile", &pair.key_file)]);
    let mut digest = Sha256::new();
    for (field, file) in roots.chain(pairs) {
        let content = Source::new(field, file).read()?;
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(&content);
    }
    Ok(digest.finalize().into())
}

/// Traefik: with both `insecureSkipVerify` and `peerCertURI` the chain and the URI are checked, the name is not.
fn verifier(transport: &ServersTransport) -> Result<Verifier, String> {
    let uri = Some(transport.peer_cert_uri.clone()).filter(|uri| !uri.is_empty());
    let demand = match (transport.insecure_skip_verify, uri.is_some()) {
        (true, false) => Demand::Nothing,
        (true, true) => Demand::Chain,
        (false, _) => Demand::ChainAndName,
    };
    let mut authorities = Vec::new();
    for file in &transport.root_cas {
        let source = Source::new("rootCAs", file);
        authorities.extend(source.certificates(&source.read()?)?);
    }
    let roots = match transport.root_cas.as_slice() {
        [] => Roots::System,
        _ => Roots::given(authorities)?,
    };
    Ok(Verifier::new(roots, demand, uri))
}

fn client_certificates(configured: &[ClientCertificate]) -> Result<Vec<Arc<CertifiedKey>>, String> {
    let load = |pair: &ClientCertificate| {
        let chain = Source::new("certFile", &pair.cert_file);
        let key = Source::new("keyFile", &pair.key_file);
        let loaded = CertifiedKey::from_der(
            chain.certificates(&chain.read()?)?,
            key.key(&key.read()?)?,
            super::provider(),
        );
        loaded.map(Arc::new).map_err(|error| format!("certificates: {error}"))
    };
    configured.iter().map(load).collect()
}

/// Without the trailing dot of a full name, which neither SNI nor certificates know.
fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name.to_owned())
        .map_err(|_| format!("`{host}` is neither a DNS name nor an address"))
}

/// Our certificates towards servers that ask for one.
#[derive(Debug)]
struct Identities(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = |identity: &&Arc<CertifiedKey>| identity.key.choose_scheme(schemes).is_some();
        self.0.iter().find(usable).map(Arc::clone)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
