//! Proofs that an authority asks for: files over HTTP (RFC 8555 section 8.3) and certificates over TLS (RFC 8737).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::sync::Semaphore;

use super::storage::Storage;
use crate::net::live::Live;
use crate::net::task;

/// The protocol by which the authority asks for certificates.
pub(in crate::tls) const ALPN: &[u8] = b"acme-tls/1";

/// Look-ups of other instances' proofs at the same time; clients that ask for nonsense get no more.
const LOOK_UPS: usize = 4;

/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tokens are 128 bits or more in base64 (RFC 8555 section 8.1); nothing longer than this is looked up.
const LONGEST_TOKEN: usize = 128;

/// The proofs that are asked for at the moment. Requests and handshakes look here before anything else does.
pub struct Challenges {
    pending: Live<Pending>,
    changing: Mutex<()>,
    storages: Live<Vec<Arc<dyn Storage>>>,
    looking: Arc<Semaphore>,
}

#[derive(Clone, Default)]
struct Pending {
    tokens: HashMap<Box<str>, Arc<str>>,
    names: HashMap<Box<str>, Arc<ServerConfig>>,
}

impl Challenges {
    /// Where authorities ask for files.
    pub const PREFIX: &str = "/.well-known/acme-challenge/";

    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            pending: Live::new(Arc::default()),
            changing: Mutex::new(()),
            storages: Live::new(Arc::default()),
            looking: Arc::new(Semaphore::new(LOOK_UPS)),
        })
    }

    /// Looks for the proofs of other instances in these from now on.
    pub(super) fn look_in(&self, storages: Vec<Arc<dyn Storage>>) {
        self.storages.store(Arc::new(storages));
    }

    /// The answer to a request for `path`, if it is one for a known proof.
    pub async fn file(&self, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(Self::PREFIX)?;
        if let Some(found) = self.pending.with(|pending| pending.tokens.get(token).cloned()) {
            return Some(found);
        }
        let is_token = (1..=LONGEST_TOKEN).contains(&token.len())
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_token {
            return None;
        }
        self.elsewhere(file_key(token)).await.map(Into::into)
    }

    /// The TLS configuration that proves control of `name` (canonical), if somebody waits for that.
    pub(in crate::tls) async fn certificate(&self, name: &str) -> Option<Arc<ServerConfig>> {
        if let Some(found) = self.pending.with(|pending| pending.names.get(name).cloned()) {
            return Some(found);
        }
        let digest = self.elsewhere(certificate_key(name)).await?;
        proving(name, &undigested(&digest)?).ok()
    }

    /// A proof of another instance that shares a storage with this one.
    async fn elsewhere(&self, key: String) -> Option<String> {
        let storages = self.storages.load();
        if storages.is_empty() {
            return None;
        }
        let permit = Arc::clone(&self.looking).try_acquire_owned().ok()?;
        let look_up = task::spawn_control(async move {
            let _permit = permit;
            for storage in storages.iter() {
                if let Ok(Some(found)) = tokio::time::timeout(PATIENCE, storage.proof(&key)).await {
                    return Some(found);
                }
            }
            None
        });
        look_up.await.ok().flatten()
    }

    /// Answers requests for `token` until the guard is dropped.
    pub(super) fn show_file(self: &Arc<Self>, token: &str, proof: &str) -> Guard {
        self.change(|pending| {
            pending.tokens.insert(token.into(), proof.into());
        });
        Guard { challenges: Arc::clone(self), shown: What::Token(token.to_owned()) }
    }

    /// Proves control of `name` in handshakes until the guard is dropped.
    pub(super) fn show_certificate(
        self: &Arc<Self>,
        name: &str,
        digest: &[u8],
    ) -> Result<Guard, String> {
        let config = proving(name, digest)?;
        self.change(|pending| {
            pending.names.insert(name.into(), config);
        });
        Ok(Guard { challenges: Arc::clone(self), shown: What::Name(name.to_owned()) })
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        let _changing = self.changing.lock();
        let mut pending = Pending::clone(&self.pending.load());
        change(&mut pending);
        self.pending.store(Arc::new(pending));
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// Keeps a proof in place; dropping it takes the proof away.
#[derive(Debug)]
pub(super) struct Guard {
    challenges: Arc<Challenges>,
    shown: What,
}

#[derive(Debug)]
enum What {
    Token(String),
    Name(String),
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.challenges.change(|pending| match &self.shown {
            What::Token(token) => drop(pending.tokens.remove(token.as_str())),
            What::Name(name) => drop(pending.names.remove(name.as_str())),
        });
    }
}

/// Where the proof for a token stands in a shared storage.
pub(super) fn file_key(token: &str) -> String {
    format!("http/{token}")
}

/// Where the digest for a name stands in a shared storage.
pub(super) fn certificate_key(name: &str) -> String {
    format!("tls/{name}")
}

/// A digest as text.
pub(super) fn digested(digest: &[u8]) -> String {
    crate::tls::certificate::hexadecimal(digest)
}

fn undigested(text: &str) -> Option<Vec<u8>> {
    let digits = text.len() == 64 && text.is_ascii();
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    digits.then(|| (0..64).step_by(2).map(byte).collect())?
}

/// A configuration whose self-signed certificate holds `digest` (RFC 8737 section 3). It resumes nothing and speaks nothing
/// but the proof.
fn proving(name: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let failed = |error: rcgen::Error| format!("a proof cannot be made: {error}");
    let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = crate::tls::provider();
    let key = provider.key_provider.load_private_key(key.into());
    let key = key.map_err(|error| error.to_string())?;
    // Not checked against each other, which would refuse the extension that matters here.
    let pair = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::super::storage::file::FileStorage;
    use super::*;

    #[tokio::test]
    async fn only_known_tokens_are_answered_and_only_while_they_are_shown() {
        let challenges = Challenges::new();
        let guard = challenges.show_file("token", "token.thumb");
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(challenges.file(path).await.as_deref(), Some("token.thumb"));
        for other in
            ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/toke", "/token", "/"]
        {
            assert_eq!(challenges.file(other).await, None, "{other}");
        }
        drop(guard);
        assert_eq!(challenges.file(path).await, None);
    }

    #[tokio::test]
    async fn proofs_of_other_instances_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.json");
        let theirs = FileStorage::new(path.to_str().unwrap());
        let ours = Challenges::new();
        ours.look_in(vec![Arc::new(FileStorage::new(path.to_str().unwrap()))]);
        let minute = Duration::from_mins(1);
        assert_eq!(ours.file("/.well-known/acme-challenge/abc").await, None);
        theirs.announce(&file_key("abc"), "abc.thumb", minute).await.unwrap();
        assert_eq!(
            ours.file("/.well-known/acme-challenge/abc").await.as_deref(),
            Some("abc.thumb")
        );
        assert!(ours.certificate("a.test").await.is_none());
        theirs.announce(&certificate_key("a.test"), &digested(&[7; 32]), minute).await.unwrap();
        assert!(ours.certificate("a.test").await.is_some());
    }

    #[test]
    fn digests_survive_the_way_through_text() {
        assert_eq!(undigested(&digested(&[0xa5; 32])), Some(vec![0xa5; 32]));
        for bad in ["", "zz", &"g".repeat(64), &"\u{e9}".repeat(32)] {
            assert_eq!(undigested(bad), None, "{bad}");
        }
    }
}
