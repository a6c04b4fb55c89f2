//! `Ca`: the root, the intermediate that signs, and the certificates it signs.

mod files;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;

use crate::tls::spiffe::Id;

pub(super) use self::files::{Files, Pair, certificates, write};

/// Clocks differ: certificates begin so long before they are made.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// How long certificates live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Of the root.
    pub root: Duration,
    /// Of the intermediate.
    pub intermediate: Duration,
    /// Of a leaf, which never outlives the intermediate.
    pub leaf: Duration,
}

impl Default for Lives {
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(days * 24);
        Self { root: days(3650), intermediate: days(90), leaf: days(1) }
    }
}

/// Why the authority cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of it.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it; none of its content.
        reason: String,
    },
    /// There is one already.
    #[error("{} holds an authority already; nothing was changed", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("{} holds no authority; `portcullis ca init` makes one", .0.display())]
    Missing(PathBuf),
    /// The intermediate is over.
    #[error("the intermediate certificate has expired; the key of the root renews it")]
    Expired,
    /// A certificate cannot be made.
    #[error("the certificate cannot be made: {0}")]
    Make(String),
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error.to_string())
    }
}

/// The authority of one trust domain, as it stands in its folder.
pub struct Ca {
    trust_domain: String,
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    begins: SystemTime,
    ends: SystemTime,
}

impl Ca {
    /// Makes root and intermediate in `directory`, which is made, too.
    pub fn create(directory: &Path, trust_domain: &str, lives: Lives) -> Result<Self, CaError> {
        let files = Files::new(directory);
        if files.root.certificate.exists() || files.root.key.exists() {
            return Err(CaError::Exists(directory.to_owned()));
        }
        Id::parse(&format!("spiffe://{trust_domain}"))
            .map_err(|error| CaError::Make(error.to_string()))?;
        files.make_directory()?;
        make_root(&files.root, trust_domain, lives)?;
        Self::sign_intermediate(&files, lives)?;
        Self::open(directory)
    }

    /// Reads what [`Ca::create`] made. The root's key need not be there.
    pub fn open(directory: &Path) -> Result<Self, CaError> {
        let files = Files::new(directory);
        if !files.root.certificate.exists() {
            return Err(CaError::Missing(directory.to_owned()));
        }
        let (root, intermediate) = (files.root.certificate()?, files.intermediate.certificate()?);
        let trust_domain = files::trust_domain(&files.root.certificate, &root)?;
        let (begins, ends) = files::life(&files.intermediate.certificate, &intermediate)?;
        let key = files.intermediate.key_pair()?;
        files::check_key(&files.intermediate.key, &intermediate, &key)?;
        let issuer = Issuer::from_ca_cert_der(&intermediate, key)?;
        Ok(Self { trust_domain, root, intermediate, issuer, begins, ends })
    }

    /// Makes a new intermediate, which needs the root's key.
    pub(super) fn sign_intermediate(files: &Files, lives: Lives) -> Result<(), CaError> {
        let root = files.root.certificate()?;
        let trust_domain = files::trust_domain(&files.root.certificate, &root)?;
        let (_, ends) = files::life(&files.root.certificate, &root)?;
        let issuer = Issuer::from_ca_cert_der(&root, files.root.key_pair()?)?;
        let mut params = authority_params("intermediate", &trust_domain, lives.intermediate)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.not_after = params.not_after.min(ends.into());
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        files.intermediate.write(&certificate.pem(), &key)
    }

    /// Whether more than half of the intermediate's life is over at `now`.
    pub(super) fn wants_renewal(&self, now: SystemTime) -> bool {
        let life = self.ends.duration_since(self.begins + SKEW).unwrap_or_default();
        now > self.begins + SKEW + life / 2
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The root.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// What tokens name it by: SHA-256 of the root's certificate.
    pub fn pin(&self) -> [u8; 32] {
        super::token::pin(&self.root)
    }

    /// When the intermediate ends.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Issues a leaf for `id` and its key: the chain, leaf first, without the root.
    pub fn issue(
        &self,
        id: &Id,
        key: &impl PublicKeyData,
        life: Duration,
    ) -> Result<Vec<CertificateDer<'static>>, CaError> {
        let now = SystemTime::now();
        let ends = (now + life).min(self.ends);
        if ends <= now {
            return Err(CaError::Expired);
        }
        if id.trust_domain() != self.trust_domain {
            return Err(CaError::Make(format!("`{id}` is of another trust domain")));
        }
        let mut params = named("workload", id.as_str())?;
        params.not_before = (now - SKEW).into();
        params.not_after = ends.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(key, &self.issuer)?;
        Ok(vec![leaf.der().clone(), self.intermediate.clone()])
    }
}

/// Makes a root and writes it to `pair`.
pub(super) fn make_root(pair: &Pair, trust_domain: &str, lives: Lives) -> Result<(), CaError> {
    let mut params = authority_params("root", trust_domain, lives.root)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    pair.write(&certificate.pem(), &key)
}

fn authority_params(
    kind: &str,
    trust_domain: &str,
    life: Duration,
) -> Result<CertificateParams, CaError> {
    let mut params = named(kind, &format!("spiffe://{trust_domain}"))?;
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + life).into();
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A certificate with one URI and a subject that no other has: two roots of one trust domain must not be confused.
fn named(kind: &str, uri: &str) -> Result<CertificateParams, CaError> {
    let mut serial = [0; 16];
    let random = crate::tls::provider().secure_random;
    random
        .fill(&mut serial)
        .map_err(|_| CaError::Make("the system gives no random numbers".to_owned()))?;
    // Positive, and of full length (RFC 5280 section 4.1.2.2).
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Portcullis");
    let name = format!("{kind} {}", crate::tls::hexadecimal(&serial[..6]));
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}
