//! What Traefik calls experimental: plugins and switches.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::zero;

/// What Traefik calls experimental.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Experimental {
    /// Plugins by name.
    #[schemars(with = "BTreeMap<String, Plugin>")]
    #[serde(skip_serializing_if = "zero")]
    pub plugins: IndexMap<String, Plugin>,
    /// Plugins from local sources, by name.
    #[schemars(with = "BTreeMap<String, LocalPlugin>")]
    #[serde(skip_serializing_if = "zero")]
    pub local_plugins: IndexMap<String, LocalPlugin>,
    /// Does not start if a plugin cannot be loaded.
    #[serde(skip_serializing_if = "zero")]
    pub abort_on_plugin_failure: bool,
    /// Traefik's second HTTP client; Portcullis has one that is always fast.
    #[serde(skip_serializing_if = "zero")]
    pub fast_proxy: Option<FastProxy>,
    /// Allows `log.otlp` and `accessLog.otlp`.
    #[serde(skip_serializing_if = "zero")]
    pub otlp_logs: bool,
    /// Allows the provider `knative`.
    #[serde(skip_serializing_if = "zero")]
    pub knative: bool,
    /// No longer needed.
    #[serde(skip_serializing_if = "zero")]
    pub kubernetes_gateway: bool,
    /// No longer needed.
    #[serde(rename = "kubernetesIngressNGINX", skip_serializing_if = "zero")]
    pub kubernetes_ingress_nginx: bool,
}

/// Traefik's second HTTP client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FastProxy {
    /// Marks responses that went through it.
    #[serde(skip_serializing_if = "zero")]
    pub debug: bool,
}

/// A plugin from the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Plugin {
    /// Its module.
    #[serde(skip_serializing_if = "zero")]
    pub module_name: String,
    /// Its version.
    #[serde(skip_serializing_if = "zero")]
    pub version: String,
    /// The hash of its sources.
    #[serde(skip_serializing_if = "zero")]
    pub hash: String,
    /// What it may use.
    #[serde(skip_serializing_if = "zero")]
    pub settings: Option<PluginSettings>,
}

/// A plugin from local sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPlugin {
    /// Its module.
    #[serde(skip_serializing_if = "zero")]
    pub module_name: String,
    /// What it may use.
    #[serde(skip_serializing_if = "zero")]
    pub settings: Option<PluginSettings>,
}

/// What a plugin may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginSettings {
    /// Environment variables it may read.
    #[serde(skip_serializing_if = "zero")]
    pub envs: Vec<String>,
    /// Directories it may see.
    #[serde(skip_serializing_if = "zero")]
    pub mounts: Vec<String>,
    /// Whether it may use unsafe packages.
    #[serde(skip_serializing_if = "zero")]
    pub use_unsafe: bool,
}
