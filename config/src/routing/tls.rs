//! TLS: certificates, options, stores.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::Domain;
use crate::units::FileOrContent;

/// The TLS part of a routing configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Certificates offered by SNI.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Options by name.
    pub options: IndexMap<String, Options>,
    /// Stores by name; only `default` is used.
    pub stores: IndexMap<String, Store>,
}

/// A certificate chain with its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// PEM chain.
    pub cert_file: FileOrContent,
    /// PEM key.
    pub key_file: FileOrContent,
    /// Stores it belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
}

/// A client certificate towards servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCertificate {
    /// PEM chain.
    pub cert_file: FileOrContent,
    /// PEM key.
    pub key_file: FileOrContent,
}

/// How TLS connections are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// `VersionTLS10`..`VersionTLS13`; empty = 1.2.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_version: String,
    /// Empty = newest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_version: String,
    /// For TLS 1.2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Key-exchange groups in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Client certificates.
    pub client_auth: ClientAuth,
    /// Refuse clients whose SNI no certificate fits.
    #[serde(skip_serializing_if = "super::http::is_false")]
    pub sni_strict: bool,
    /// Empty = `h2`, `http/1.1`, `acme-tls/1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn_protocols: Vec<String>,
    /// No resumption tickets.
    #[serde(skip_serializing_if = "super::http::is_false")]
    pub disable_session_tickets: bool,
    /// Deprecated, ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_server_cipher_suites: Option<bool>,
}

/// Client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientAuth {
    /// Authorities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca_files: Vec<FileOrContent>,
    /// `NoClientCert` … `RequireAndVerifyClientCert`; empty = by `caFiles`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_auth_type: String,
}

/// A store of certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Store {
    /// Offered when no other fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_certificate: Option<ClientCertificate>,
    /// Ordered from a resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_generated_cert: Option<GeneratedCertificate>,
}

/// A default certificate ordered from a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratedCertificate {
    /// The resolver.
    pub resolver: String,
    /// The names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
}
