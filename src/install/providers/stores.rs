//! Options of the providers that read keys of a store or a document over HTTP.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use portcullis_config::units::{Duration, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::install::otlp::ClientTls;
use crate::install::zero;

/// Keys of a Consul store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Consul {
    /// What keys begin with.
    #[serde(skip_serializing_if = "zero")]
    pub root_key: String,
    /// Addresses of the store.
    #[serde(skip_serializing_if = "zero")]
    pub endpoints: Vec<String>,
    /// The access token.
    #[serde(skip_serializing_if = "zero")]
    pub token: Secret,
    /// TLS towards the store.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Watched namespaces.
    #[serde(skip_serializing_if = "zero")]
    pub namespaces: Vec<String>,
}

impl Default for Consul {
    fn default() -> Self {
        Self {
            root_key: "traefik".to_owned(),
            endpoints: vec!["127.0.0.1:8500".to_owned()],
            token: Secret::default(),
            tls: None,
            namespaces: Vec::new(),
        }
    }
}

/// Keys of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Etcd {
    /// What keys begin with.
    #[serde(skip_serializing_if = "zero")]
    pub root_key: String,
    /// Addresses of the store.
    #[serde(skip_serializing_if = "zero")]
    pub endpoints: Vec<String>,
    /// TLS towards the store.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// The user.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            root_key: "traefik".to_owned(),
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            tls: None,
            username: String::new(),
            password: Secret::default(),
        }
    }
}

/// Keys of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Redis {
    /// What keys begin with.
    #[serde(skip_serializing_if = "zero")]
    pub root_key: String,
    /// Addresses of the store.
    #[serde(skip_serializing_if = "zero")]
    pub endpoints: Vec<String>,
    /// TLS towards the store.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// The user.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
    /// The number of the database.
    #[serde(skip_serializing_if = "zero")]
    pub db: i64,
    /// Finds the store through sentinels.
    #[serde(skip_serializing_if = "zero")]
    pub sentinel: Option<Sentinel>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            root_key: "traefik".to_owned(),
            endpoints: vec!["127.0.0.1:6379".to_owned()],
            tls: None,
            username: String::new(),
            password: Secret::default(),
            db: 0,
            sentinel: None,
        }
    }
}

/// Sentinels of Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sentinel {
    /// The name of the master.
    #[serde(skip_serializing_if = "zero")]
    pub master_name: String,
    /// The user.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
    /// Reads from the nearest replica.
    #[serde(skip_serializing_if = "zero")]
    pub latency_strategy: bool,
    /// Reads from a random replica.
    #[serde(skip_serializing_if = "zero")]
    pub random_strategy: bool,
    /// Reads from replicas.
    #[serde(skip_serializing_if = "zero")]
    pub replica_strategy: bool,
    /// Reads from disconnected replicas, too.
    #[serde(skip_serializing_if = "zero")]
    pub use_disconnected_replicas: bool,
}

/// Nodes of ZooKeeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZooKeeper {
    /// What keys begin with.
    #[serde(skip_serializing_if = "zero")]
    pub root_key: String,
    /// Addresses of the store.
    #[serde(skip_serializing_if = "zero")]
    pub endpoints: Vec<String>,
    /// The user.
    #[serde(skip_serializing_if = "zero")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "zero")]
    pub password: Secret,
}

impl Default for ZooKeeper {
    fn default() -> Self {
        Self {
            root_key: "traefik".to_owned(),
            endpoints: vec!["127.0.0.1:2181".to_owned()],
            username: String::new(),
            password: Secret::default(),
        }
    }
}

/// A document fetched over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// Its URL.
    #[serde(skip_serializing_if = "zero")]
    pub endpoint: String,
    /// How often it is fetched.
    #[serde(skip_serializing_if = "zero")]
    pub poll_interval: Duration,
    /// Time limit of a fetch.
    #[serde(skip_serializing_if = "zero")]
    pub poll_timeout: Duration,
    /// Headers sent along, such as credentials.
    #[schemars(with = "BTreeMap<String, Secret>")]
    #[serde(skip_serializing_if = "zero")]
    pub headers: IndexMap<String, Secret>,
    /// TLS towards the server.
    #[serde(skip_serializing_if = "zero")]
    pub tls: Option<ClientTls>,
    /// Bytes of the document; -1 = any number.
    #[serde(skip_serializing_if = "zero")]
    pub max_response_body_size: i64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            poll_interval: Duration::seconds(5),
            poll_timeout: Duration::seconds(5),
            headers: IndexMap::default(),
            tls: None,
            max_response_body_size: -1,
        }
    }
}

/// A document put through the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rest {
    /// Takes it without authentication on the entry point `traefik`.
    #[serde(skip_serializing_if = "zero")]
    pub insecure: bool,
}
