//! Calls to the interfaces of those who host zones.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use portcullis_config::units::Secret;
use serde_json::Value;

use super::super::failure::bounded;
use super::super::https::{Clear, Https, Settings, System, in_full, roots};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls to interfaces over HTTP.
#[derive(Clone, Debug)]
pub(in super::super) struct Api(Https);

/// One call.
pub(super) struct Call {
    request: http::request::Builder,
    body: Bytes,
    what: String,
}

impl Api {
    /// Trusts the system's authorities.
    pub(super) fn new() -> Result<Self, String> {
        let settings =
            Settings { whole: PATIENCE, head: PATIENCE, server_name: None, clear: Clear::Allowed };
        Ok(Self(Https::new(roots(&[], System::Too)?, settings)?))
    }

    /// The answer to `call`, whatever its status.
    pub(super) async fn ask(&self, call: Call) -> Result<Response<Bytes>, String> {
        let Call { request, body, what } = call;
        let request = request.body(Full::new(body)).map_err(|error| format!("{what}: {error}"))?;
        self.0.send(request).await.map_err(|error| format!("{what}: {}", in_full(&error)))
    }

    /// The JSON that a successful call answers with; `null` for an empty body.
    pub(super) async fn json(&self, call: Call) -> Result<Value, String> {
        let what = call.what.clone();
        let response = self.ask(call).await?;
        let (status, body) = (response.status(), response.body());
        if !status.is_success() {
            let text = bounded(&String::from_utf8_lossy(body));
            return Err(format!("{what} answers {status}: {text}"));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body).map_err(|error| format!("{what}: no JSON: {error}"))
    }
}

impl Call {
    /// A call to `base` with `path` behind it; messages name the path, which holds no secret.
    pub(super) fn new(method: Method, base: &str, path: &str) -> Self {
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let uri = format!("{}{path}", base.trim_end_matches('/'));
        let request = Request::builder().method(method).uri(uri);
        Self { request: request.header(ACCEPT, "application/json"), body: Bytes::new(), what }
    }

    /// With a body of JSON.
    pub(super) fn with_json(mut self, body: &Value) -> Self {
        self.request = self.request.header(CONTENT_TYPE, "application/json");
        self.body = body.to_string().into();
        self
    }

    /// With a body of text.
    pub(super) fn with_text(mut self, kind: &'static str, body: String) -> Self {
        self.request = self.request.header(CONTENT_TYPE, kind);
        self.body = body.into();
        self
    }

    /// With a header that logs of `http` itself would not show either.
    pub(super) fn with_secret(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            self.request = self.request.header(name, value);
        }
        self
    }

    /// With a bearer token (RFC 6750).
    pub(super) fn with_bearer(self, token: &Secret) -> Self {
        self.with_secret(AUTHORIZATION, &format!("Bearer {}", token.0))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// A name below its zone, without dots at the ends; `@` for the zone itself.
pub(super) fn relative<'n>(name: &'n str, zone: &str) -> &'n str {
    let (name, zone) = (name.trim_end_matches('.'), zone.trim_end_matches('.'));
    if name == zone {
        return "@";
    }
    name.strip_suffix(zone).map_or(name, |rest| rest.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_their_zone() {
        assert_eq!(relative("_acme-challenge.a.test.", "a.test."), "_acme-challenge");
        assert_eq!(relative("_acme-challenge.b.a.test.", "a.test."), "_acme-challenge.b");
        assert_eq!(relative("a.test.", "a.test."), "@");
    }

    #[test]
    fn a_call_shows_neither_query_nor_headers() {
        let call = Call::new(Method::GET, "https://api.test/", "/x?key=secret");
        let shown = format!("{:?}", call.with_bearer(&Secret("secret".into())));
        assert_eq!(shown, "GET /x");
    }
}
