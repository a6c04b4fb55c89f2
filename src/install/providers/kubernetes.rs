//! Options of the Kubernetes providers: Ingress, custom resources, Gateway API, Knative.

use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::zero;

/// Ingress objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ingress {
    /// The API server's URL; empty = from inside the cluster or the kubeconfig.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// The bearer token, or the file that holds it.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// The authority of the API server.
    #[serde(skip_serializing_if = "zero")]
    pub cert_auth_file_path: String,
    /// Watched namespaces; empty = all.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// Which objects are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub label_selector: String,
    /// Which class is served.
    #[serde(skip_serializing_if = "zero")]
    pub ingress_class: String,
    /// What is written into the status of served objects.
    #[serde(skip_serializing_if = "zero")]
    pub ingress_endpoint: Option<IngressEndpoint>,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// Serves services without ready pods, with 503.
    #[serde(skip_serializing_if = "zero")]
    pub allow_empty_services: bool,
    /// Follows services of type ExternalName.
    #[serde(skip_serializing_if = "zero")]
    pub allow_external_name_services: bool,
    /// Deprecated name of `disableClusterScopeResources`.
    #[serde(skip_serializing_if = "zero")]
    pub disable_ingress_class_lookup: bool,
    /// Does not read IngressClass and Node objects.
    #[serde(skip_serializing_if = "zero")]
    pub disable_cluster_scope_resources: bool,
    /// Sends to the service's address instead of its pods'.
    #[serde(rename = "nativeLBByDefault", skip_serializing_if = "zero")]
    pub native_lb_by_default: bool,
    /// A prefix matches whole path segments only.
    #[serde(skip_serializing_if = "zero")]
    pub strict_prefix_matching: bool,
    /// Namespaces whose objects may name parts of other providers; absent = all.
    #[serde(skip_serializing_if = "zero")]
    pub cross_provider_namespaces: Option<Vec<String>>,
}

/// What is written into the status of served Ingress objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressEndpoint {
    /// An address.
    #[serde(skip_serializing_if = "zero")]
    pub ip: String,
    /// A name.
    #[serde(skip_serializing_if = "zero")]
    pub hostname: String,
    /// The `namespace/name` of the service whose status is copied.
    #[serde(skip_serializing_if = "zero")]
    pub published_service: String,
}

/// Traefik's custom resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Crd {
    /// The API server's URL; empty = from inside the cluster or the kubeconfig.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// The bearer token, or the file that holds it.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// The authority of the API server.
    #[serde(skip_serializing_if = "zero")]
    pub cert_auth_file_path: String,
    /// Watched namespaces; empty = all.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// Objects may name objects of other namespaces.
    #[serde(skip_serializing_if = "zero")]
    pub allow_cross_namespace: bool,
    /// Follows services of type ExternalName.
    #[serde(skip_serializing_if = "zero")]
    pub allow_external_name_services: bool,
    /// Which objects are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub label_selector: String,
    /// Which class is served.
    #[serde(skip_serializing_if = "zero")]
    pub ingress_class: String,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// Serves services without ready pods, with 503.
    #[serde(skip_serializing_if = "zero")]
    pub allow_empty_services: bool,
    /// Sends to the service's address instead of its pods'.
    #[serde(rename = "nativeLBByDefault", skip_serializing_if = "zero")]
    pub native_lb_by_default: bool,
    /// Does not read IngressClass and Node objects.
    #[serde(skip_serializing_if = "zero")]
    pub disable_cluster_scope_resources: bool,
    /// Namespaces whose objects may name parts of other providers; absent = all.
    #[serde(skip_serializing_if = "zero")]
    pub cross_provider_namespaces: Option<Vec<String>>,
    /// Gives objects names that cannot collide.
    #[serde(skip_serializing_if = "zero")]
    pub safe_naming: Option<bool>,
    /// The namespace whose TLS options and stores named `default` count.
    #[serde(rename = "defaultTLSResourcesNamespace", skip_serializing_if = "zero")]
    pub default_tls_resources_namespace: String,
}

/// Gateway API objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// The API server's URL; empty = from inside the cluster or the kubeconfig.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// The bearer token, or the file that holds it.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// The authority of the API server.
    #[serde(skip_serializing_if = "zero")]
    pub cert_auth_file_path: String,
    /// Watched namespaces; empty = all.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// Which objects are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub label_selector: String,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// Reads the objects of the experimental channel, too.
    #[serde(skip_serializing_if = "zero")]
    pub experimental_channel: bool,
    /// What is written into the status of served Gateways.
    #[serde(skip_serializing_if = "zero")]
    pub status_address: Option<StatusAddress>,
    /// Sends to the service's address instead of its pods'.
    #[serde(rename = "nativeLBByDefault", skip_serializing_if = "zero")]
    pub native_lb_by_default: bool,
    /// Calls to the API server in a second.
    #[serde(skip_serializing_if = "zero")]
    pub qps: i64,
    /// Calls to the API server at once.
    #[serde(skip_serializing_if = "zero")]
    pub burst: i64,
    /// Namespaces whose objects may name parts of other providers; absent = all.
    #[serde(skip_serializing_if = "zero")]
    pub cross_provider_namespaces: Option<Vec<String>>,
    /// Serves these Gateways only.
    #[serde(skip_serializing_if = "zero")]
    pub gateways: Vec<ObjectName>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            token: Secret::default(),
            cert_auth_file_path: String::new(),
            namespaces: Vec::new(),
            label_selector: String::new(),
            throttle_duration: Duration::default(),
            experimental_channel: false,
            status_address: None,
            native_lb_by_default: false,
            qps: 50,
            burst: 100,
            cross_provider_namespaces: None,
            gateways: Vec::new(),
        }
    }
}

/// What is written into the status of served Gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusAddress {
    /// An address.
    #[serde(skip_serializing_if = "zero")]
    pub ip: String,
    /// A name.
    #[serde(skip_serializing_if = "zero")]
    pub hostname: String,
    /// The service whose status is copied.
    #[serde(skip_serializing_if = "zero")]
    pub service: Option<ObjectName>,
}

/// The name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectName {
    /// Its name.
    #[serde(skip_serializing_if = "zero")]
    pub name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "zero")]
    pub namespace: String,
}

/// Knative services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Knative {
    /// The API server's URL; empty = from inside the cluster or the kubeconfig.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// The bearer token, or the file that holds it.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// The authority of the API server.
    #[serde(skip_serializing_if = "zero")]
    pub cert_auth_file_path: String,
    /// Watched namespaces; empty = all.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// Which objects are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub label_selector: String,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// Entry points of services that the world sees.
    #[serde(skip_serializing_if = "zero")]
    pub public_entrypoints: Vec<String>,
    /// The service that the world reaches.
    #[serde(skip_serializing_if = "zero")]
    pub public_service: Option<ObjectName>,
    /// Entry points of services that the cluster sees.
    #[serde(skip_serializing_if = "zero")]
    pub private_entrypoints: Vec<String>,
    /// The service that the cluster reaches.
    #[serde(skip_serializing_if = "zero")]
    pub private_service: Option<ObjectName>,
}
