//! Providers: where routing configuration comes from.
//!
//! The options of a provider that is served are defined in the provider's own file, in the providers crate; here they
//! stay a tree until the table there types them. Those of the others are defined here, so that they are read, too.

mod catalogs;
mod ingress_nginx;
mod kubernetes;
mod stores;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::tree::Tree;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::zero;

/// Where routing configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Providers {
    /// How long to gather changes before they apply. Unless set, a change applies after 50 ms of quiet and at the
    /// latest after 250 ms; Traefik waits 2s.
    #[serde(skip_serializing_if = "zero")]
    pub providers_throttle_duration: Option<Duration>,
    /// Whose routers win among those of equal priority, first to last.
    #[serde(skip_serializing_if = "zero")]
    pub precedence: Vec<String>,
    /// Files.
    #[schemars(with = "serde_json::Value")]
    #[serde(skip_serializing)]
    pub file: Option<Tree>,
    /// Containers.
    #[schemars(with = "serde_json::Value")]
    #[serde(skip_serializing)]
    pub docker: Option<Tree>,
    /// Services of a Docker Swarm.
    #[serde(skip_serializing_if = "zero")]
    pub swarm: Option<catalogs::Swarm>,
    /// Kubernetes Ingress objects.
    #[serde(skip_serializing_if = "zero")]
    pub kubernetes_ingress: Option<kubernetes::Ingress>,
    /// Traefik's Kubernetes custom resources.
    #[serde(rename = "kubernetesCRD", skip_serializing_if = "zero")]
    pub kubernetes_crd: Option<kubernetes::Crd>,
    /// Gateway API objects.
    #[serde(skip_serializing_if = "zero")]
    pub kubernetes_gateway: Option<kubernetes::Gateway>,
    /// Kubernetes Ingress objects with the annotations of ingress-nginx.
    #[serde(rename = "kubernetesIngressNGINX", skip_serializing_if = "zero")]
    pub kubernetes_ingress_nginx: Option<ingress_nginx::IngressNginx>,
    /// Knative services.
    #[serde(skip_serializing_if = "zero")]
    pub knative: Option<kubernetes::Knative>,
    /// Services of a Consul catalogue.
    #[serde(skip_serializing_if = "zero")]
    pub consul_catalog: Option<catalogs::ConsulCatalog>,
    /// Services of Nomad.
    #[serde(skip_serializing_if = "zero")]
    pub nomad: Option<catalogs::Nomad>,
    /// Tasks of Amazon ECS.
    #[serde(skip_serializing_if = "zero")]
    pub ecs: Option<catalogs::Ecs>,
    /// Keys of a Consul store.
    #[serde(skip_serializing_if = "zero")]
    pub consul: Option<stores::Consul>,
    /// Keys of etcd.
    #[serde(skip_serializing_if = "zero")]
    pub etcd: Option<stores::Etcd>,
    /// Keys of Redis.
    #[serde(skip_serializing_if = "zero")]
    pub redis: Option<stores::Redis>,
    /// Nodes of ZooKeeper.
    #[serde(skip_serializing_if = "zero")]
    pub zoo_keeper: Option<stores::ZooKeeper>,
    /// A document fetched over HTTP.
    #[serde(skip_serializing_if = "zero")]
    pub http: Option<stores::Http>,
    /// A document put through the API.
    #[serde(skip_serializing_if = "zero")]
    pub rest: Option<stores::Rest>,
    /// Plugins by name, each with options of its own.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    #[serde(skip_serializing)]
    pub plugin: IndexMap<String, Tree>,
}

/// All providers that Traefik has, in the order in which their routers win among those of equal priority.
pub(super) const PRECEDENCE: &[&str] = &[
    "kubernetesgateway",
    "kubernetescrd",
    "kubernetes",
    "kubernetesingressnginx",
    "swarm",
    "docker",
    "file",
    "redis",
    "knative",
    "consul",
    "consulcatalog",
    "nomad",
    "etcd",
    "ecs",
    "http",
    "zookeeper",
    "rest",
];

/// The rule of routers that have none, a template.
const DEFAULT_RULE: &str = "Host(`{{ normalize .Name }}`)";

impl Providers {
    /// The served providers that are switched on, key and options, most preferred first.
    pub fn served(&self) -> Vec<(&'static str, &Tree)> {
        let blocks = [("docker", &self.docker), ("file", &self.file)];
        let on = blocks.into_iter().filter_map(|(name, it)| Some((name, is_on(it.as_ref()?)?)));
        let mut served: Vec<_> = on.collect();
        let order = self.order();
        served.sort_by_key(|(name, _)| order.iter().position(|it| it == name));
        served
    }

    /// The names of providers, most preferred first: those of `precedence`, then the others in Traefik's order.
    pub fn order(&self) -> Vec<&str> {
        let named: Vec<&str> = self.precedence.iter().map(String::as_str).collect();
        let others = PRECEDENCE.iter().copied().filter(|name| !named.contains(name));
        named.iter().copied().chain(others).collect()
    }
}

/// `docker=false` means that there is none.
fn is_on(tree: &Tree) -> Option<&Tree> {
    let off = tree.as_text().is_some_and(|text| text.eq_ignore_ascii_case("false"));
    (!off).then_some(tree)
}
