//! Headers that the user sets and removes.

use std::collections::BTreeMap;
use std::fmt;

use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Assignment, parse_name, parse_value};
use crate::message::WithoutForwardedFor;
use crate::{Defect, Exchange, Filter, Flow, Request, Response, Step};

/// Values by header name, empty ones for headers to remove. Neither shown nor logged where the name
/// tells that the value is a credential.
#[derive(Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CustomHeaders(pub BTreeMap<String, String>);

impl CustomHeaders {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| {
            let is_shown = value.is_empty() || !is_credential(name);
            (name.as_str(), if is_shown { value.as_str() } else { "REDACTED" })
        })
    }
}

fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.contains(&name.as_str()) || CREDENTIAL_ENDS.iter().any(|end| name.ends_with(end))
}

impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for CustomHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

/// The step that edits requests, if there is anything to edit.
pub(super) fn request(headers: &CustomHeaders) -> Result<Option<Step>, Defect> {
    let mut edits = Edits::parse("customRequestHeaders", headers)?;
    // Traefik: these belong to each connection and are ignored; a host is never removed.
    edits.set.retain(|(name, _)| !FRAMING.contains(name));
    edits.remove.retain(|name| !FRAMING.contains(name) && name != HOST);
    let forwarded_for = if edits.remove.contains(&FORWARDED_FOR) {
        ForwardedFor::Removed
    } else if edits.set.iter().any(|(name, _)| *name == FORWARDED_FOR) {
        ForwardedFor::Set
    } else {
        ForwardedFor::Kept
    };
    Ok(edits.is_some().then(|| Step::filter(EditRequest { edits, forwarded_for })))
}

/// The step that edits responses, if there is anything to edit.
pub(super) fn response(headers: &CustomHeaders) -> Result<Option<Step>, Defect> {
    let edits = Edits::parse("customResponseHeaders", headers)?;
    // Traefik: sends such a length or coding beside its own, which breaks the connection.
    if let Some((name, _)) = edits.set.iter().find(|(name, _)| FRAMING.contains(name)) {
        let message = format!("customResponseHeaders: `{name}` belongs to the connection");
        return Err(message.into());
    }
    Ok(edits.is_some().then(|| Step::filter(EditResponse { edits })))
}

struct EditRequest {
    edits: Edits,
    forwarded_for: ForwardedFor,
}

/// What becomes of `X-Forwarded-For`.
enum ForwardedFor {
    Kept,
    Set,
    Removed,
}

impl Filter for EditRequest {
    fn request(&self, request: &mut Request, _: &Exchange) -> Flow {
        self.edits.apply(&mut request.headers);
        match self.forwarded_for {
            ForwardedFor::Kept => {}
            ForwardedFor::Set => {
                request.extensions.remove::<WithoutForwardedFor>();
            }
            ForwardedFor::Removed => {
                request.extensions.insert(WithoutForwardedFor);
            }
        }
        Flow::Next
    }
}

struct EditResponse {
    edits: Edits,
}

impl Filter for EditResponse {
    fn response(&self, response: &mut Response, _: &Exchange) {
        self.edits.apply(&mut response.headers);
    }
}

struct Edits {
    set: Vec<Assignment>,
    remove: Vec<HeaderName>,
}

impl Edits {
    fn parse(field: &str, headers: &CustomHeaders) -> Result<Self, Defect> {
        let mut edits = Self { set: Vec::new(), remove: Vec::new() };
        for (name, value) in &headers.0 {
            let parsed = parse_name(field, name)?;
            if value.is_empty() {
                edits.remove.push(parsed);
            } else {
                edits.set.push((parsed, parse_value(&format!("{field}.{name}"), value)?));
            }
        }
        Ok(edits)
    }

    fn is_some(&self) -> bool {
        !self.set.is_empty() || !self.remove.is_empty()
    }

    fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER];
const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization", "cookie", "set-cookie"];
const CREDENTIAL_ENDS: &[&str] = &["-key", "-token", "-secret", "-password", "-auth"];
