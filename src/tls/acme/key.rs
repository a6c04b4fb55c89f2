//! Keys of certificates and the requests that they sign.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, RsaKeySize};

use super::names::Names;

/// What sort of key a certificate gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    /// ECDSA over P-256.
    Ec256,
    /// ECDSA over P-384.
    Ec384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeyType {
    /// Reads `keyType`, with a remark where another key is made than the one that was asked for.
    ///
    /// Traefik: RSA4096 without one, and for whatever it does not know.
    pub(super) fn parse(text: &str) -> (Self, Option<String>) {
        let known = match text {
            "EC256" => Self::Ec256,
            "EC384" => Self::Ec384,
            "RSA2048" => Self::Rsa2048,
            "RSA4096" | "" => Self::Rsa4096,
            "RSA8192" => {
                let remark = "keyType `RSA8192` cannot be made; keys are RSA4096 instead";
                return (Self::Rsa4096, Some(remark.to_owned()));
            }
            other => {
                let remark = format!(
                    "keyType `{other}` is unknown, keys are RSA4096 instead; expected EC256, EC384, \
                     RSA2048 or RSA4096"
                );
                return (Self::Rsa4096, Some(remark));
            }
        };
        (known, None)
    }

    /// Makes a key. Takes seconds for RSA: not on a thread that others wait for.
    pub(super) fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Ec256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::Ec384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
    }
}

/// Whether a certificate names its main name as its common name as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommonName {
    /// It does, if the name is short enough.
    Main,
    /// Traefik: `disableCommonName`.
    Nothing,
}

/// A new key with the request for a certificate that it signed.
pub(super) struct Requested {
    /// PKCS#8 in PEM.
    pub(super) key: String,
    /// PKCS#10 in DER.
    pub(super) request: Vec<u8>,
}

impl fmt::Debug for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requested").finish_non_exhaustive()
    }
}

/// Makes a key and requests a certificate for `names` with it.
pub(super) fn request(
    key_type: KeyType,
    names: &Names,
    common_name: CommonName,
) -> Result<Requested, rcgen::Error> {
    let key = key_type.generate()?;
    let mut params = CertificateParams::new(names.iter().map(str::to_owned).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    // X.520 gives a common name 64 characters.
    if common_name == CommonName::Main && names.main().len() <= 64 {
        params.distinguished_name.push(DnType::CommonName, names.main());
    }
    let request = params.serialize_request(&key)?.der().to_vec();
    Ok(Requested { key: key.serialize_pem(), request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer;

    fn made(key_type: KeyType, common_name: CommonName) -> (Requested, Names) {
        let names = Names::new(["a.test", "b.test"]).unwrap();
        (request(key_type, &names, common_name).unwrap(), names)
    }

    #[test]
    fn each_type_makes_a_key_of_its_kind() {
        for (text, bits) in [("EC256", 256), ("EC384", 384), ("RSA2048", 2048), ("RSA4096", 4096)] {
            let (key_type, remark) = KeyType::parse(text);
            assert_eq!(remark, None, "{text}");
            let (requested, _) = made(key_type, CommonName::Main);
            let (_, parsed) = X509CertificationRequest::from_der(&requested.request).unwrap();
            let key = parsed.certification_request_info.subject_pki.parsed().unwrap();
            assert_eq!(key.key_size(), bits, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        assert_eq!(KeyType::parse(""), (KeyType::Rsa4096, None));
        for text in ["RSA8192", "ED25519"] {
            let (key_type, remark) = KeyType::parse(text);
            assert_eq!(key_type, KeyType::Rsa4096);
            assert!(remark.unwrap().contains(text));
        }
    }

    #[test]
    fn the_common_name_can_be_left_out() {
        for (common_name, expected) in
            [(CommonName::Main, vec!["a.test"]), (CommonName::Nothing, vec![])]
        {
            let (requested, _) = made(KeyType::Ec256, common_name);
            let (_, parsed) = X509CertificationRequest::from_der(&requested.request).unwrap();
            let subject = &parsed.certification_request_info.subject;
            let found: Vec<_> = subject.iter_common_name().map(|it| it.as_str().unwrap()).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn nothing_shows_the_key() {
        assert_eq!(format!("{:?}", made(KeyType::Ec256, CommonName::Main).0), "Requested { .. }");
    }
}
