//! `Install`: the install configuration, typed. Traefik calls it static: it does not change while the process runs.
//!
//! The whole tree decodes, also what is not served yet ([`unserved`] names it), so that a configuration written for
//! Traefik is read completely and nothing in it is silently lost. Doc comments of fields are the manual: `portcullis
//! help flags` prints them.

mod access_log;
mod address;
mod api;
mod certificates_resolvers;
mod entry_points;
mod experimental;
mod log;
mod mesh;
mod metrics;
mod otlp;
mod providers;
pub mod schema;
#[cfg(test)]
mod tests;
mod tracing;
mod transports;
pub mod unserved;
mod validate;
mod workload_api;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::tree::{Tree, decode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access_log::{
    AccessLog, Fields, Filters, Format as AccessLogFormat, Headers as AccessLogHeaders, Mode,
    QueryParameters,
};
pub use address::{Address, Host, Protocol};
pub use api::{Api, Ping};
pub use certificates_resolvers::{Acme, CertificatesResolver, DnsChallenge, Eab};
pub use entry_points::{
    AliasHeadersStrategy, Domain, EncodedCharacters, EntryPoint, EntryPointKind, ForwardedHeaders,
    Http, Http2, Http3, LifeCycle, Observability, ProxyProtocol, Redirection, Redirections,
    RespondingTimeouts, Tls, TraceVerbosity, Transport, Udp,
};
pub use experimental::Experimental;
pub use log::{Format as LogFormat, Level, Log};
pub use mesh::{
    DefaultPolicy, Dns, Identity, IdentityFiles, IdentitySource, Join, Mesh, MeshMode, MeshRole,
    MeshUpstream,
};
pub use metrics::{Metrics, Prometheus};
pub use otlp::{ClientTls, LogExport, OtlpGrpc, OtlpHttp};
pub use providers::Providers;
pub use tracing::Tracing;
pub use transports::{
    ForwardingTimeouts, HostResolver, Ocsp, ServersTransport, Spiffe, SpiffeIdentities,
    TcpServersTransport, TcpTls,
};
pub use workload_api::WorkloadApi;

/// The entry point of the API, ping and metrics unless the user says otherwise.
pub const INTERNAL_ENTRY_POINT: &str = "traefik";
/// The entry point that exists if the user defines none.
pub const DEFAULT_ENTRY_POINT: &str = "http";
/// The name under which exporters report and prefix by default; Traefik's, so that existing dashboards go on.
const REPORTED_NAME: &str = "traefik";

/// The whole install configuration. Serialises as the API shows it: empty fields left out, secrets hidden.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Install {
    /// Switches that Traefik keeps here.
    pub global: Global,
    /// How rules and TLS options are read.
    pub core: Core,
    /// Where connections arrive, by name.
    #[schemars(with = "BTreeMap<String, EntryPoint>")]
    #[serde(skip_serializing_if = "zero")]
    pub entry_points: IndexMap<String, EntryPoint>,
    /// Where routing configuration comes from.
    pub providers: Providers,
    /// The API and the dashboard.
    #[serde(skip_serializing_if = "zero")]
    pub api: Option<Api>,
    /// The answer to health checks.
    #[serde(skip_serializing_if = "zero")]
    pub ping: Option<Ping>,
    /// Metrics.
    #[serde(skip_serializing_if = "zero")]
    pub metrics: Option<Metrics>,
    /// The log of the process itself.
    #[serde(skip_serializing_if = "zero")]
    pub log: Option<Log>,
    /// The access log.
    #[serde(skip_serializing_if = "zero")]
    pub access_log: Option<AccessLog>,
    /// Traces of requests.
    #[serde(skip_serializing_if = "zero")]
    pub tracing: Option<Tracing>,
    /// Where certificates are ordered from, by name.
    #[schemars(with = "BTreeMap<String, CertificatesResolver>")]
    #[serde(skip_serializing_if = "zero")]
    pub certificates_resolvers: IndexMap<String, CertificatesResolver>,
    /// How HTTP servers are reached by default.
    pub servers_transport: ServersTransport,
    /// How TCP servers are reached by default.
    pub tcp_servers_transport: TcpServersTransport,
    /// How host names follow DNS aliases.
    #[serde(skip_serializing_if = "zero")]
    pub host_resolver: Option<HostResolver>,
    /// The SPIFFE workload API.
    #[serde(skip_serializing_if = "zero")]
    pub spiffe: Option<Spiffe>,
    /// Stapled certificate status.
    #[serde(skip_serializing_if = "zero")]
    pub ocsp: Option<Ocsp>,
    /// What this process is in the mesh; absent = it has no part in one.
    #[serde(skip_serializing_if = "zero")]
    pub mesh: Option<Mesh>,
    /// Plugins and switches.
    #[serde(skip_serializing_if = "zero")]
    pub experimental: Option<Experimental>,
}

