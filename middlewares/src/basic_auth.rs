//! `basicAuth` asks for a user name and a password.

mod account;

use std::sync::Arc;

use ahash::{HashMap, RandomState};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portcullis_config::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::account::{Account, Digest};
use crate::build::{Build, Defect, Settings, is_default};
use crate::chain::{Filter, Flow, Later, Next, Step, Wrap};
use crate::exchange::Exchange;
use crate::message::{Body, Request, Response};
use crate::offload::{self, Lane, Overloaded};
use crate::password::Cost;

pub use self::account::User;

/// Lets only requests through that carry the name and password of a known user; others are asked for them (401).
///
/// Passwords are given as hashes, as `htpasswd -nB name` prints them: bcrypt, MD5 (`$apr1$`) or SHA-1 (`{SHA}`). In
/// Docker Compose each `$` is written twice.
///
/// A slow hash is computed once for each user and remembered in memory for ten minutes. At most half of the
/// processors compute hashes; when too many requests wait for that, further ones get 503.
///
/// ```yaml
/// http:
///   middlewares:
///     login:
///       basicAuth:
///         users:
///           - "anna:$2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
///         headerField: X-Web-User
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuth {
    /// Users, `name:hash`. The API shows their names only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// A file with a user in each line; empty lines and lines that begin with `#` do not count. A user in `users`
    /// wins over one in the file. The file is read again each time a configuration
    /// is applied.
    #[serde(skip_serializing_if = "is_default")]
    pub users_file: String,
    /// The name of what is protected, which browsers show; `traefik` if unset.
    #[serde(skip_serializing_if = "is_default")]
    pub realm: String,
    /// Whether the name and password are kept from the server.
    #[serde(skip_serializing_if = "is_default")]
    pub remove_header: bool,
    /// The request header that tells the server the name of the user. What a client sends in this header, in any
    /// spelling that a server might take for it, is removed.
    #[serde(skip_serializing_if = "is_default")]
    pub header_field: String,
}

impl Settings for BasicAuth {
    const KIND: &'static str = "basicAuth";

    /// The file may change though its path stays.
    fn keeps_steps(settings: &Tree) -> bool {
        settings.child("usersFile").is_none()
    }

    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let accounts = account::read(&self.users_file, &self.users)?;
        for account in accounts.values().filter(|account| account.hash.is_none()) {
            let (middleware, user) = (build.name(), &*account.name);
            tracing::warn!(%middleware, user, "the password hash of this user has an unknown form");
        }
        let identity = match self.header_field.as_str() {
            "" => None,
            text => Some(text.parse::<HeaderName>().map_err(|_| {
                format!("headerField: `{text}` is not a header name")
            })?),
        };
        if identity.is_some()
            && let Some(account) = accounts.values().find(|account| account.header.is_none())
        {
            return Err(format!("headerField: user `{}` fits in no header", account.name).into());
        }
        let sent = if self.remove_header { Credentials::Removed } else { Credentials::Kept };
        let door = Door {
            decoys: accounts.values().filter(|account| account.hash.is_some()).cloned().collect(),
            accounts,
            choice: RandomState::new(),
            challenge: challenge(&self.realm)?,
            identity,
            sent,
            lane: offload::process(),
        };
        let quick = door.decoys.iter().all(|account| account.cost() == Cost::Low);
        Ok(vec![if quick { Step::filter(Quick(door)) } else { Step::wrap(door) }])
    }
}

/// Traefik: puts the realm between quotes as it stands; here quotes inside it are escaped.
fn challenge(realm: &str) -> Result<HeaderValue, Defect> {
    let realm = if realm.is_empty() { "traefik" } else { realm };
    let escaped = realm.replace('\\', r"\\").replace('"', "\\\"");
    HeaderValue::try_from(format!("Basic realm=\"{escaped}\""))
        .map_err(|_| "realm: contains characters that fit in no header".into())
}

/// Checks users.
struct Door {
    accounts: HashMap<Box<str>, Arc<Account>>,
    /// What an unknown user's password is compared with, so that it takes as long as with a known one.
    decoys: Vec<Arc<Account>>,
    choice: RandomState,
    challenge: HeaderValue,
    identity: Option<HeaderName>,
    sent: Credentials,
    lane: &'static Lane,
}

/// Whether servers see the name and password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Kept,
    Removed,
}

/// What a look at a request's credentials says.
enum Verdict<'a> {
    Welcome(&'a Account),
    Refused,
    /// A slow hash has to be computed.
    Open(Check),
}

/// A slow comparison.
struct Check {
    account: Arc<Account>,
    /// Whether the account is that of the user or stands in for one that does not exist.
    role: Role,
    password: Box<[u8]>,
    digest: Digest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Decoy,
}

/// Longer names with passwords are refused unread: hashing them would cost too much. In bytes.
const MOST_CREDENTIALS: usize = 1024;

