//! The files of an authority: certificates and keys in PEM, readable by their owner alone.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::CaError;

/// Where an authority keeps what it has.
#[derive(Clone, Debug)]
pub(in crate::mesh::authority) struct Files {
    pub(in crate::mesh::authority) directory: PathBuf,
    /// The root that vouches for the intermediate.
    pub(in crate::mesh::authority) root: Pair,
    /// What signs leaves.
    pub(in crate::mesh::authority) intermediate: Pair,
    /// The root that is to come, during a rotation.
    pub(in crate::mesh::authority) next: Pair,
    /// Roots that are believed beside the one above, during a rotation.
    pub(in crate::mesh::authority) retired: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(in crate::mesh::authority) struct Pair {
    pub(in crate::mesh::authority) certificate: PathBuf,
    pub(in crate::mesh::authority) key: PathBuf,
}

impl Files {
    pub(in crate::mesh::authority) fn new(directory: &Path) -> Self {
        let pair = |name: &str| Pair {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        Self {
            directory: directory.to_owned(),
            root: pair("root"),
            intermediate: pair("intermediate"),
            next: pair("next-root"),
            retired: directory.join("retired-root.pem"),
        }
    }

    pub(super) fn make_directory(&self) -> Result<(), CaError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| file(&self.directory, error))
    }
}

impl Pair {
    pub(in crate::mesh::authority) fn certificate(
        &self,
    ) -> Result<CertificateDer<'static>, CaError> {
        let certificates = certificates(&self.certificate)?;
        certificates.into_iter().next().ok_or_else(|| file(&self.certificate, "it is empty"))
    }

    /// Refuses a key that others may read.
    pub(in crate::mesh::authority) fn key_pair(&self) -> Result<KeyPair, CaError> {
        let about = |error: &dyn std::fmt::Display| file(&self.key, error);
        let mode = fs::metadata(&self.key).map_err(|error| about(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(about(&format!("permissions {mode:o} are too open; expected 600")));
        }
        let text = fs::read_to_string(&self.key).map_err(|error| about(&error))?;
        KeyPair::from_pem(&text).map_err(|error| about(&error))
    }

    /// The key is written first: a certificate without its key would look like an authority that is complete.
    pub(super) fn write(&self, certificate: &str, key: &KeyPair) -> Result<(), CaError> {
        write(&self.key, &key.serialize_pem())?;
        write(&self.certificate, certificate)
    }

    pub(in crate::mesh::authority) fn rename_to(&self, other: &Self) -> Result<(), CaError> {
        let rename =
            |from: &Path, to: &Path| fs::rename(from, to).map_err(|error| file(from, error));
        // What a stop in the middle left is completed.
        if self.key.exists() {
            rename(&self.key, &other.key)?;
        }
        rename(&self.certificate, &other.certificate)
    }
}

/// Replaces a file as a whole, readable by its owner alone.
pub(in crate::mesh::authority) fn write(path: &Path, text: &str) -> Result<(), CaError> {
    crate::tls::replace_file(path, text.as_bytes()).map_err(|error| file(path, error))
}

/// The certificates in a file, in their order.
pub(in crate::mesh::authority) fn certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CaError> {
    let text = fs::read(path).map_err(|error| file(path, error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    certificates.map_err(|error| file(path, error))
}

fn file(path: &Path, reason: impl std::fmt::Display) -> CaError {
    CaError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn parse<'a>(path: &Path, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CaError> {
    X509Certificate::from_der(der).map(|it| it.1).map_err(|error| file(path, error))
}

/// The trust domain that an authority's certificate names.
pub(super) fn trust_domain(path: &Path, der: &CertificateDer<'_>) -> Result<String, CaError> {
    let certificate = parse(path, der)?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|it| it.value.general_names.as_slice()).unwrap_or_default();
    let found = names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://"),
        _ => None,
    });
    found.map(str::to_owned).ok_or_else(|| file(path, "it names no trust domain"))
}

/// Checks that `key`, from `path`, is that of the certificate.
pub(super) fn check_key(
    path: &Path,
    der: &CertificateDer<'_>,
    key: &KeyPair,
) -> Result<(), CaError> {
    let certificate = parse(path, der)?;
    let fits = *certificate.public_key().subject_public_key.data == *key.public_key_raw();
    fits.then_some(()).ok_or_else(|| file(path, "it is not the key of the certificate"))
}

/// Begin and end of a certificate.
pub(super) fn life(
    path: &Path,
    der: &CertificateDer<'_>,
) -> Result<(SystemTime, SystemTime), CaError> {
    let certificate = parse(path, der)?;
    let moment =
        |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let validity = certificate.validity();
    Ok((moment(validity.not_before.timestamp()), moment(validity.not_after.timestamp())))
}
