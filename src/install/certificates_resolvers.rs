//! Certificates resolvers: where certificates are ordered from.

use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::zero;

/// Where certificates are ordered from: one of the kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificatesResolver {
    /// An ACME authority such as Let's Encrypt.
    #[serde(skip_serializing_if = "zero")]
    pub acme: Option<Acme>,
    /// The machine's Tailscale daemon.
    #[serde(skip_serializing_if = "zero")]
    pub tailscale: Option<Tailscale>,
}

/// The machine's Tailscale daemon; it has no options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tailscale {}

/// An ACME authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Acme {
    /// The contact address of the account.
    #[serde(skip_serializing_if = "zero")]
    pub email: String,
    /// Further contact addresses.
    #[serde(skip_serializing_if = "zero")]
    pub email_addresses: Vec<String>,
    /// The directory of the authority.
    #[serde(skip_serializing_if = "zero")]
    pub ca_server: String,
    /// The certificate chain that is preferred if the authority offers several.
    #[serde(skip_serializing_if = "zero")]
    pub preferred_chain: String,
    /// The certificate profile that is ordered.
    #[serde(skip_serializing_if = "zero")]
    pub profile: String,
    /// Orders certificates without a common name.
    #[serde(skip_serializing_if = "zero")]
    pub disable_common_name: bool,
    /// The file that holds the account and its certificates.
    #[serde(skip_serializing_if = "zero")]
    pub storage: String,
    /// `EC256`, `EC384`, `RSA2048`, `RSA4096` or `RSA8192`.
    #[serde(skip_serializing_if = "zero")]
    pub key_type: String,
    /// Binds the account to one at the authority.
    #[serde(skip_serializing_if = "zero")]
    pub eab: Option<Eab>,
    /// Hours that certificates last; decides when they are renewed.
    #[serde(skip_serializing_if = "zero")]
    pub certificates_duration: i64,
    /// How long a whole exchange with the authority may take.
    #[serde(skip_serializing_if = "zero")]
    pub client_timeout: Duration,
    /// How long the authority may take to begin its answer.
    #[serde(skip_serializing_if = "zero")]
    pub client_response_header_timeout: Duration,
    /// How long the authority may take to issue a certificate.
    #[serde(skip_serializing_if = "zero")]
    pub certificate_timeout: Duration,
    /// Files with the authority's own roots.
    #[serde(skip_serializing_if = "zero")]
    pub ca_certificates: Vec<String>,
    /// Trusts the system's roots as well.
    #[serde(skip_serializing_if = "zero")]
    pub ca_system_cert_pool: bool,
    /// The name expected in the authority's certificate.
    #[serde(skip_serializing_if = "zero")]
    pub ca_server_name: String,
    /// Proves control by a DNS record.
    #[serde(skip_serializing_if = "zero")]
    pub dns_challenge: Option<DnsChallenge>,
    /// Proves control by an HTTP answer.
    #[serde(skip_serializing_if = "zero")]
    pub http_challenge: Option<HttpChallenge>,
    /// Proves control by a TLS answer.
    #[serde(skip_serializing_if = "zero")]
    pub tls_challenge: Option<TlsChallenge>,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            email: String::new(),
            email_addresses: Vec::new(),
            ca_server: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            preferred_chain: String::new(),
            profile: String::new(),
            disable_common_name: false,
            storage: "acme.json".to_owned(),
            key_type: "RSA4096".to_owned(),
            eab: None,
            certificates_duration: 2160,
            client_timeout: Duration::seconds(120),
            client_response_header_timeout: Duration::seconds(30),
            certificate_timeout: Duration::seconds(30),
            ca_certificates: Vec::new(),
            ca_system_cert_pool: false,
            ca_server_name: String::new(),
            dns_challenge: None,
            http_challenge: None,
            tls_challenge: None,
        }
    }
}

/// External account binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Eab {
    /// The key identifier that the authority gave.
    #[serde(skip_serializing_if = "zero")]
    pub kid: String,
    /// The key that the authority gave, in base64.
    #[serde(skip_serializing_if = "zero")]
    pub hmac_encoded: Secret,
}

/// Proves control by a DNS record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DnsChallenge {
    /// Who hosts the zone.
    #[serde(skip_serializing_if = "zero")]
    pub provider: String,
    /// Resolvers that are asked whether the record is visible.
    #[serde(skip_serializing_if = "zero")]
    pub resolvers: Vec<String>,
    /// How its visibility is checked.
    #[serde(skip_serializing_if = "zero")]
    pub propagation: Option<Propagation>,
    /// Deprecated name of `propagation.delayBeforeChecks`.
    #[serde(skip_serializing_if = "zero")]
    pub delay_before_check: Duration,
    /// Deprecated name of `propagation.disableChecks`.
    #[serde(skip_serializing_if = "zero")]
    pub disable_propagation_check: bool,
}

/// How the visibility of a DNS record is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Propagation {
    /// Does not check at all.
    #[serde(skip_serializing_if = "zero")]
    pub disable_checks: bool,
    /// Does not ask the zone's own name servers.
    #[serde(rename = "disableANSChecks", skip_serializing_if = "zero")]
    pub disable_ans_checks: bool,
    /// Waits for every recursive resolver.
    #[serde(rename = "requireAllRNS", skip_serializing_if = "zero")]
    pub require_all_rns: bool,
    /// Waits before the first check.
    #[serde(skip_serializing_if = "zero")]
    pub delay_before_checks: Duration,
}

/// Proves control by an HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpChallenge {
    /// Where the authority's request arrives.
    #[serde(skip_serializing_if = "zero")]
    pub entry_point: String,
    /// Waits before the authority is told to ask.
    #[serde(skip_serializing_if = "zero")]
    pub delay: Duration,
}

/// Proves control by a TLS answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsChallenge {
    /// Waits before the authority is told to ask.
    #[serde(skip_serializing_if = "zero")]
    pub delay: Duration,
}
