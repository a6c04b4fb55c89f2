//! Entry points: the addresses where Portcullis listens and how it treats what arrives there.

mod http;
mod transport;

use serde::{Deserialize, Serialize};

pub use http::{
    AliasHeadersStrategy, Domain, EncodedCharacters, Http, Redirection, Redirections, Tls,
    TraceVerbosity,
};
pub use transport::{LifeCycle, RespondingTimeouts, Transport};

use super::address::Address;
use super::zero;
use portcullis_config::units::Duration;
use schemars::JsonSchema;

/// An address to listen on, and how connections and requests that arrive there are treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EntryPoint {
    /// Where to listen: `[host]:port[/tcp|/udp]`. Without a host it is every address, IPv4 and IPv6.
    #[serde(skip_serializing_if = "Address::is_unset")]
    pub address: Address,
    /// Whether routers that name no entry points use this one. If no entry point has it, they use all.
    #[serde(skip_serializing_if = "zero")]
    pub as_default: bool,
    /// Lets several processes listen on the same address and port.
    #[serde(skip_serializing_if = "zero")]
    pub reuse_port: bool,
    /// Lets user-defined routers answer ACME challenges.
    #[serde(rename = "allowACMEByPass", skip_serializing_if = "zero")]
    pub allow_acme_by_pass: bool,
    /// Time limits and the graceful end.
    pub transport: Transport,
    /// Present = PROXY protocol headers (v1 and v2) are read.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub forwarded_headers: ForwardedHeaders,
    /// What holds for every HTTP request that arrives here.
    pub http: Http,
    /// HTTP/2 limits.
    pub http2: Http2,
    /// Present = HTTP/3 on the same port number.
    #[serde(skip_serializing_if = "zero")]
    pub http3: Option<Http3>,
    /// UDP sessions.
    pub udp: Udp,
    /// What is observed here unless a router says otherwise.
    #[serde(skip_serializing_if = "zero")]
    pub observability: Option<Observability>,
    /// What arrives there; never configured.
    #[serde(skip)]
    pub kind: EntryPointKind,
}

/// What arrives at an entry point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryPointKind {
    /// Whoever can reach it.
    #[default]
    Public,
    /// Workloads of this node, on their way into the mesh.
    MeshOut,
    /// Tunnels of other nodes.
    MeshIn,
}

impl Default for EntryPoint {
    fn default() -> Self {
        Self::at(Address::default())
    }
}

impl EntryPoint {
    /// An entry point at `address` with every other option at its default.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            as_default: false,
            reuse_port: false,
            allow_acme_by_pass: false,
            transport: Transport::default(),
            proxy_protocol: None,
            forwarded_headers: ForwardedHeaders::default(),
            http: Http::default(),
            http2: Http2::default(),
            http3: None,
            udp: Udp::default(),
            observability: None,
            kind: EntryPointKind::Public,
        }
    }
}

/// Which peers may say, in a PROXY protocol header, whom they speak for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// Believes every peer.
    #[serde(skip_serializing_if = "zero")]
    pub insecure: bool,
    /// Addresses and ranges of believed peers; the header of any other peer is ignored.
    #[serde(rename = "trustedIPs", skip_serializing_if = "zero")]
    pub trusted_ips: Vec<String>,
}

/// Which peers may say, in `X-Forwarded-*` headers, whom they speak for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForwardedHeaders {
    /// Believes every peer.
    #[serde(skip_serializing_if = "zero")]
    pub insecure: bool,
    /// Addresses and ranges of believed peers; the headers of any other peer are removed.
    #[serde(rename = "trustedIPs", skip_serializing_if = "zero")]
    pub trusted_ips: Vec<String>,
    /// Headers that stay visible to middlewares although the client's `Connection` header names them.
    #[serde(skip_serializing_if = "zero")]
    pub connection: Vec<String>,
    /// Does not append the peer's address to `X-Forwarded-For`.
    #[serde(skip_serializing_if = "zero")]
    pub not_append_x_forwarded_for: bool,
}

/// HTTP/2 limits of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http2 {
    /// Streams that a client may have open at once.
    #[serde(skip_serializing_if = "zero")]
    pub max_concurrent_streams: i64,
    /// Bytes of the header table for decoding.
    #[serde(skip_serializing_if = "zero")]
    pub max_decoder_header_table_size: i64,
    /// Bytes of the header table for encoding.
    #[serde(skip_serializing_if = "zero")]
    pub max_encoder_header_table_size: i64,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 250,
            max_decoder_header_table_size: 4096,
            max_encoder_header_table_size: 4096,
        }
    }
}

/// HTTP/3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http3 {
    /// The UDP port told to clients in `Alt-Svc`; 0 = the entry point's.
    #[serde(skip_serializing_if = "zero")]
    pub advertised_port: i64,
}

/// UDP sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Udp {
    /// Silence after which a session ends.
    #[serde(skip_serializing_if = "zero")]
    pub timeout: Duration,
}

impl Default for Udp {
    fn default() -> Self {
        Self { timeout: Duration::seconds(3) }
    }
}

/// What is observed unless a router says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Observability {
    /// Access log lines.
    pub access_logs: bool,
    /// Metrics.
    pub metrics: bool,
    /// Traces.
    pub tracing: bool,
    /// How many spans a trace has: `minimal` or `detailed`.
    pub trace_verbosity: TraceVerbosity,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            access_logs: true,
            metrics: true,
            tracing: true,
            trace_verbosity: TraceVerbosity::Minimal,
        }
    }
}