/// Switches that Traefik keeps here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Global {
    /// Accepted for compatibility; Portcullis never calls out.
    #[serde(skip_serializing_if = "zero")]
    pub check_new_version: bool,
    /// Accepted for compatibility; Portcullis never calls out.
    #[serde(skip_serializing_if = "zero")]
    pub send_anonymous_usage: Option<bool>,
    /// Does not append the peer's address to `X-Forwarded-For`, on every entry point. Deprecated: each has its own.
    #[serde(skip_serializing_if = "zero")]
    pub not_append_x_forwarded_for: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            check_new_version: true,
            send_anonymous_usage: None,
            not_append_x_forwarded_for: false,
        }
    }
}

/// How rules and TLS options are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Core {
    /// The syntax of rules: `v3`.
    pub default_rule_syntax: String,
    /// Disables routers whose TLS options conflict with those of another router for the same host.
    #[serde(rename = "strictTLSOptions", skip_serializing_if = "zero")]
    pub strict_tls_options: bool,
}

impl Default for Core {
    fn default() -> Self {
        Self { default_rule_syntax: "v3".to_owned(), strict_tls_options: false }
    }
}

impl Install {
    /// Types `tree`, checks it and adds the entry points that it needs. `activated` are the entry points for which
    /// systemd holds a socket: these need no address.
    ///
    /// Returns the configuration with its warnings, or every problem.
    pub fn from_tree(
        tree: &Tree,
        activated: &[&str],
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = unserved::warnings(tree);
        let (install, mismatches) = decode::decode_collect::<Self>(tree);
        let fits = mismatches.is_empty();
        problems.extend(
            mismatches.into_iter().map(|mismatch| {
                Problem::error(Kind::Install, "", mismatch.message).at(mismatch.at)
            }),
        );
        let Some(mut install) = install else { return Err(problems) };
        install.complete();
        problems.extend(validate::problems(&install, tree, activated));
        if fits && !problems.iter().any(is_error) { Ok((install, problems)) } else { Err(problems) }
    }

    /// Adds the entry points that must exist: `http` on `:80` if the user defines none, `traefik` on `:8080` if the
    /// API, ping or metrics want it.
    fn complete(&mut self) {
        if self.entry_points.is_empty() {
            let entry_point = EntryPoint::at(Address::any(80));
            self.entry_points.insert(DEFAULT_ENTRY_POINT.to_owned(), entry_point);
        }
        if self.wants_internal_entry_point()
            && !self.entry_points.contains_key(INTERNAL_ENTRY_POINT)
        {
            let entry_point = EntryPoint::at(Address::any(8080));
            self.entry_points.insert(INTERNAL_ENTRY_POINT.to_owned(), entry_point);
        }
        if let Some(mesh) = &self.mesh {
            let added = mesh.entry_points();
            self.entry_points.extend(added);
        }
    }

    fn wants_internal_entry_point(&self) -> bool {
        let api = self.api.as_ref().is_some_and(|api| api.insecure);
        let ping = self
            .ping
            .as_ref()
            .is_some_and(|ping| !ping.manual_routing && ping.entry_point == INTERNAL_ENTRY_POINT);
        let metrics = self.metrics.as_ref().and_then(|metrics| metrics.prometheus.as_ref());
        let prometheus = metrics.is_some_and(|prometheus| {
            !prometheus.manual_routing && prometheus.entry_point == INTERNAL_ENTRY_POINT
        });
        api || ping || prometheus
    }

    /// The entry points of routers that name none: those with `asDefault`, or all but the internal one.
    pub fn default_entry_points(&self) -> Vec<&str> {
        let names = |chosen: fn(&EntryPoint) -> bool| -> Vec<&str> {
            let listed = self.entry_points.iter();
            let external = listed.filter(|(name, it)| {
                *name != INTERNAL_ENTRY_POINT && it.kind == EntryPointKind::Public
            });
            external.filter(|(_, it)| chosen(it)).map(|(name, _)| name.as_str()).collect()
        };
        let marked = names(|entry_point| entry_point.as_default);
        if marked.is_empty() { names(|_| true) } else { marked }
    }
}

fn is_error(problem: &Problem) -> bool {
    problem.severity == portcullis_config::problem::Severity::Error
}

/// Whether `value` is what Go calls zero: such fields are left out of JSON, as Traefik does.
fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
