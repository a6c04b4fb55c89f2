//! `Issuer`: the authority while it runs: lets nodes in, issues what they may have, tells the roots.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use super::audit::Refused;
use super::ca::{Ca, CaError, Files, Lives};
use super::csr;
use super::grant::{self, Placement};
use super::ledger::{self, Join, Ledger};
use super::message::{
    self, BundleRequest, IssueRequest, Issued, JoinRequest, RecoverRequest, Roots,
};
use super::rotation::{self, Patience};
use crate::net::live::Live;
use crate::tls::spiffe::Id;

/// How long after its end the key of a node's certificate still proves who the node is, in seconds: a node that was without
/// an authority for long comes back by itself.
const RECOVERABLE: u64 = 30 * 24 * 3600;

/// The authority while it runs. Its files may be changed by commands; [`Issuer::refresh`] takes that over.
pub(super) struct Issuer {
    directory: PathBuf,
    lives: Lives,
    placement: Arc<dyn Placement>,
    current: Live<Current>,
}

struct Current {
    ca: Ca,
    roots: Roots,
    /// When the files were written that this was read from.
    read: [Option<SystemTime>; 3],
}

impl Issuer {
    /// Opens the authority in `directory`.
    pub(super) fn open(
        directory: &Path,
        lives: Lives,
        placement: Arc<dyn Placement>,
    ) -> Result<Self, CaError> {
        let current = match Current::read(directory) {
            // The key of the intermediate may be that of another one, if its renewal was stopped half-way.
            Err(CaError::File { .. }) if Files::new(directory).root.key.exists() => {
                Ca::sign_intermediate(&Files::new(directory), lives)?;
                Current::read(directory)?
            }
            other => other?,
        };
        let current = Live::new(Arc::new(current));
        Ok(Self { directory: directory.to_owned(), lives, placement, current })
    }

    pub(super) fn trust_domain(&self) -> String {
        self.current.load().ca.trust_domain().to_owned()
    }

    /// The roots that are believed now.
    pub(super) fn roots(&self) -> Roots {
        self.current.load().roots.clone()
    }

