//! Options of the providers that read labels from a catalogue: Swarm, Consul Catalog, Nomad, ECS.

use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::otlp::ClientTls;
use crate::install::zero;

/// Services of a Docker Swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Swarm {
    /// Serves services that do not say `traefik.enable`.
    #[serde(skip_serializing_if = "zero")]
    pub exposed_by_default: bool,
    /// Which services are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub constraints: String,
    /// Keeps services without tasks, with 503.
    #[serde(skip_serializing_if = "zero")]
    pub allow_empty_services: bool,
    /// The network whose addresses are used.
    #[serde(skip_serializing_if = "zero")]
    pub network: String,
    /// Uses published addresses and ports.
    #[serde(rename = "useBindPortIP", skip_serializing_if = "zero")]
    pub use_bind_port_ip: bool,
    /// Follows changes.
    #[serde(skip_serializing_if = "zero")]
    pub watch: bool,
    /// The rule of routers that have none.
    #[serde(skip_serializing_if = "zero")]
    pub default_rule: String,
    /// For basic authentication.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// For basic authentication.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
    /// Where the engine listens.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// TLS towards the engine.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Time limit of calls to the engine; 0 = none.
    #[serde(skip_serializing_if = "zero")]
    pub http_client_timeout: Duration,
    /// How often the engine is asked.
    #[serde(skip_serializing_if = "zero")]
    pub refresh_seconds: Duration,
}

impl Default for Swarm {
    fn default() -> Self {
        Self {
            exposed_by_default: true,
            constraints: String::new(),
            allow_empty_services: false,
            network: String::new(),
            use_bind_port_ip: false,
            watch: true,
            default_rule: super::DEFAULT_RULE.to_owned(),
            username: String::new(),
            password: Secret::default(),
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            tls: None,
            http_client_timeout: Duration::default(),
            refresh_seconds: Duration::seconds(15),
        }
    }
}

/// Services of a Consul catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsulCatalog {
    /// Which services are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub constraints: String,
    /// What tags begin with.
    #[serde(skip_serializing_if = "zero")]
    pub prefix: String,
    /// How often the catalogue is asked.
    #[serde(skip_serializing_if = "zero")]
    pub refresh_interval: Duration,
    /// Asks for consistent answers.
    #[serde(skip_serializing_if = "zero")]
    pub require_consistent: bool,
    /// Takes stale answers.
    #[serde(skip_serializing_if = "zero")]
    pub stale: bool,
    /// Takes answers from the agent's cache.
    #[serde(skip_serializing_if = "zero")]
    pub cache: bool,
    /// Serves services that do not say `traefik.enable`.
    #[serde(skip_serializing_if = "zero")]
    pub exposed_by_default: bool,
    /// The rule of routers that have none.
    #[serde(skip_serializing_if = "zero")]
    pub default_rule: String,
    /// Serves Consul Connect services.
    #[serde(skip_serializing_if = "zero")]
    pub connect_aware: bool,
    /// Takes every service for a Connect service.
    #[serde(skip_serializing_if = "zero")]
    pub connect_by_default: bool,
    /// The name of this instance in the catalogue.
    #[serde(skip_serializing_if = "zero")]
    pub service_name: String,
    /// Follows changes instead of asking.
    #[serde(skip_serializing_if = "zero")]
    pub watch: bool,
    /// Health states of servers that are used.
    #[serde(skip_serializing_if = "zero")]
    pub strict_checks: Vec<String>,
    /// Watched namespaces.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// The agent.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: Option<ConsulEndpoint>,
}

impl Default for ConsulCatalog {
    fn default() -> Self {
        Self {
            constraints: String::new(),
            prefix: "traefik".to_owned(),
            refresh_interval: Duration::seconds(15),
            require_consistent: false,
            stale: false,
            cache: false,
            exposed_by_default: true,
            default_rule: super::DEFAULT_RULE.to_owned(),
            connect_aware: false,
            connect_by_default: false,
            service_name: "traefik".to_owned(),
            watch: false,
            strict_checks: vec!["passing".to_owned(), "warning".to_owned()],
            namespaces: Vec::new(),
            endpoint: None,
        }
    }
}

