//! What a process was issued, with the keys, in a file: a restart needs no authority.

use std::collections::BTreeMap;
use std::path::PathBuf;

use parking_lot::Mutex;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::message::{self, Binary, Roots};
use crate::tls::spiffe::{Bundle, Holder, Id, Svid};

/// A file with identities, readable by its owner alone. Best on a file system in memory.
pub(super) struct Cache {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    bundle: Option<Roots>,
    identities: BTreeMap<Id, Identity>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Identity {
    chain: Vec<Binary>,
    /// In PEM.
    key: String,
}

impl Cache {
    /// Reads the file; what it holds and is not understood is as good as nothing.
    pub(super) fn open(path: PathBuf) -> Self {
        let kept = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "kept identities are not understood");
                Kept::default()
            }),
            Err(_) => Kept::default(),
        };
        Self { path, kept: Mutex::new(kept) }
    }

    /// Gives `holder` what is kept and still valid: the roots and identities of `trust_domain`.
    pub(super) fn restore(&self, trust_domain: &str, holder: &Holder) {
        let kept = self.kept.lock();
        let Some(roots) = kept.bundle.as_ref().filter(|it| it.trust_domain == trust_domain) else {
            return;
        };
        match bundle(roots) {
            Ok(bundle) => holder.set_bundle(bundle),
            Err(error) => return tracing::warn!(%error, "the kept roots are not usable"),
        }
        for (id, identity) in
            kept.identities.iter().filter(|it| it.0.trust_domain() == trust_domain)
        {
            match svid(identity.chain.clone(), &identity.key) {
                Ok(svid) if svid.is_valid(std::time::SystemTime::now()) => holder.put(svid),
                Ok(_) => tracing::warn!(%id, "the kept identity has expired"),
                Err(error) => tracing::warn!(%id, %error, "the kept identity is not usable"),
            }
        }
    }

    /// The key of `id` in PEM, also when its certificate has ended.
    pub(super) fn key(&self, id: &Id) -> Option<String> {
        self.kept.lock().identities.get(id).map(|it| it.key.clone())
    }

    /// The version of the roots that are kept.
    pub(super) fn bundle_version(&self) -> u64 {
        self.kept.lock().bundle.as_ref().map_or(0, |it| it.version)
    }

    /// Keeps an identity.
    pub(super) fn put(&self, id: &Id, chain: &[Binary], key: &str) {
        let identity = Identity { chain: chain.to_vec(), key: key.to_owned() };
        self.change(|kept| drop(kept.identities.insert(id.clone(), identity)));
    }

    /// Forgets one.
    pub(super) fn remove(&self, id: &Id) {
        self.change(|kept| drop(kept.identities.remove(id)));
    }

    /// Keeps the roots.
    pub(super) fn set_bundle(&self, roots: &Roots) {
        if self.kept.lock().bundle.as_ref() != Some(roots) {
            self.change(|kept| kept.bundle = Some(roots.clone()));
        }
    }

    /// A disk that is full costs the next restart, not this process.
    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.lock();
        change(&mut kept);
        let text = serde_json::to_vec(&*kept).expect("it is plain data");
        if let Err(error) = crate::tls::replace_file(&self.path, &text) {
            let path = self.path.display();
            tracing::error!(%path, %error, "identities cannot be kept; a restart will need the authority");
        }
    }
}

/// The roots as handshakes want them.
pub(super) fn bundle(roots: &Roots) -> Result<Bundle, String> {
    Bundle::of(&roots.trust_domain, message::unpacked(roots.roots.clone()))
}

/// An identity from what was issued and its key in PEM.
pub(super) fn svid(chain: Vec<Binary>, key: &str) -> Result<Svid, String> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "the key is not valid PEM".to_owned())?;
    Svid::new(message::unpacked(chain), key)
}
