//! TLS towards the engine: whom we trust and who we are.

use std::sync::Arc;

use portcullis_config::units::FileOrContent;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::Tls;
use crate::Failure;

/// The client's side of TLS as the options say.
pub(super) fn client(tls: &Tls) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::caused("no version of TLS is left", error))?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        builder.with_root_certificates(roots(&tls.ca)?)
    };
    if tls.cert.0.is_empty() && tls.key.0.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&tls.cert, "cert")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key, "key")?)
        .map_err(|error| Failure::caused("docker tls.key: expected a private key in PEM", error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| Failure::caused(format!("docker tls.cert and tls.key: {error}"), error))
}

fn roots(ca: &FileOrContent) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if ca.0.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let (added, _) = roots.add_parsable_certificates(certificates(ca, "ca")?);
        if added == 0 {
            return Err(Failure::new("docker tls.ca: expected a certificate in PEM, found none"));
        }
    }
    Ok(roots)
}

fn certificates(
    source: &FileOrContent,
    option: &str,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = read(source, option)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let broken = format!("docker tls.{option}: expected certificates in PEM");
    all.map_err(|error| Failure::caused(broken, error))
}

fn read(source: &FileOrContent, option: &str) -> Result<Vec<u8>, Failure> {
    source.read().map_err(|error| {
        Failure::caused(format!("docker tls.{option}: cannot read {source:?}: {error}"), error)
    })
}

/// Accepts any certificate, as the user asked; signatures must still be right.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