/// A Consul agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsulEndpoint {
    /// Its address; empty = 127.0.0.1:8500.
    #[serde(skip_serializing_if = "zero")]
    pub address: String,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "zero")]
    pub scheme: String,
    /// The datacenter that is asked; empty = the agent's.
    #[serde(skip_serializing_if = "zero")]
    pub datacenter: String,
    /// The access token.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// How long a watch waits; 0 = the agent's default.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint_wait_time: Duration,
    /// TLS towards the agent.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Basic authentication towards the agent.
    #[serde(skip_serializing_if = "zero")]
    pub http_auth: Option<BasicAuth>,
}

/// Basic authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuth {
    /// The user.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
}

/// Services of Nomad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Nomad {
    /// The rule of routers that have none.
    #[serde(skip_serializing_if = "zero")]
    pub default_rule: String,
    /// Which services are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub constraints: String,
    /// What tags begin with.
    #[serde(skip_serializing_if = "zero")]
    pub prefix: String,
    /// Takes stale answers.
    #[serde(skip_serializing_if = "zero")]
    pub stale: bool,
    /// Serves services that do not say `traefik.enable`.
    #[serde(skip_serializing_if = "zero")]
    pub exposed_by_default: bool,
    /// How often Nomad is asked.
    #[serde(skip_serializing_if = "zero")]
    pub refresh_interval: Duration,
    /// Keeps services without servers, with 503.
    #[serde(skip_serializing_if = "zero")]
    pub allow_empty_services: bool,
    /// Follows changes instead of asking.
    #[serde(skip_serializing_if = "zero")]
    pub watch: bool,
    /// The least time between two configurations.
    #[serde(skip_serializing_if = "zero")]
    pub throttle_duration: Duration,
    /// Watched namespaces.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
    /// The agent.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: Option<NomadEndpoint>,
}

impl Default for Nomad {
    fn default() -> Self {
        Self {
            default_rule: super::DEFAULT_RULE.to_owned(),
            constraints: String::new(),
            prefix: "traefik".to_owned(),
            stale: false,
            exposed_by_default: true,
            refresh_interval: Duration::seconds(15),
            allow_empty_services: false,
            watch: false,
            throttle_duration: Duration::default(),
            namespaces: Vec::new(),
            endpoint: None,
        }
    }
}

/// A Nomad agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NomadEndpoint {
    /// Its URL.
    #[serde(skip_serializing_if = "zero")]
    pub address: String,
    /// The region that is asked; empty = the agent's.
    #[serde(skip_serializing_if = "zero")]
    pub region: String,
    /// The access token.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// How long a watch waits; 0 = the agent's default.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint_wait_time: Duration,
    /// TLS towards the agent.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
}

impl Default for NomadEndpoint {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:4646".to_owned(),
            region: String::new(),
            token: Secret::default(),
            endpoint_wait_time: Duration::default(),
            tls: None,
        }
    }
}

/// Tasks of Amazon ECS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Ecs {
    /// Which tasks are looked at.
    #[serde(skip_serializing_if = "zero")]
    pub constraints: String,
    /// Serves tasks that do not say `traefik.enable`.
    #[serde(skip_serializing_if = "zero")]
    pub exposed_by_default: bool,
    /// Seconds between two questions.
    #[serde(skip_serializing_if = "zero")]
    pub refresh_seconds: i64,
    /// The rule of routers that have none.
    #[serde(skip_serializing_if = "zero")]
    pub default_rule: String,
    /// Clusters that are asked.
    #[serde(skip_serializing_if = "zero")]
    pub clusters: Vec<String>,
    /// Asks all clusters.
    #[serde(skip_serializing_if = "zero")]
    pub auto_discover_clusters: bool,
    /// Uses healthy tasks only.
    #[serde(skip_serializing_if = "zero")]
    pub healthy_tasks_only: bool,
    /// Uses external instances, too.
    #[serde(skip_serializing_if = "zero")]
    pub ecs_anywhere: bool,
    /// The region.
    #[serde(skip_serializing_if = "zero")]
    pub region: String,
    /// The access key.
    #[serde(rename = "accessKeyID", skip_serializing_if = "zero")]
    pub access_key_id: String,
    /// Its secret.
    #[serde(skip_serializing_if = "zero")]
    pub secret_access_key: Secret,
}

impl Default for Ecs {
    fn default() -> Self {
        Self {
            constraints: String::new(),
            exposed_by_default: true,
            refresh_seconds: 15,
            default_rule: super::DEFAULT_RULE.to_owned(),
            clusters: vec!["default".to_owned()],
            auto_discover_clusters: false,
            healthy_tasks_only: false,
            ecs_anywhere: false,
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
        }
    }
}
