//! TLS: certificates, options, stores.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::http::Domain;
use crate::units::FileOrContent;

/// The TLS part of a routing configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// Certificates, each offered to clients that ask for one of its names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// Options by name. Those called `default` apply wherever none are named.
    pub options: IndexMap<String, Options>,
    /// Stores by name; only `default` is used.
    pub stores: IndexMap<String, Store>,
}

/// A certificate with its key.
///
/// ```yaml
/// tls:
///   certificates:
///   - certFile: /etc/certs/shop.pem
///     keyFile: /etc/certs/shop.key
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// The chain, as a file or PEM text, the certificate itself first.
    pub cert_file: FileOrContent,
    /// The private key, as a file or PEM text.
    pub key_file: FileOrContent,
    /// The stores it belongs to; `default` without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
}

/// A certificate with its key, to show to servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientCertificate {
    /// The chain, as a file or PEM text, the certificate itself first.
    pub cert_file: FileOrContent,
    /// The private key, as a file or PEM text.
    pub key_file: FileOrContent,
}

/// How TLS connections are accepted.
///
/// ```yaml
/// tls:
///   options:
///     modern: { minVersion: VersionTLS13, sniStrict: true }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// The lowest version of TLS, `VersionTLS12` by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_version: String,
    /// The highest version of TLS, the newest by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_version: String,
    /// The cipher suites for TLS 1.2; those of 1.3 cannot be chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// The groups for the exchange of keys, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Whether clients must show certificates.
    pub client_auth: ClientAuth,
    /// Whether clients that ask for a name without certificate are refused instead of being offered
    /// the default one.
    #[serde(skip_serializing_if = "super::http::is_false")]
    pub sni_strict: bool,
    /// The protocols on offer; `h2`, `http/1.1` and `acme-tls/1` by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn_protocols: Vec<String>,
    /// Whether sessions cannot be resumed by tickets.
    #[serde(skip_serializing_if = "super::http::is_false")]
    pub disable_session_tickets: bool,
    /// Deprecated and without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_server_cipher_suites: Option<bool>,
}

/// Whether clients must show certificates, and whose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientAuth {
    /// The authorities that may have signed them, as files or PEM text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca_files: Vec<FileOrContent>,
    /// `NoClientCert`, `RequestClientCert`, `RequireAnyClientCert`, `VerifyClientCertIfGiven` or
    /// `RequireAndVerifyClientCert`. With `caFiles` the last one is the default, otherwise the
    /// first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_auth_type: String,
}

/// What is offered to clients that no certificate fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Store {
    /// This certificate. Without it and `defaultGeneratedCert` a self-signed one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_certificate: Option<ClientCertificate>,
    /// A certificate obtained from a resolver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_generated_cert: Option<GeneratedCertificate>,
}

/// A default certificate obtained from a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GeneratedCertificate {
    /// The resolver.
    pub resolver: String,
    /// The names on the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
}