    /// The root that signs now.
    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.current.load().ca.root().clone()
    }

    /// Takes over what commands have changed, renews the intermediate at half its life and ends a rotation that is due.
    /// `believe` is told the roots before anything is signed by a new one. Whether something is new.
    pub(super) fn refresh(&self, believe: impl FnOnce(&Roots)) -> Result<bool, CaError> {
        let files = Files::new(&self.directory);
        if self.current.load().ca.wants_renewal(SystemTime::now()) && files.root.key.exists() {
            let _lock = ledger::lock(&self.directory)?;
            Ca::sign_intermediate(&files, self.lives)?;
            tracing::info!("the authority has a new intermediate certificate");
        }
        let rotation = Ledger::read(&self.directory)?.rotation;
        if rotation.is_some_and(|it| it.until != 0 && it.until <= ledger::now()) {
            rotation::advance(&self.directory, self.lives, Patience::Waits)?;
        }
        if self.current.load().read == written(&files) {
            return Ok(false);
        }
        let current = {
            let _lock = ledger::lock(&self.directory)?;
            Current::read(&self.directory)?
        };
        believe(&current.roots);
        self.current.store(Arc::new(current));
        Ok(true)
    }

    /// Signs for this process, which may have anything.
    pub(super) fn sign(&self, id: &Id, request: &[u8]) -> Result<Issued, Refused> {
        let key = csr::public_key(request).map_err(Refused::BadRequest)?;
        let current = self.current.load();
        let chain = current.ca.issue(id, &key, self.lives.leaf)?;
        Ok(Issued { chain: message::packed(&chain), bundle: current.roots.clone() })
    }

    /// Lets a node in.
    pub(super) fn join(&self, asked: &JoinRequest) -> Result<Issued, Refused> {
        let id = self.node(&asked.node)?;
        let request = &asked.request.0;
        let key = csr::public_key(request).map_err(Refused::BadRequest)?;
        let key = csr::fingerprint(&key);
        let until = self.until();
        Ledger::change(&self.directory, |ledger| {
            ledger.join(&Join {
                token: &asked.token,
                node: &asked.node,
                request,
                proof: &asked.proof.0,
                key: &key,
            })?;
            let issued = self.sign(&id, request)?;
            ledger.issued(&asked.node, until, Some(&key));
            tracing::info!(audit = true, node = %asked.node, "a node has joined");
            Ok(issued)
        })
    }

    /// Gives a node whose certificate has ended another one, for the same key.
    pub(super) fn recover(&self, asked: &RecoverRequest) -> Result<Issued, Refused> {
        let id = self.node(&asked.node)?;
        let key = csr::public_key(&asked.request.0).map_err(Refused::BadRequest)?;
        let key = csr::fingerprint(&key);
        let until = self.until();
        Ledger::change(&self.directory, |ledger| {
            let node = ledger.nodes.get(&asked.node).ok_or(Refused::UnknownNode)?;
            if node.key != key || node.issued_until + RECOVERABLE < ledger::now() {
                return Err(Refused::UnknownNode);
            }
            let issued = self.sign(&id, &asked.request.0)?;
            ledger.issued(&asked.node, until, Some(&key));
            tracing::info!(audit = true, node = %asked.node, "a node has come back");
            Ok(issued)
        })
    }

    /// Issues what `node` asks for, if it may have it.
    pub(super) fn issue(&self, node: &str, asked: &IssueRequest) -> Result<Issued, Refused> {
        let known = Ledger::read(&self.directory)?;
        let known = known.nodes.get(node).ok_or(Refused::UnknownNode)?;
        grant::check(node, &known.allow, &asked.id, &*self.placement)?;
        let issued = self.sign(&asked.id, &asked.request.0)?;
        let key = csr::public_key(&asked.request.0).map_err(Refused::BadRequest)?;
        let key = csr::fingerprint(&key);
        let own = (asked.id.system_name("node") == Some(node)).then_some(&*key);
        let until = self.until();
        Ledger::change(&self.directory, |ledger| {
            ledger.issued(node, until, own);
            Ok::<(), CaError>(())
        })?;
        Ok(issued)
    }

    /// Tells the roots, and notes which ones `node` has.
    pub(super) fn bundle(&self, node: &str, asked: &BundleRequest) -> Result<Roots, Refused> {
        let known = Ledger::read(&self.directory)?;
        let acknowledged = known.nodes.get(node).ok_or(Refused::UnknownNode)?.acknowledged;
        if acknowledged != asked.acknowledged {
            Ledger::change(&self.directory, |ledger| {
                if let Some(node) = ledger.nodes.get_mut(node) {
                    node.acknowledged = asked.acknowledged.min(ledger.bundle_version);
                }
                Ok::<(), CaError>(())
            })?;
        }
        Ok(self.roots())
    }

    fn node(&self, name: &str) -> Result<Id, Refused> {
        let id = Id::node(self.current.load().ca.trust_domain(), name);
        id.map_err(|error| Refused::BadRequest(error.to_string()))
    }

    /// When what is issued now ends at the latest.
    fn until(&self) -> SystemTime {
        SystemTime::now() + self.lives.leaf
    }
}

impl Current {
    fn read(directory: &Path) -> Result<Self, CaError> {
        let read = written(&Files::new(directory));
        let ca = Ca::open(directory)?;
        let roots = Roots {
            version: Ledger::read(directory)?.bundle_version,
            trust_domain: ca.trust_domain().to_owned(),
            roots: message::packed(&rotation::roots(directory)?),
        };
        Ok(Self { ca, roots, read })
    }
}

/// When the files were written that say who signs and who is believed.
fn written(files: &Files) -> [Option<SystemTime>; 3] {
    [&files.intermediate.certificate, &files.next.certificate, &files.retired]
        .map(|path| std::fs::metadata(path).and_then(|it| it.modified()).ok())
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("directory", &self.directory).finish_non_exhaustive()
    }
}
