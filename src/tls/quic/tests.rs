//! Handshakes over QUIC with clients over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use portcullis_config::routing::tls::{Options, Tls};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, ServerConfig};
use tokio::sync::mpsc;

use super::{Handshakes, facts};
use crate::net::live::Live;
use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::policy::Host;
use crate::tls::testing::{Authority, certificates, host, spawn, verifying};

/// An endpoint that says what it knows of each connection.
struct Listener {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Option<String>>,
    _configurations: Configurations,
}

impl Listener {
    fn start(tls: &Tls, hosts: &[Host<'_>]) -> Self {
        let configurations = Configurations::new().unwrap();
        let prepared = configurations.prepare(tls, &[]);
        let policy = Live::new(Arc::new(prepared.policy(hosts, Conflicts::FallBack).0));
        prepared.publish();
        let choose = move |name: Option<&str>| policy.load().choose(name, [127, 0, 0, 1].into());
        let handshakes = Handshakes::refusing().unwrap().choosing(choose);
        let config = ServerConfig::with_crypto(Arc::new(handshakes));
        let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = endpoint.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let known = match incoming.await {
                    Ok(connection) => facts(&connection),
                    Err(_) => None,
                };
                let text = known.map(|tls| {
                    let (name, shown) = (tls.server_name, tls.client_certificates.len());
                    let name = name.as_deref().unwrap_or("-").to_owned();
                    format!("{name} {} {} {} {shown}", tls.version, tls.cipher, tls.options)
                });
                drop(tell.send(text));
            }
        });
        Self { address, told, _configurations: configurations }
    }

    /// The code of the alert that a client gets, or what the listener knows of it.
    async fn greet(&mut self, config: rustls::ClientConfig, name: &str) -> Result<String, u64> {
        let connection = self.connect(config, name).await;
        let told = self.told.recv().await.unwrap();
        match connection {
            Ok(_) if told.is_some() => Ok(told.unwrap()),
            Ok(connection) => Err(alert(connection.closed().await)),
            Err(error) => Err(alert(error)),
        }
    }

    async fn connect(
        &self,
        mut config: rustls::ClientConfig,
        name: &str,
    ) -> Result<quinn::Connection, ConnectionError> {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![b"h3".to_vec()];
        }
        let crypto = QuicClientConfig::try_from(config).unwrap();
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        endpoint.connect_with(config, self.address, name).unwrap().await
    }
}

/// RFC 9001 section 4.8: alerts are codes from 0x100.
fn alert(error: ConnectionError) -> u64 {
    match error {
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code) - 0x100,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn terms_are_those_of_the_name() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test", "mutual.test", "old.test"])]);
    tls.options.insert("mutual".into(), verifying(&authority));
    let old = Options { max_version: "VersionTLS12".into(), ..Options::default() };
    tls.options.insert("old".into(), old);
    let hosts = [host("mutual.test", "mutual"), host("old.test", "old")];
    let mut listener = Listener::start(&tls, &hosts);
    let told = listener.greet(authority.client(), "a.test").await;
    assert_eq!(told.as_deref(), Ok("a.test 1.3 TLS_AES_256_GCM_SHA384 default 0"));
    let identity = authority.issue(&["client"]);
    let told = listener.greet(authority.client_with(&identity), "MUTUAL.test").await;
    assert_eq!(told.as_deref(), Ok("mutual.test 1.3 TLS_AES_256_GCM_SHA384 mutual 1"));
    // certificate_required(116).
    assert_eq!(listener.greet(authority.client(), "mutual.test").await, Err(116));
    // protocol_version(70).
    assert_eq!(listener.greet(authority.client(), "old.test").await, Err(70));
}

#[tokio::test]
async fn refusals_are_alerts() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test"])]);
    tls.options.insert("default".into(), Options { sni_strict: true, ..Options::default() });
    let mut listener = Listener::start(&tls, &[host("broken.test", "missing")]);
    assert!(listener.greet(authority.client(), "a.test").await.is_ok());
    // unrecognized_name(112), internal_error(80), no_application_protocol(120).
    assert_eq!(listener.greet(authority.client(), "other.test").await, Err(112));
    assert_eq!(listener.greet(authority.client(), "broken.test").await, Err(80));
    let mut h2 = authority.client();
    h2.alpn_protocols = vec![b"h2".to_vec()];
    assert_eq!(listener.greet(h2, "a.test").await, Err(120));
}

#[tokio::test]
async fn cve_2026_32305_a_hello_in_many_packets_gets_the_same_terms() {
    let authority = Authority::new("ca");
    let mut tls = certificates([&authority.issue(&["a.test", "mutual.test"])]);
    tls.options.insert("mutual".into(), verifying(&authority));
    let mut listener = Listener::start(&tls, &[host("mutual.test", "mutual")]);
    let large = || {
        let mut config = authority.client();
        // Names of protocols fill some packets.
        config.alpn_protocols = (0..40u8).map(|number| vec![number; 200]).collect();
        config.alpn_protocols.push(b"h3".to_vec());
        config
    };
    let told = listener.greet(large(), "a.test").await;
    assert_eq!(told.as_deref(), Ok("a.test 1.3 TLS_AES_256_GCM_SHA384 default 0"));
    assert_eq!(listener.greet(large(), "mutual.test").await, Err(116));
}

#[tokio::test]
async fn early_data_is_never_taken() {
    let authority = Authority::new("ca");
    let tls = certificates([&authority.issue(&["a.test"])]);
    let mut listener = Listener::start(&tls, &[]);
    let mut config = authority.client();
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = Arc::new(QuicClientConfig::try_from(config).unwrap());
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(crypto));
    for _ in 0..2 {
        let connecting = endpoint.connect(listener.address, "a.test").unwrap();
        let connection = connecting.into_0rtt().err().expect("no early data").await.unwrap();
        assert!(listener.told.recv().await.unwrap().is_some());
        // Long enough for the ticket, which comes first.
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(b"x").await.unwrap();
        drop(connection);
    }
}
