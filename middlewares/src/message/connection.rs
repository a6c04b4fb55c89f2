//! `Connection`: what is known of a client's connection, shared by its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use rustls_pki_types::CertificateDer;

/// What is known of a client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The client, after a trusted PROXY header. IPv4-mapped addresses are already IPv4.
    pub peer: SocketAddr,
    /// Our side, after a trusted PROXY header.
    pub local: SocketAddr,
    /// Name of the entry point, `web`.
    pub entry_point: Arc<str>,
    /// Present on TLS connections.
    pub tls: Option<Tls>,
    /// What is appended to `X-Forwarded-For` before a request goes to a server; `None` = nothing.
    pub forwarded_for: Option<HeaderValue>,
}

/// What is known of a TLS connection.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The name that the client asked for, lower-cased.
    pub server_name: Option<Arc<str>>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite as IANA names it, `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The client's chain, leaf first; empty if it showed none.
    pub client_certificates: Vec<CertificateDer<'static>>,
    /// Name of the TLS options that the connection was accepted with.
    pub options: Arc<str>,
}
