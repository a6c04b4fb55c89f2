//! HTTP servers transports: how servers are reached.

use serde::{Deserialize, Serialize};

use super::{is_false, is_zero};
use crate::routing::tls::ClientCertificate;
use crate::units::{Duration, FileOrContent};

/// How servers are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersTransport {
    /// SNI and verified name; empty = the URL's host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Accept any certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_verify: bool,
    /// Replace the system's roots.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<FileOrContent>,
    /// Client certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<ClientCertificate>,
    /// Names as in TLS options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// `VersionTLS12`, `VersionTLS13`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min_version: String,
    /// As above.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_version: String,
    /// Idle connections kept for each server; 0 = 2, negative = no reuse.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_idle_conns_per_host: i64,
    /// Time limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding_timeouts: Option<ForwardingTimeouts>,
    /// HTTP/1.1 only.
    #[serde(rename = "disableHTTP2", skip_serializing_if = "is_false")]
    pub disable_http2: bool,
    /// Required URI name of the server certificate.
    #[serde(rename = "peerCertURI", skip_serializing_if = "String::is_empty")]
    pub peer_cert_uri: String,
    /// SPIFFE identities to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}

/// Time limits towards servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardingTimeouts {
    /// To connect; 0 = none.
    pub dial_timeout: Duration,
    /// From the request's end to the response head; 0 = none.
    pub response_header_timeout: Duration,
    /// Idle connections are closed after it.
    pub idle_conn_timeout: Duration,
    /// HTTP/2: silence before a ping; 0 = no pings.
    pub read_idle_timeout: Duration,
    /// HTTP/2: how long a ping may take.
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
    /// Exact identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// A whole trust domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
}
