//! etcd by its JSON gateway, which every member has beside gRPC at the same address.
//!
//! The gateway is documented, has been the same since etcd 3.4 and needs no more than the client for authorities that is here
//! already. The crate `etcd-client` would bring tonic, prost and tower for the same few calls.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use parking_lot::Mutex;
use portcullis_config::units::Secret;
use serde_json::{Value, json};

use super::super::super::environment::Environment;
use super::super::super::https::{self, Clear, Https, Settings, System, in_full};
use super::EXPECTED;

/// How long one member may take; then the next one is asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where members listen.
const PORT: u16 = 2379;

/// The members of a cluster.
pub(super) struct Etcd {
    https: Https,
    members: Vec<String>,
    /// The one that answered last.
    member: AtomicUsize,
    user: Option<(String, Secret)>,
    /// What the cluster knows the user by for some minutes.
    token: Mutex<Option<HeaderValue>>,
}

/// A key with its value.
pub(super) struct Pair {
    pub(super) key: Vec<u8>,
    pub(super) value: String,
    /// Grows with each change of the key.
    pub(super) revision: String,
}

/// Part of what was asked for.
pub(super) struct Page {
    pub(super) pairs: Vec<Pair>,
    /// Whether there is more.
    pub(super) more: bool,
}

/// Why there is no answer.
enum Failure {
    /// Another member may have one.
    Member(String),
    /// The token is not known any more.
    Token,
    /// No member will have one.
    Request(String),
}

impl Etcd {
    /// The cluster whose members listen at `hosts` (`host:port,host:port`).
    pub(super) fn new(
        scheme: &str,
        hosts: &str,
        environment: &Environment,
    ) -> Result<Self, String> {
        if hosts.contains('@') {
            let text =
                "write the password into PORTCULLIS_ACME_ETCD_PASSWORD, not into the address";
            return Err(text.to_owned());
        }
        let scheme = if scheme == "etcds" { "https" } else { "http" };
        let member = |host: &str| {
            let authority: http::uri::Authority = host.trim().parse().map_err(|_| EXPECTED)?;
            let port = authority.port_u16().unwrap_or(PORT);
            if authority.host().is_empty() {
                return Err(EXPECTED.to_owned());
            }
            Ok(format!("{scheme}://{}:{port}", authority.host()))
        };
        let members: Result<Vec<String>, String> = hosts.split(',').map(member).collect();
        let name = environment.optional(&["PORTCULLIS_ACME_ETCD_USERNAME"])?;
        let password = environment.optional(&["PORTCULLIS_ACME_ETCD_PASSWORD"])?;
        let user = name.map(|Secret(name)| (name, password.unwrap_or(Secret(String::new()))));
        let authorities = environment.optional(&["PORTCULLIS_ACME_ETCD_CA_CERTIFICATES"])?;
        let files: Vec<String> = authorities.map(|Secret(text)| text).into_iter().collect();
        let roots = https::roots(&files, System::Not)?;
        let settings =
            Settings { whole: PATIENCE, head: PATIENCE, server_name: None, clear: Clear::Allowed };
        Ok(Self {
            https: Https::new(roots, settings)?,
            members: members?,
            member: AtomicUsize::new(0),
            user,
            token: Mutex::new(None),
        })
    }

    /// Calls `method` of the cluster, such as `kv/put`; gives its answer.
    pub(super) async fn ask(&self, method: &str, request: &Value) -> Result<Value, String> {
        match self.ask_known(method, request).await {
            Err(Failure::Token) => {
                *self.token.lock() = None;
                self.ask_known(method, request).await
            }
            result => result,
        }
        .map_err(|failure| match failure {
            Failure::Member(reason) | Failure::Request(reason) => reason,
            Failure::Token => "the user is not known".to_owned(),
        })
    }

