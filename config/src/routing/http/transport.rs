//! HTTP servers transports: how servers are reached.

use serde::{Deserialize, Serialize};

use super::{is_false, is_zero};
use crate::routing::tls::ClientCertificate;
use crate::units::{Duration, FileOrContent};

/// How servers are reached.
///
/// ```yaml
/// http:
///   serversTransports:
///     internal:
///       rootCAs: [/etc/certs/internal.pem]
///       forwardingTimeouts: { dialTimeout: 5s }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersTransport {
    /// The name for SNI and for checking the server's certificate. Without one the host of the server's URL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Accepts any certificate. For trials only.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// The authorities that may have signed the server's certificate, as files or PEM text, instead
    /// of the system's.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<FileOrContent>,
    /// Certificates to show to servers that ask for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<ClientCertificate>,
    /// The cipher suites for TLS 1.2, named as in TLS options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// The lowest version of TLS, `VersionTLS12` or `VersionTLS13`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_version: String,
    /// The highest version of TLS.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_version: String,
    /// How many idle connections are kept for each server; 0 keeps 2, a negative number none.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_idle_conns_per_host: i64,
    /// Time limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding_timeouts: Option<ForwardingTimeouts>,
    /// Whether HTTP/2 is not offered to `https` servers.
    #[serde(rename = "disableHTTP2", skip_serializing_if = "is_false")]
    pub disable_http2: bool,
    /// The URI that the server's certificate must name.
    #[serde(rename = "peerCertURI", skip_serializing_if = "String::is_empty")]
    pub peer_cert_uri: String,
    /// The SPIFFE identities that the server may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
    /// The SPIFFE id as which the mesh reaches servers; never configured. Empty = directly.
    #[serde(skip)]
    pub mesh_identity: String,
}

/// Time limits towards servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardingTimeouts {
    /// How long connecting may take, 30 s by default; 0 sets no limit. Beyond it the answer is 504.
    pub dial_timeout: Duration,
    /// How long the head of the response may take once the request is sent; 0, the default, sets no
    /// limit. Beyond it the answer is 504.
    pub response_header_timeout: Duration,
    /// How long an idle connection is kept, 90 s by default.
    pub idle_conn_timeout: Duration,
    /// After how long a silence an HTTP/2 connection is probed; 0, the default, never.
    pub read_idle_timeout: Duration,
    /// How long such a probe may take before the connection is closed, 15 s by default.
    pub ping_timeout: Duration,
}

impl Default for ForwardingTimeouts {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::seconds(30),
            response_header_timeout: Duration(0),
            idle_conn_timeout: Duration::seconds(90),
            read_idle_timeout: Duration(0),
            ping_timeout: Duration::seconds(15),
        }
    }
}

/// SPIFFE identities to accept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spiffe {
    /// Exact identities, `spiffe://example.org/shop`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Any identity of this trust domain, unless `ids` are given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
}
