//! `headers` sets and removes headers, answers cross-origin questions (CORS) and adds security headers.

mod cors;
mod custom;
mod secure;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use custom::CustomHeaders;

use crate::{Build, Defect, Settings, Step};

/// Sets and removes headers of requests and responses, tells browsers which other sites may use
/// this one (CORS), and adds the usual security headers.
///
/// ```yaml
/// http:
///   middlewares:
///     site:
///       headers:
///         customRequestHeaders:
///           X-Script-Name: test # is set on every request to the server
///           X-Debug: "" # is removed from it
///         customResponseHeaders:
///           Server: ""
///         accessControlAllowOriginList: [https://app.example.com]
///         accessControlAllowMethods: [GET, PUT]
///         accessControlMaxAge: 600
///         addVaryHeader: true
///         frameDeny: true
///         contentTypeNosniff: true
///         stsSeconds: 31536000
/// ```
///
/// Of several sources of one response header the server's comes first, then the security options,
/// then `customResponseHeaders`, then the CORS options: the later one replaces the earlier one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Headers to set on requests before they go to the server, by name. An empty value removes the
    /// header. `Host` changes the host that the server sees; an empty `X-Forwarded-For` also keeps
    /// the gateway from adding the client's address. Values that look like credentials are shown as
    /// `REDACTED` by the API.
    #[serde(skip_serializing_if = "CustomHeaders::is_empty")]
    pub custom_request_headers: CustomHeaders,
    /// Headers to set on responses before they go to the client, by name. An empty value removes the
    /// header.
    #[serde(skip_serializing_if = "CustomHeaders::is_empty")]
    pub custom_response_headers: CustomHeaders,
    /// CORS: whether scripts of other sites may send cookies and other credentials along
    /// (`Access-Control-Allow-Credentials: true`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub access_control_allow_credentials: bool,
    /// CORS: request headers that scripts of other sites may set. `*` allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_control_allow_headers: Vec<String>,
    /// CORS: methods that scripts of other sites may use. `*` allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_control_allow_methods: Vec<String>,
    /// CORS: sites that may use this one, each with its scheme (`https://app.example.com`). `*`
    /// allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_control_allow_origin_list: Vec<String>,
    /// CORS: sites that may use this one, as regular expressions (Go's syntax). Anchor them with `^`
    /// and `$`, and write `\.` for a dot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_control_allow_origin_list_regex: Vec<String>,
    /// CORS: response headers that scripts of other sites may read. `*` exposes all, unless
    /// credentials are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_control_expose_headers: Vec<String>,
    /// CORS: for how many seconds a browser may remember the answer to its question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_control_max_age: Option<i64>,
    /// CORS: whether responses say `Vary: Origin`, so that caches keep those for different sites
    /// apart. Set it wherever more than one site is allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub add_vary_header: bool,
    /// Hosts (with their port, if they have one) that requests may be for; others are answered with
    /// 500. Empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Request headers that name the host for `allowedHosts`; the first that is there counts instead
    /// of `Host`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts_proxy_headers: Vec<String>,
    /// Request headers and their values that tell that the client came over TLS, for
    /// `stsSeconds` and `publicKey`: `X-Forwarded-Proto: https` behind a proxy that ends TLS.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ssl_proxy_headers: BTreeMap<String, String>,
    /// For how many seconds browsers are to use nothing but HTTPS for this site
    /// (`Strict-Transport-Security`). Sent over TLS only. 0 sends nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts_seconds: Option<i64>,
    /// Whether that holds for all subdomains too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sts_include_subdomains: bool,
    /// Whether browsers may take the site into their built-in lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sts_preload: bool,
    /// Whether `Strict-Transport-Security` is sent without TLS too.
    #[serde(rename = "forceSTSHeader", skip_serializing_if = "std::ops::Not::not")]
    pub force_sts_header: bool,
    /// Whether browsers must not show the site within a frame (`X-Frame-Options: DENY`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frame_deny: bool,
    /// Another value for `X-Frame-Options`, such as `SAMEORIGIN`; overrides `frameDeny`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub custom_frame_options_value: String,
    /// Whether browsers must not guess content types (`X-Content-Type-Options: nosniff`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub content_type_nosniff: bool,
    /// Whether to turn on the script filter of old browsers (`X-XSS-Protection: 1; mode=block`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub browser_xss_filter: bool,
    /// Another value for `X-XSS-Protection`; overrides `browserXssFilter`.
    #[serde(rename = "customBrowserXSSValue", skip_serializing_if = "String::is_empty")]
    pub custom_browser_xss_value: String,
    /// The value of `Content-Security-Policy`. `$NONCE` in it becomes a random nonce source, another
    /// one for each response.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_security_policy: String,
    /// The value of `Content-Security-Policy-Report-Only`, with `$NONCE` as above.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_security_policy_report_only: String,
    /// The value of `Public-Key-Pins`, sent over TLS only. Browsers no longer heed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// The value of `Referrer-Policy`: what browsers tell other sites of where a user came from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub referrer_policy: String,
    /// The value of `Permissions-Policy`: which features of the browser the site may use.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub permissions_policy: String,
    /// Switches `allowedHosts`, `stsSeconds` and `publicKey` off, for work on a developer's machine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_development: bool,
    /// Deprecated and without effect; use `permissionsPolicy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_policy: Option<String>,
    /// Deprecated and without effect; use the middleware `redirectScheme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_redirect: Option<bool>,
    /// Deprecated and without effect; use the middleware `redirectScheme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_temporary_redirect: Option<bool>,
    /// Deprecated and without effect; use the middleware `redirectRegex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_host: Option<String>,
    /// Deprecated and without effect; use the middleware `redirectRegex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_force_host: Option<bool>,
}

impl Settings for Headers {
    const KIND: &'static str = "headers";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        if self == Self::default() {
            return Err("no option is set; set at least one".into());
        }
        let cors = cors::compile(&self)?;
        let (preflight, answer) = cors.unzip();
        let steps = [
            preflight,
            custom::request(&self.custom_request_headers)?,
            answer,
            custom::response(&self.custom_response_headers)?,
            secure::compile(&self)?,
        ];
        Ok(steps.into_iter().flatten().collect())
    }
}

/// A header with the value that it gets.
type Assignment = (HeaderName, HeaderValue);

fn parse_name(field: &str, name: &str) -> Result<HeaderName, Defect> {
    let parsed = name.trim().parse();
    parsed.map_err(|_| Defect(format!("{field}: {name:?} is not a header name")))
}

fn parse_value(field: &str, value: &str) -> Result<HeaderValue, Defect> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        Defect(format!("{field}: a header value must not hold line breaks or control characters"))
    })
}
