//! Options of the provider for Ingress objects with the annotations of ingress-nginx.

use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::zero;

/// Ingress objects with the annotations of ingress-nginx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressNginx {
    /// The API server's URL; empty = from inside the cluster or the kubeconfig.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// The bearer token, or the file that holds it.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// The authority of the API server.
    #[serde(skip_serializing_if = "zero")]
    pub cert_auth_file_path: String,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// The watched namespace; empty = all. Not together with `watchNamespaceSelector`.
    #[serde(skip_serializing_if = "zero")]
    pub watch_namespace: String,
    /// Watches the namespaces with these labels.
    #[serde(skip_serializing_if = "zero")]
    pub watch_namespace_selector: String,
    /// The class that is served.
    #[serde(skip_serializing_if = "zero")]
    pub ingress_class: String,
    /// The controller that served classes name.
    #[serde(skip_serializing_if = "zero")]
    pub controller_class: String,
    /// Serves objects without a class, too.
    #[serde(skip_serializing_if = "zero")]
    pub watch_ingress_without_class: bool,
    /// Finds classes by name, too.
    #[serde(skip_serializing_if = "zero")]
    pub ingress_class_by_name: bool,
    /// The `namespace/name` of the service whose status is copied.
    #[serde(skip_serializing_if = "zero")]
    pub publish_service: String,
    /// Addresses written into the status.
    #[serde(skip_serializing_if = "zero")]
    pub publish_status_address: Vec<String>,
    /// The `namespace/name` of the service that answers what no rule matches.
    #[serde(skip_serializing_if = "zero")]
    pub default_backend_service: String,
    /// Does not follow services of type ExternalName.
    #[serde(skip_serializing_if = "zero")]
    pub disable_svc_external_name: bool,
    /// Reads snippet annotations.
    #[serde(skip_serializing_if = "zero")]
    pub allow_snippet_annotations: bool,
    /// Objects may name objects of other namespaces.
    #[serde(skip_serializing_if = "zero")]
    pub allow_cross_namespace_resources: bool,
    /// Refuses paths that do not fit their type.
    #[serde(skip_serializing_if = "zero")]
    pub strict_validate_path_type: bool,
    /// The URL that is asked to admit each request.
    #[serde(rename = "globalAuthURL", skip_serializing_if = "zero")]
    pub global_auth_url: String,
    /// Response headers that annotations may set.
    #[serde(skip_serializing_if = "zero")]
    pub global_allowed_response_headers: Vec<String>,
    /// Status codes that the default back end answers instead.
    #[serde(rename = "customHTTPErrors", skip_serializing_if = "zero")]
    pub custom_http_errors: Vec<String>,
    /// The entry point for HTTP.
    #[serde(skip_serializing_if = "zero")]
    pub http_entry_point: String,
    /// The entry point for HTTPS.
    #[serde(skip_serializing_if = "zero")]
    pub https_entry_point: String,
    /// How the client's address is found.
    #[serde(skip_serializing_if = "zero")]
    pub ip_allow_list_strategy: Option<IpStrategy>,
    /// Reads whole requests before they are sent on.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_request_buffering: bool,
    /// Bytes of a request body.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_body_size: i64,
    /// Bytes of a request body kept in memory.
    #[serde(skip_serializing_if = "zero")]
    pub client_body_buffer_size: i64,
    /// Reads whole responses before they are sent on.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_buffering: bool,
    /// Bytes of a response head.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_buffer_size: i64,
    /// Buffers of one response.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_buffers_number: i64,
    /// Seconds to connect.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_connect_timeout: i64,
    /// Seconds between two reads from the server.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_read_timeout: i64,
    /// Seconds between two writes to the server.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_send_timeout: i64,
    /// When the next server is tried.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_next_upstream: String,
    /// Servers that are tried.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_next_upstream_tries: i64,
    /// Seconds in which servers are tried; 0 = no limit.
    #[serde(skip_serializing_if = "zero")]
    pub proxy_next_upstream_timeout: i64,
    /// Seconds that idle connections to servers are kept.
    #[serde(skip_serializing_if = "zero")]
    pub upstream_keepalive_timeout: i64,
}

impl Default for IngressNginx {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            token: Secret::default(),
            cert_auth_file_path: String::new(),
            throttle_duration: Duration::default(),
            watch_namespace: String::new(),
            watch_namespace_selector: String::new(),
            ingress_class: "nginx".to_owned(),
            controller_class: "k8s.io/ingress-nginx".to_owned(),
            watch_ingress_without_class: false,
            ingress_class_by_name: false,
            publish_service: String::new(),
            publish_status_address: Vec::new(),
            default_backend_service: String::new(),
            disable_svc_external_name: false,
            allow_snippet_annotations: false,
            allow_cross_namespace_resources: false,
            strict_validate_path_type: true,
            global_auth_url: String::new(),
            global_allowed_response_headers: Vec::new(),
            custom_http_errors: Vec::new(),
            http_entry_point: String::new(),
            https_entry_point: String::new(),
            ip_allow_list_strategy: None,
            proxy_request_buffering: false,
            proxy_body_size: 1_048_576,
            client_body_buffer_size: 16_384,
            proxy_buffering: false,
            proxy_buffer_size: 8192,
            proxy_buffers_number: 4,
            proxy_connect_timeout: 60,
            proxy_read_timeout: 60,
            proxy_send_timeout: 60,
            proxy_next_upstream: "error timeout".to_owned(),
            proxy_next_upstream_tries: 3,
            proxy_next_upstream_timeout: 0,
            upstream_keepalive_timeout: 60,
        }
    }
}

/// How the client's address is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IpStrategy {
    /// Takes this address of `X-Forwarded-For`, counted from the right; 0 = the peer's.
    #[serde(skip_serializing_if = "zero")]
    pub depth: i64,
    /// Takes the first address of `X-Forwarded-For`, from the right, that is not one of these.
    #[serde(rename = "excludedIPs", skip_serializing_if = "zero")]
    pub excluded_ips: Vec<String>,
    /// Takes IPv6 addresses of one network of this prefix length for one client.
    #[serde(rename = "ipv6Subnet", skip_serializing_if = "zero")]
    pub ipv6_subnet: i64,
}
