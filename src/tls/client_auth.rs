//! How clients prove who they are: the verifiers behind `clientAuth`.

use std::sync::Arc;

use portcullis_config::routing::tls::ClientAuth;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::pem::Source;

/// Builds the verifier; `authorities` are the contents of `caFiles`. Anything odd is an error: a listener that was
/// meant to ask for certificates never opens without.
pub(super) fn verifier(
    settings: &ClientAuth,
    authorities: &[Vec<u8>],
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let kind = match settings.client_auth_type.as_str() {
        "" if settings.ca_files.is_empty() => "NoClientCert",
        "" => "RequireAndVerifyClientCert",
        named => named,
    };
    match kind {
        "NoClientCert" => {
            // The files are read all the same: a mistake in them must not wait for the day the type changes.
            roots(settings, authorities)?;
            Ok(WebPkiClientVerifier::no_client_auth())
        }
        "RequestClientCert" => {
            roots(settings, authorities)?;
            Ok(Arc::new(AnyCertificate::new(Presence::Optional)))
        }
        "RequireAnyClientCert" => {
            roots(settings, authorities)?;
            Ok(Arc::new(AnyCertificate::new(Presence::Required)))
        }
        "VerifyClientCertIfGiven" => verifying(settings, authorities, Presence::Optional),
        "RequireAndVerifyClientCert" => verifying(settings, authorities, Presence::Required),
        other => Err(format!(
            "clientAuthType `{other}` is unknown; expected NoClientCert, RequestClientCert, RequireAnyClientCert, \
             VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )),
    }
}

fn verifying(
    settings: &ClientAuth,
    authorities: &[Vec<u8>],
    presence: Presence,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    if settings.ca_files.is_empty() {
        return Err(format!(
            "clientAuthType {} needs caFiles to verify against",
            settings.client_auth_type
        ));
    }
    let roots = Arc::new(roots(settings, authorities)?);
    let provider = Arc::clone(super::provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match presence {
        Presence::Required => builder,
        Presence::Optional => builder.allow_unauthenticated(),
    };
    let verifier = builder.build().map_err(|error| format!("caFiles are not usable: {error}"))?;
    Ok(verifier)
}

/// The authorities in `caFiles`; every file must hold at least one, and every one must be usable.
fn roots(settings: &ClientAuth, authorities: &[Vec<u8>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (file, content) in settings.ca_files.iter().zip(authorities) {
        for certificate in Source::new("caFiles", file).certificates(content)? {
            roots.add(certificate).map_err(|error| {
                format!("caFiles {file:?} holds a certificate that cannot be an authority: {error}")
            })?;
        }
    }
    Ok(roots)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

/// Takes any certificate without asking who signed it; the client must still own its key.
#[derive(Debug)]
struct AnyCertificate {
    presence: Presence,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    fn new(presence: Presence) -> Self {
        Self { presence, algorithms: super::provider().signature_verification_algorithms }
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.presence == Presence::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