impl Door {
    fn look(&self, request: &Request, exchange: &Exchange) -> Verdict<'_> {
        let Some(decoded) = credentials(&request.headers) else { return Verdict::Refused };
        let Some(colon) = memchr::memchr(b':', &decoded) else { return Verdict::Refused };
        let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
        exchange.note(|facts| facts.user = Some(String::from_utf8_lossy(user).into()));
        let Some((account, role)) = self.account(user) else { return Verdict::Refused };
        if account.cost() == Cost::Low {
            return match (account.matches(password), role) {
                (true, Role::User) => Verdict::Welcome(account),
                _ => Verdict::Refused,
            };
        }
        let digest = account.digest(password);
        if role == Role::User && account.remembers(&digest) {
            return Verdict::Welcome(account);
        }
        let (account, password) = (Arc::clone(account), password.into());
        Verdict::Open(Check { account, role, password, digest })
    }

    /// The account of `user`, or that which stands in. One name always meets the same decoy, and decoys are chosen
    /// among all accounts: whether a name exists cannot be told by time.
    fn account(&self, user: &[u8]) -> Option<(&Arc<Account>, Role)> {
        let known = std::str::from_utf8(user).ok().and_then(|name| self.accounts.get(name));
        if let Some(account) = known.filter(|account| account.hash.is_some()) {
            return Some((account, Role::User));
        }
        let place = self.choice.hash_one(user) as usize % self.decoys.len().max(1);
        self.decoys.get(place).map(|account| (account, Role::Decoy))
    }

    fn admit(&self, request: &mut Request, account: &Account) {
        if let Some((identity, user)) = self.identity.as_ref().zip(account.header.as_ref()) {
            remove_twins(&mut request.headers, identity);
            request.headers.insert(identity, user.clone());
        }
        if self.sent == Credentials::Removed {
            request.headers.remove(AUTHORIZATION);
        }
    }

    fn refusal(&self) -> Response {
        Response::new(StatusCode::UNAUTHORIZED, Body::from("401 Unauthorized\n"))
            .with(CONTENT_TYPE, HeaderValue::from_static("text/plain"))
            .with(WWW_AUTHENTICATE, self.challenge.clone())
    }

    async fn decide(&self, check: Check, mut request: Request, next: Next<'_>) -> Response {
        let account = Arc::clone(&check.account);
        match self.lane.run(move || check.passes()).await {
            Ok(true) => {
                self.admit(&mut request, &account);
                next.run(request).await
            }
            Ok(false) => self.refusal(),
            Err(Overloaded) => overloaded(),
        }
    }
}

impl Check {
    fn passes(self) -> bool {
        // Somebody before us in the queue may have shown the same password.
        if self.role == Role::User && self.account.remembers(&self.digest) {
            return true;
        }
        let matches = self.account.matches(&self.password);
        if !matches || self.role == Role::Decoy {
            return false;
        }
        self.account.remember(self.digest);
        true
    }
}

fn overloaded() -> Response {
    Response::bare(StatusCode::SERVICE_UNAVAILABLE).with(RETRY_AFTER, 1.into())
}

/// The decoded `name:password` of the first `Authorization` header.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(6)?;
    let basic = scheme.eq_ignore_ascii_case(b"basic ");
    if !basic || encoded.len() > MOST_CREDENTIALS.div_ceil(3) * 4 {
        return None;
    }
    STANDARD.decode(encoded).ok()
}

/// Removes headers that a server might take for `name`, since many write `-` and `_` alike.
fn remove_twins(headers: &mut HeaderMap, name: &HeaderName) {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let same = |other: &HeaderName| {
        other.as_str().len() == name.as_str().len()
            && other.as_str().bytes().map(plain).eq(name.as_str().bytes().map(plain))
    };
    let twins: SmallVec<[HeaderName; 2]> =
        headers.keys().filter(|other| same(other)).cloned().collect();
    for twin in twins {
        headers.remove(twin);
    }
}

impl Wrap for Door {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Later<'a, Response> {
        match self.look(&request, next.exchange()) {
            Verdict::Welcome(account) => {
                self.admit(&mut request, account);
                next.run(request)
            }
            Verdict::Refused => Box::pin(std::future::ready(self.refusal())),
            Verdict::Open(check) => Box::pin(self.decide(check, request, next)),
        }
    }
}

/// A door whose hashes are all quick.
struct Quick(Door);

impl Filter for Quick {
    fn request(&self, request: &mut Request, exchange: &Exchange) -> Flow {
        match self.0.look(request, exchange) {
            Verdict::Welcome(account) => {
                self.0.admit(request, account);
                Flow::Next
            }
            Verdict::Refused | Verdict::Open(_) => Flow::Stop(Box::new(self.0.refusal())),
        }
    }
}

#[cfg(test)]
mod tests;
