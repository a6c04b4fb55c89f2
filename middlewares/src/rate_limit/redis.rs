//! The settings of `rateLimit.redis`, which decode but are not served yet.

use portcullis_config::units::{Duration, FileOrContent, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build::is_default;

/// A Redis that holds the buckets.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Redis {
    /// Addresses, `host:port`; more than one are a cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The user name.
    #[serde(skip_serializing_if = "is_default")]
    pub username: String,
    /// The password.
    #[serde(skip_serializing_if = "is_default")]
    pub password: Secret,
    /// The number of the database.
    #[serde(skip_serializing_if = "is_default")]
    pub db: i64,
    /// How many connections are kept; 0 = ten for each processor.
    #[serde(skip_serializing_if = "is_default")]
    pub pool_size: i64,
    /// How many idle connections are kept at least.
    #[serde(skip_serializing_if = "is_default")]
    pub min_idle_conns: i64,
    /// How many connections there may be; 0 = any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_active_conns: i64,
    /// How long an answer may take.
    #[serde(skip_serializing_if = "is_default")]
    pub read_timeout: Duration,
    /// How long sending may take.
    #[serde(skip_serializing_if = "is_default")]
    pub write_timeout: Duration,
    /// How long connecting may take.
    #[serde(skip_serializing_if = "is_default")]
    pub dial_timeout: Duration,
    /// Present = connects with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            endpoints: vec!["localhost:6379".to_owned()],
            username: String::new(),
            password: Secret::default(),
            db: 0,
            pool_size: 0,
            min_idle_conns: 0,
            max_active_conns: 0,
            read_timeout: Duration::seconds(3),
            write_timeout: Duration::seconds(3),
            dial_timeout: Duration::seconds(5),
            tls: None,
        }
    }
}

/// TLS towards Redis.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisTls {
    /// Trusted authorities: a file or PEM text.
    #[serde(skip_serializing_if = "is_default")]
    pub ca: FileOrContent,
    /// The client certificate: a file or PEM text.
    #[serde(skip_serializing_if = "is_default")]
    pub cert: FileOrContent,
    /// Its key: a file or PEM text.
    #[serde(skip_serializing_if = "is_default")]
    pub key: FileOrContent,
    /// Whether the server's certificate is accepted without a check.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure_skip_verify: bool,
}