    /// As a user, if there is one.
    async fn ask_known(&self, method: &str, request: &Value) -> Result<Value, Failure> {
        let token = self.token.lock().clone();
        let token = match (&self.user, token) {
            (Some((name, password)), None) => {
                let named = json!({ "name": name, "password": password.0 });
                let answer = self.ask_members("auth/authenticate", &named, None).await?;
                let token = answer["token"].as_str().and_then(|it| HeaderValue::try_from(it).ok());
                let none = || Failure::Request("there is no token for the user".to_owned());
                let mut token = token.ok_or_else(none)?;
                token.set_sensitive(true);
                *self.token.lock() = Some(token.clone());
                Some(token)
            }
            (_, token) => token,
        };
        self.ask_members(method, request, token.as_ref()).await
    }

    /// Asks one member after the other until one answers. What is asked for may be done twice.
    async fn ask_members(
        &self,
        method: &str,
        request: &Value,
        token: Option<&HeaderValue>,
    ) -> Result<Value, Failure> {
        let first = self.member.load(Relaxed);
        let mut last = Failure::Member(EXPECTED.to_owned());
        for number in first..first + self.members.len() {
            let index = number % self.members.len();
            let Some(member) = self.members.get(index) else { break };
            match self.ask_member(&format!("{member}/v3/{method}"), request, token).await {
                Err(failure @ Failure::Member(_)) => last = failure,
                result => {
                    self.member.store(index, Relaxed);
                    return result;
                }
            }
        }
        Err(last)
    }

    async fn ask_member(
        &self,
        address: &str,
        request: &Value,
        token: Option<&HeaderValue>,
    ) -> Result<Value, Failure> {
        let body = Full::new(Bytes::from(request.to_string()));
        let mut asked = Request::builder()
            .method(Method::POST)
            .uri(address)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body)
            .map_err(|error| Failure::Request(error.to_string()))?;
        if let Some(token) = token {
            asked.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let answer = self.https.send(asked).await;
        let answer = answer.map_err(|error| Failure::Member(in_full(&error)))?;
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        let reason = || match said["message"].as_str().or(said["error"].as_str()) {
            Some(message) => message.to_owned(),
            None => format!("it answered {}", answer.status()),
        };
        match answer.status() {
            StatusCode::OK if said.is_object() => Ok(said),
            StatusCode::UNAUTHORIZED if token.is_some() => Err(Failure::Token),
            status if status.is_server_error() => Err(Failure::Member(reason())),
            _ => Err(Failure::Request(reason())),
        }
    }

    /// The pairs of a range.
    pub(super) async fn range(&self, request: &Value) -> Result<Page, String> {
        let answer = self.ask("kv/range", request).await?;
        let found = answer["kvs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let pair = |found: &Value| {
            let bytes = |name: &str| STANDARD.decode(found[name].as_str().unwrap_or_default()).ok();
            let revision = found["mod_revision"].as_str().unwrap_or_default().to_owned();
            Some(Pair {
                key: bytes("key")?,
                value: String::from_utf8(bytes("value")?).ok()?,
                revision,
            })
        };
        Ok(Page { pairs: found.iter().filter_map(pair).collect(), more: answer["more"] == true })
    }

    /// A new lease of etcd, with which keys lapse; gives its number.
    pub(super) async fn grant(&self, duration: Duration) -> Result<Value, String> {
        let seconds = duration.as_secs().max(1);
        let answer = self.ask("lease/grant", &json!({ "TTL": seconds.to_string() })).await?;
        match &answer["ID"] {
            number @ Value::String(_) => Ok(number.clone()),
            _ => Err("it granted no lease".to_owned()),
        }
    }

    /// Ends a lease of etcd that no key has.
    pub(super) async fn revoke(&self, lease: &Value) {
        // Otherwise it ends by itself.
        drop(self.ask("lease/revoke", &json!({ "ID": lease })).await);
    }
}

/// How JSON holds bytes.
pub(super) fn text(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The first key after all that begin with `prefix`.
pub(super) fn after_all_with(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // All keys from the first on.
    vec![0]
}
