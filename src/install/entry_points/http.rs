//! What holds for every HTTP request of an entry point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::zero;

/// What holds for every HTTP request that arrives at an entry point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// Sends every request elsewhere.
    #[serde(skip_serializing_if = "zero")]
    pub redirections: Option<Redirections>,
    /// Middlewares (`name@provider`) that come before those of each router.
    #[serde(skip_serializing_if = "zero")]
    pub middlewares: Vec<String>,
    /// Present = the routers of this entry point take TLS connections unless they say otherwise.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<Tls>,
    /// Which encoded characters a request path may hold; a path with any other is answered with 400.
    #[serde(skip_serializing_if = "zero")]
    pub encoded_characters: Option<EncodedCharacters>,
    /// Encodes `;` in queries as `%3B` instead of taking it for `&`.
    #[serde(skip_serializing_if = "zero")]
    pub encode_query_semicolons: bool,
    /// Resolves `.`, `..` and doubled slashes in the path before routing.
    pub sanitize_path: bool,
    /// Bytes of the request head; a longer one is answered with 431.
    #[serde(skip_serializing_if = "zero")]
    pub max_header_bytes: i64,
    /// Deprecated twin of `aliasHeadersStrategy` that covers names with `_` only.
    #[serde(skip_serializing_if = "zero")]
    pub underscore_headers_strategy: Option<AliasHeadersStrategy>,
    /// What happens to header names which servers may take for another header's: `keep`, `delete` or `reject`.
    #[serde(skip_serializing_if = "zero")]
    pub alias_headers_strategy: Option<AliasHeadersStrategy>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            redirections: None,
            middlewares: Vec::new(),
            tls: None,
            encoded_characters: None,
            encode_query_semicolons: false,
            sanitize_path: true,
            max_header_bytes: 1_048_576,
            underscore_headers_strategy: None,
            alias_headers_strategy: None,
        }
    }
}

/// Sends every request elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirections {
    /// To another entry point, usually from `http` to `https`.
    #[serde(skip_serializing_if = "zero")]
    pub entry_point: Option<Redirection>,
}

/// Redirects to another entry point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirection {
    /// The name of the entry point, or `:443` to name the port as clients see it.
    #[serde(skip_serializing_if = "zero")]
    pub to: String,
    /// The scheme of the target.
    #[serde(skip_serializing_if = "zero")]
    pub scheme: String,
    /// Answers 301 (308 for methods with a body) instead of 302 (307).
    #[serde(skip_serializing_if = "zero")]
    pub permanent: bool,
    /// The priority of the generated router; lower it to let routers of yours win.
    #[serde(skip_serializing_if = "zero")]
    pub priority: i64,
}

impl Default for Redirection {
    fn default() -> Self {
        Self {
            to: String::new(),
            scheme: "https".to_owned(),
            permanent: true,
            // Traefik: one below the routers for ACME challenges and ping.
            priority: i64::MAX - 1,
        }
    }
}

/// TLS defaults for the routers of an entry point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// TLS options (`name@provider`); empty = `default`.
    #[serde(skip_serializing_if = "zero")]
    pub options: String,
    /// The certificates resolver that orders certificates.
    #[serde(skip_serializing_if = "zero")]
    pub cert_resolver: String,
    /// Names to order certificates for.
    #[serde(skip_serializing_if = "zero")]
    pub domains: Vec<Domain>,
}

/// A main name and its alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// The main name.
    #[serde(skip_serializing_if = "zero")]
    pub main: String,
    /// Alternative names.
    #[serde(skip_serializing_if = "zero")]
    pub sans: Vec<String>,
}

/// Which encoded characters a request path may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EncodedCharacters {
    /// `%2F`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_slash: bool,
    /// `%5C`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_back_slash: bool,
    /// `%00`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_null_character: bool,
    /// `%3B`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_semicolon: bool,
    /// `%25`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_percent: bool,
    /// `%3F`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_question_mark: bool,
    /// `%23`.
    #[serde(skip_serializing_if = "zero")]
    pub allow_encoded_hash: bool,
}

impl Default for EncodedCharacters {
    fn default() -> Self {
        Self {
            allow_encoded_slash: true,
            allow_encoded_back_slash: true,
            allow_encoded_null_character: true,
            allow_encoded_semicolon: true,
            allow_encoded_percent: true,
            allow_encoded_question_mark: true,
            allow_encoded_hash: true,
        }
    }
}

/// What happens to header names that servers may take for another header's, such as `X_Forwarded_For`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AliasHeadersStrategy {
    /// They go on as they are.
    #[default]
    Keep,
    /// They are removed.
    Delete,
    /// The request is answered with 400.
    Reject,
}

/// How many spans a trace has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TraceVerbosity {
    /// The entry point and the server call.
    #[default]
    Minimal,
    /// Router, service and each middleware as well.
    Detailed,
}
