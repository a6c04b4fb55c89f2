//! `Ledger`: what the authority remembers: tokens, nodes and what they were granted, and how far a rotation is.
//!
//! A file, changed under a lock as a whole, since commands and the running gateway both write it. It is small: tokens lapse,
//! and each node had one.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use portcullis_config::units::Secret;
use serde::{Deserialize, Serialize};

use super::audit::Refused;
use super::ca::{CaError, write};
use super::pattern::Pattern;
use super::rotation::Rotation;
use super::token::Invitation;

/// What the authority remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// Tokens that may still be used, by id.
    tokens: BTreeMap<String, Invited>,
    /// The nodes that joined, by name.
    pub(super) nodes: BTreeMap<String, Node>,
    /// Counts the bundles.
    pub(super) bundle_version: u64,
    /// The rotation of the root that is under way.
    pub(super) rotation: Option<Rotation>,
}

/// What is kept of a token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invited {
    node: String,
    allow: Vec<Pattern>,
    /// In hexadecimal.
    key: Secret,
    /// Seconds since 1970.
    expires: u64,
    /// The key that used it: SHA-256 in hexadecimal.
    #[serde(default)]
    used_by: Option<String>,
}

/// A node that joined.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    /// What it was granted.
    pub(super) allow: Vec<Pattern>,
    /// The key of its newest certificate of its own: SHA-256 in hexadecimal.
    pub(super) key: String,
    /// When the last of its certificates ends, in seconds since 1970.
    pub(super) issued_until: u64,
    /// The version of the bundle that it said it has.
    pub(super) acknowledged: u64,
}

impl Ledger {
    /// Reads the ledger in `directory`; an empty one if there is none.
    pub fn read(directory: &Path) -> Result<Self, CaError> {
        let path = file(directory);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| CaError::File {
                path,
                reason: format!("it is not understood and is left as it is: {error}"),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(CaError::File { path, reason: error.to_string() }),
        }
    }

    /// Changes the ledger in `directory`, one after the other. Nothing is written if `change` gives an error.
    pub fn change<T, E: From<CaError>>(
        directory: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = lock(directory)?;
        let mut ledger = Self::read(directory)?;
        let now = now();
        ledger.tokens.retain(|_, token| token.expires + KEPT > now);
        let outcome = change(&mut ledger)?;
        let text = serde_json::to_string_pretty(&ledger.shown()).expect("it is plain data");
        write(&file(directory), &text)?;
        Ok(outcome)
    }

    /// Takes a new token for `node`.
    pub fn invite(
        &mut self,
        invitation: &Invitation,
        node: &str,
        allow: Vec<Pattern>,
        life: Duration,
    ) {
        let key = Secret(crate::tls::hexadecimal(&invitation.key));
        let expires = now() + life.as_secs();
        let invited = Invited { node: node.to_owned(), allow, key, expires, used_by: None };
        self.tokens.insert(invitation.id.clone(), invited);
    }

    /// Lets a node in by its token. The first key that comes with a token is the only one ever: that one may come again,
    /// since an answer can be lost.
    pub(super) fn join(&mut self, asked: &Join<'_>) -> Result<(), Refused> {
        let token = self.tokens.get_mut(asked.token).ok_or(Refused::UnknownToken)?;
        let invitation = Invitation {
            id: asked.token.to_owned(),
            key: unhexadecimal(&token.key.0).ok_or(Refused::UnknownToken)?,
        };
        if !invitation.accepts(asked.node, asked.request, asked.proof) {
            return Err(Refused::WrongProof);
        }
        if token.expires <= now() {
            return Err(Refused::TokenExpired);
        }
        if token.node != asked.node {
            return Err(Refused::WrongNode { invited: token.node.clone() });
        }
        let first = token.used_by.get_or_insert_with(|| asked.key.to_owned());
        if first.as_str() != asked.key {
            return Err(Refused::TokenUsed);
        }
        let allow = token.allow.clone();
        let node = self.nodes.entry(asked.node.to_owned());
        node.or_default().allow = allow;
        Ok(())
    }

    /// Notes that `node` was issued a certificate that ends at `until`; `key` is that of a certificate of its own.
    pub(super) fn issued(&mut self, node: &str, until: SystemTime, key: Option<&str>) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.issued_until = node.issued_until.max(seconds(until));
            node.key = key.map_or_else(|| std::mem::take(&mut node.key), str::to_owned);
        }
    }

    /// The nodes that hold a certificate and have not said that they have the newest bundle.
    pub(super) fn behind(&self) -> Vec<&str> {
        let now = now();
        let behind =
            |node: &Node| node.issued_until > now && node.acknowledged < self.bundle_version;
        let nodes = self.nodes.iter().filter(|(_, node)| behind(node));
        nodes.map(|(name, _)| name.as_str()).collect()
    }

    /// The same with its secrets: `Secret` shows none where it is written.
    fn shown(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("it is plain data");
        for (id, token) in &self.tokens {
            value["tokens"][id]["key"] = token.key.0.as_str().into();
        }
        value
    }
}

/// How long a lapsed token is remembered, in seconds, so that whoever comes late is told so.
const KEPT: u64 = 24 * 3600;

/// Who wants to join, with what.
pub(super) struct Join<'a> {
    pub(super) token: &'a str,
    pub(super) node: &'a str,
    pub(super) request: &'a [u8],
    pub(super) proof: &'a [u8],
    /// The fingerprint of the request's key.
    pub(super) key: &'a str,
}

fn file(directory: &Path) -> PathBuf {
    directory.join("ledger.json")
}

/// Held until it is dropped. Two processes may want it, for moments.
pub(super) fn lock(directory: &Path) -> Result<Flock<fs::File>, CaError> {
    let path = directory.join("ledger.lock");
    let about = |reason: String| CaError::File { path: path.clone(), reason };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|error| about(error.to_string()))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| about(error.to_string()))
}

fn unhexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = digits(at)?;
    }
    (text.len() == 64).then_some(bytes)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    seconds(SystemTime::now())
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
