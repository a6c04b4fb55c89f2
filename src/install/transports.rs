//! How servers are reached unless a service names a transport, and the parts around it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::units::{Duration, FileOrContent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{WorkloadApi, zero};

/// How HTTP servers are reached by services that name no transport (`default@internal`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServersTransport {
    /// Accepts any certificate.
    #[serde(skip_serializing_if = "zero")]
    pub insecure_skip_verify: bool,
    /// Authorities that replace the system's: files or PEM text.
    #[serde(rename = "rootCAs", skip_serializing_if = "zero")]
    pub root_cas: Vec<FileOrContent>,
    /// Idle connections kept for each server.
    #[serde(skip_serializing_if = "zero")]
    pub max_idle_conns_per_host: i64,
    /// Time limits.
    #[serde(skip_serializing_if = "zero")]
    pub forwarding_timeouts: Option<ForwardingTimeouts>,
    /// SPIFFE identities that servers must show.
    #[serde(skip_serializing_if = "zero")]
    pub spiffe: Option<SpiffeIdentities>,
}

impl Default for ServersTransport {
    fn default() -> Self {
        Self {
            insecure_skip_verify: false,
            root_cas: Vec::new(),
            max_idle_conns_per_host: 200,
            forwarding_timeouts: None,
            spiffe: None,
        }
    }
}

/// Time limits towards servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardingTimeouts {
    /// To connect; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub dial_timeout: Duration,
    /// From the end of the request to the head of the response; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub response_header_timeout: Duration,
    /// Silence after which an idle connection is closed; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub idle_conn_timeout: Duration,
}

impl Default for ForwardingTimeouts {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::seconds(30),
            response_header_timeout: Duration::default(),
            idle_conn_timeout: Duration::seconds(90),
        }
    }
}

/// How TCP servers are reached by services that name no transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpServersTransport {
    /// Silence after which the kernel probes whether the server still lives; 0 = 15s, negative = never.
    #[serde(skip_serializing_if = "zero")]
    pub dial_keep_alive: Duration,
    /// To connect; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub dial_timeout: Duration,
    /// How long the other direction may go on after one side has ended; 0 = 100 ms, negative = for ever.
    #[serde(skip_serializing_if = "zero")]
    pub termination_delay: Duration,
    /// TLS towards servers.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<TcpTls>,
}

impl Default for TcpServersTransport {
    fn default() -> Self {
        Self {
            dial_keep_alive: Duration::seconds(15),
            dial_timeout: Duration::seconds(30),
            termination_delay: Duration::default(),
            tls: None,
        }
    }
}

/// TLS towards TCP servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpTls {
    /// Accepts any certificate.
    #[serde(skip_serializing_if = "zero")]
    pub insecure_skip_verify: bool,
    /// Authorities that replace the system's: files or PEM text.
    #[serde(rename = "rootCAs", skip_serializing_if = "zero")]
    pub root_cas: Vec<FileOrContent>,
    /// SPIFFE identities that servers must show.
    #[serde(skip_serializing_if = "zero")]
    pub spiffe: Option<SpiffeIdentities>,
}

/// SPIFFE identities that servers must show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SpiffeIdentities {
    /// Any of these.
    #[serde(skip_serializing_if = "zero")]
    pub ids: Vec<String>,
    /// Anyone of this trust domain.
    #[serde(skip_serializing_if = "zero")]
    pub trust_domain: String,
}

/// The SPIFFE workload API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spiffe {
    /// Its address, such as `unix:///run/agent.sock`.
    #[serde(rename = "workloadAPIAddr", skip_serializing_if = "zero")]
    pub workload_api_addr: String,
}

impl Spiffe {
    /// Whether there is an address. Traefik: without one there is no SPIFFE.
    pub fn is_on(&self) -> bool {
        !self.workload_api_addr.is_empty()
    }

    /// The address, understood.
    pub fn address(&self) -> Result<WorkloadApi, String> {
        WorkloadApi::parse(&self.workload_api_addr)
    }
}

/// How names in TLS options and `HostSNI` rules follow DNS aliases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HostResolver {
    /// Follows CNAME records of the requested host.
    #[serde(skip_serializing_if = "zero")]
    pub cname_flattening: bool,
    /// The resolver configuration.
    #[serde(skip_serializing_if = "zero")]
    pub resolv_config: String,
    /// How many records are followed.
    #[serde(skip_serializing_if = "zero")]
    pub resolv_depth: i64,
}

impl Default for HostResolver {
    fn default() -> Self {
        Self {
            cname_flattening: false,
            resolv_config: "/etc/resolv.conf".to_owned(),
            resolv_depth: 5,
        }
    }
}

/// Certificate status answers stapled to TLS handshakes. Present = stapled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ocsp {
    /// Responders to ask instead of those that certificates name: URL to URL.
    #[schemars(with = "BTreeMap<String, String>")]
    #[serde(skip_serializing_if = "zero")]
    pub responder_overrides: IndexMap<String, String>,
}
