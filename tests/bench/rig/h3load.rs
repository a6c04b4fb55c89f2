//! Load generator for HTTP/3: requests one after the other on each of some streams of some connections.
//!
//! Usage: h3load PORT HOST PATH SECONDS CONNECTIONS STREAMS. Prints what was counted as JSON.

#![allow(clippy::print_stdout, reason = "it is a program")]
#![allow(clippy::disallowed_methods, reason = "it has one runtime")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

type Requests = SendRequest<h3_quinn::OpenStreams, Bytes>;

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    statuses: AtomicU64,
    broken: AtomicU64,
}

/// Believes any certificate: those of the rig are signed by nobody.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, host, path, seconds, connections, streams] = &words[..] else {
        anyhow::bail!("usage: h3load PORT HOST PATH SECONDS CONNECTIONS STREAMS");
    };
    let config = config()?;
    let url = format!("https://{host}{path}");
    let counts = Arc::<Counts>::default();
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds.parse()?);
    let mut tasks = Vec::new();
    let mut endpoints = Vec::new();
    for _ in 0..connections.parse::<usize>()? {
        let endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        let address = format!("127.0.0.1:{port}").parse()?;
        let connection = endpoint.connect_with(config.clone(), address, host)?.await?;
        let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        for _ in 0..streams.parse::<usize>()? {
            let (requests, url, counts) = (requests.clone(), url.clone(), Arc::clone(&counts));
            tasks.push(tokio::spawn(again_and_again(requests, url, counts, end)));
        }
        endpoints.push(endpoint);
    }
    for task in tasks {
        task.await?;
    }
    println!(
        "{{\"requests\": {}, \"seconds\": {}, \"sockets\": {}, \"statuses\": {}, \"p50\": 0, \"p99\": 0}}",
        counts.done.load(Relaxed),
        begun.elapsed().as_secs_f64(),
        counts.broken.load(Relaxed),
        counts.statuses.load(Relaxed),
    );
    Ok(())
}

/// TLS 1.3 as all peers of the rig speak it.
fn config() -> anyhow::Result<ClientConfig> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![kx_group::X25519];
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

async fn again_and_again(mut requests: Requests, url: String, counts: Arc<Counts>, end: Instant) {
    while Instant::now() < end {
        match ask(&mut requests, &url).await {
            Ok(true) => counts.done.fetch_add(1, Relaxed),
            Ok(false) => counts.statuses.fetch_add(1, Relaxed),
            Err(_) => {
                counts.broken.fetch_add(1, Relaxed);
                return;
            }
        };
    }
}

/// Whether the answer was 200; it is read to its end.
async fn ask(requests: &mut Requests, url: &str) -> anyhow::Result<bool> {
    let request = http::Request::get(url).body(()).context("the URL is odd")?;
    let mut stream = requests.send_request(request).await?;
    stream.finish().await?;
    let status = stream.recv_response().await?.status();
    while let Some(mut data) = stream.recv_data().await? {
        data.advance(data.remaining());
    }
    Ok(status == 200)
}
