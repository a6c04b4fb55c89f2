//! The certificate that stands in where none is configured: self-signed, made once for the process.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls_pki_types::PrivateKeyDer;

use super::certificate::Certificate;

/// The common name of the generated certificate.
pub(super) const COMMON_NAME: &str = "PORTCULLIS DEFAULT CERT";

/// Makes a P-256 key and a certificate of one year for a name that nobody asks for.
///
/// Traefik: the same with an RSA key and its own name.
pub(super) fn generate() -> Result<Certificate, String> {
    let failed = |error| format!("the default certificate cannot be generated: {error}");
    let name = format!("{}.{}.portcullis.default", random_label()?, random_label()?);
    let mut params = CertificateParams::new([name]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = now.into();
    params.not_after = (now + YEAR).into();
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| format!("the default certificate cannot be generated: {error}"))?;
    Certificate::new(vec![certificate.der().clone()], key)
}

const YEAR: Duration = Duration::from_hours(365 * 24);

fn random_label() -> Result<String, String> {
    let mut bytes = [0; 16];
    super::provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(super::certificate::hexadecimal(&bytes))
}
