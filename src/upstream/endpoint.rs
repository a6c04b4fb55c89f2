//! `Endpoint`: one server address reached by one transport, with its connections.
//!
//! Services that name the same address by the same transport share the endpoint, and a reload keeps it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use http::uri::Uri;
use portcullis_config::routing::mesh::Tunnel;

use super::pool::{h1, h2};
use super::resolve;
use super::transport::Transport;
use crate::net::per_worker::PerWorker;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS; h2 or HTTP/1.1 as agreed by ALPN.
    Https,
    /// h2 in the clear, with prior knowledge.
    H2c,
}

/// One server address reached by one transport, with its connections.
pub struct Endpoint {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// By what settings.
    pub transport: Arc<Transport>,
    authority: Box<str>,
    authority_header: HeaderValue,
    host: Box<str>,
    port: u16,
    tunnel: Option<Arc<Tunnel>>,
    name: Arc<resolve::Host>,
    pub(super) h1: PerWorker<h1::Pool>,
    pub(super) h2: PerWorker<h2::Pool>,
}

/// The address part of a server URL, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// `host` or `host:port` as the user wrote it, for the Host header.
    pub authority: Box<str>,
    /// The host without brackets.
    pub host: Box<str>,
    /// The port, by default that of the scheme.
    pub port: u16,
    /// How the mesh reaches it.
    pub tunnel: Option<Arc<Tunnel>>,
}

impl Address {
    /// Checks a server URL: scheme `http`, `https` or `h2c`, a host, a path that may be ignored.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong =
            |what: &str| format!("server url `{url}`: {what}, expected such as http://10.0.0.1:80");
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            Some("h2c") => (Scheme::H2c, 80),
            Some(_) => return Err(wrong("the scheme is not http, https or h2c")),
            None => return Err(wrong("the scheme is missing")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("the host is missing"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let shown =
            authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
        Ok(Self {
            scheme,
            authority: shown.into(),
            host: host.into(),
            port: authority.port_u16().unwrap_or(default_port),
            tunnel: None,
        })
    }
}

impl Address {
    /// The same server, reached by `tunnel`.
    pub fn behind(self, tunnel: Option<Arc<Tunnel>>) -> Self {
        Self { tunnel, ..self }
    }

    /// The same host at another port.
    pub fn with_port(self, port: u16) -> Self {
        let authority = host_and_port(&self.host, port);
        Self { authority: authority.into(), port, ..self }
    }
}

/// Host and port in one text, an IPv6 address in brackets.
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Endpoint {
    /// An endpoint without connections yet.
    pub fn new(address: Address, transport: Arc<Transport>) -> Arc<Self> {
        let endpoint = Arc::new(Self {
            scheme: address.scheme,
            transport,
            authority_header: HeaderValue::from_str(&address.authority)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            authority: address.authority,
            name: resolve::Host::new(&address.host),
            host: address.host,
            port: address.port,
            tunnel: address.tunnel,
            h1: PerWorker::default(),
            h2: PerWorker::default(),
        });
        super::pool::watch(&endpoint);
        endpoint
    }

    /// `host:port` as the user wrote it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The authority as a Host header.
    pub fn authority_header(&self) -> &HeaderValue {
        &self.authority_header
    }

    /// The host without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How the mesh reaches it, if it does.
    pub fn tunnel(&self) -> Option<&Arc<Tunnel>> {
        self.tunnel.as_ref()
    }

    /// Host and port, an IPv6 address in brackets.
    pub fn host_and_port(&self) -> String {
        host_and_port(&self.host, self.port)
    }

    /// The host's addresses.
    pub fn name(&self) -> &Arc<resolve::Host> {
        &self.name
    }

    /// Closes idle connections that have outlived the idle timeout, or that their server closed.
    pub(super) fn sweep(&self, now: Instant) {
        for pool in self.h1.iter() {
            pool.sweep(now, self.transport.idle_timeout);
        }
        for pool in self.h2.iter() {
            pool.sweep(now, self.transport.idle_timeout);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({:?} {})", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls_are_checked() {
        let address = Address::parse("http://10.0.0.1").unwrap();
        assert_eq!((address.scheme, address.port), (Scheme::Http, 80));
        let address = Address::parse("https://[::1]:8443/ignored").unwrap();
        assert_eq!((&*address.host, address.port), ("::1", 8443));
        assert_eq!(&*address.authority, "[::1]:8443");
        assert!(Address::parse("10.0.0.1:80").is_err());
        assert!(Address::parse("ftp://10.0.0.1").unwrap_err().contains("scheme"));
        assert!(Address::parse("http://").is_err());
    }
}
