//! Users as they are written and as they are checked.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ahash::HashMap;
use aws_lc_rs::{hmac, rand::SystemRandom};
use http::HeaderValue;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::build::Defect;
use crate::password::{Cost, PasswordHash};

/// A user, `name:hash`. Only the name is ever shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct User(String);

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(':') {
            Some((name, _)) => write!(f, "{name}:REDACTED"),
            None => f.write_str("REDACTED"),
        }
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// A user who can be checked.
pub(super) struct Account {
    pub(super) name: Box<str>,
    /// The name as a header value, if it fits.
    pub(super) header: Option<HeaderValue>,
    /// None where its form is unknown: no password matches.
    pub(super) hash: Option<PasswordHash>,
    /// The password that matched last.
    verified: Mutex<Option<Verified>>,
}

/// What stands for a password in memory: a keyed digest whose key is made new at each start, so that a look at
/// memory gives nothing to guess at later.
pub(super) type Digest = [u8; 32];

struct Verified {
    digest: Digest,
    at: Instant,
}

/// How long a password that matched is remembered.
const REMEMBERED: Duration = Duration::from_mins(10);

impl Account {
    fn new(name: &str, hash: &str) -> Self {
        Self {
            name: name.into(),
            header: HeaderValue::from_bytes(name.as_bytes()).ok(),
            hash: PasswordHash::parse(hash),
            verified: Mutex::default(),
        }
    }

    /// What checking a password costs.
    pub(super) fn cost(&self) -> Cost {
        self.hash.as_ref().map_or(Cost::Low, PasswordHash::cost)
    }

    /// Whether `password` is the one.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        self.hash.as_ref().is_some_and(|hash| hash.matches(password))
    }

    /// What stands for `password` in memory. The name goes in with its length, so that no two pairs of name and
    /// password are the same text.
    pub(super) fn digest(&self, password: &[u8]) -> Digest {
        static KEY: LazyLock<hmac::Key> = LazyLock::new(|| {
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
                .expect("the system gives random bytes")
        });
        let mut context = hmac::Context::with_key(&KEY);
        context.update(&(self.name.len() as u64).to_be_bytes());
        context.update(self.name.as_bytes());
        context.update(password);
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether the password with this digest matched lately.
    pub(super) fn remembers(&self, digest: &Digest) -> bool {
        self.verified.lock().as_ref().is_some_and(|verified| {
            verified.at.elapsed() < REMEMBERED && bool::from(verified.digest.ct_eq(digest))
        })
    }

    /// Remembers the password with this digest in place of another.
    pub(super) fn remember(&self, digest: Digest) {
        *self.verified.lock() = Some(Verified { digest, at: Instant::now() });
    }
}

/// Reads the accounts of a file and of `users`, which win.
pub(super) fn read(
    file: &str,
    users: &[User],
) -> Result<HashMap<Box<str>, Arc<Account>>, Defect> {
    let text = match file {
        "" => String::new(),
        path => std::fs::read_to_string(path)
            .map_err(|error| format!("usersFile: `{path}` cannot be read: {error}"))?,
    };
    let mut accounts = HashMap::default();
    let lines = text.lines().map(str::trim).enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let account = account(line)
            .ok_or_else(|| format!("usersFile: line {} is not `name:hash`", index + 1))?;
        accounts.insert(account.name.clone(), Arc::new(account));
    }
    for (index, user) in users.iter().enumerate() {
        let account =
            account(&user.0).ok_or_else(|| format!("users[{index}]: expected `name:hash`"))?;
        accounts.insert(account.name.clone(), Arc::new(account));
    }
    if accounts.is_empty() {
        return Err("users: at least one user is needed, here or in usersFile".into());
    }
    Ok(accounts)
}

fn account(line: &str) -> Option<Account> {
    let (name, hash) = line.split_once(':')?;
    (!hash.contains(':')).then(|| Account::new(name, hash))
}
