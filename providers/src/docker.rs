//! `docker` reads routing configuration from the labels of containers and follows the engine's events.
//!
//! Two halves: `watch` talks to the engine and keeps what it said of each container; `translate` turns that into
//! a configuration and is pure.

mod address;
mod client;
mod container;
mod translate;
mod trust;
mod watch;

use std::convert::Infallible;

use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::template::Template;
use portcullis_config::units::{Duration, FileOrContent, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::constraints::Constraints;
use crate::{Built, Failure, Later, Options, Provider, Publisher};
use client::Client;
use translate::Translator;

/// Reads routing configuration from the labels of containers of a Docker engine.
///
/// A container with the label `traefik.http.routers.web.rule=Host(``example.com``)` is served at that host as soon as
/// it runs. Labels may begin with `traefik.` or `portcullis.`; where both set the same field, `portcullis.` wins.
/// The engine's API is as powerful as root on its machine: prefer a read-only, filtering proxy in front of it, or
/// at least mount the socket read-only.
///
/// ```yaml
/// providers:
///   docker:
///     exposedByDefault: false
///     network: edge
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Docker {
    /// Where the engine answers: `unix:///path`, `tcp://host:port`, `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// The user name for basic authentication, as a proxy in front of the engine may want it.
    pub username: String,
    /// The password for basic authentication.
    pub password: Secret,
    /// TLS towards the engine. With it, `tcp://` means TLS.
    pub tls: Option<Tls>,
    /// How long the engine may take to begin an answer; 0 means half a minute. The stream of events is not limited.
    pub http_client_timeout: Duration,
    /// Whether changes are followed. Otherwise containers are read once, and again on the signal HUP.
    pub watch: bool,
    /// Whether containers count that do not say `traefik.enable=true`.
    pub exposed_by_default: bool,
    /// An expression over labels that containers must satisfy, such as ``Label(`tier`, `edge`)``. It knows
    /// `Label(name, value)`, `LabelRegex(name, regex)`, `&&`, `||`, `!` and parentheses.
    pub constraints: String,
    /// The rule of routers that have none, as a template over `.Name`, `.ContainerName` and `.Labels`.
    pub default_rule: String,
    /// The network whose address of a container is used if its labels name none.
    pub network: String,
    /// Whether the address and port that the engine published on the host are used rather than the container's own.
    pub use_bind_port_ip: bool,
    /// Whether the routers of unhealthy and starting containers stay, answering 503.
    pub allow_empty_services: bool,
}

/// TLS towards the engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// The authorities that may have signed the engine's certificate; without it, those of the system.
    pub ca: FileOrContent,
    /// The client certificate.
    pub cert: FileOrContent,
    /// The key of the client certificate.
    pub key: FileOrContent,
    /// Whether any certificate is accepted. Whoever can answer in the engine's place then controls the routing.
    pub insecure_skip_verify: bool,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            username: String::new(),
            password: Secret::default(),
            tls: None,
            http_client_timeout: Duration::default(),
            watch: true,
            exposed_by_default: true,
            constraints: String::new(),
            default_rule: "Host(`{{ normalize .Name }}`)".to_owned(),
            network: String::new(),
            use_bind_port_ip: false,
            allow_empty_services: false,
        }
    }
}

impl Options for Docker {
    fn build(self) -> Built {
        let mut problems = Vec::new();
        let mut wrong = |option: &str, message: String| {
            problems.push(Problem::error(
                Kind::Install,
                format!("providers.docker.{option}"),
                message,
            ));
        };
        let rule = Template::parse(&self.default_rule);
        let rule = rule.map_err(|error| wrong("defaultRule", error.to_string())).ok();
        let constraints = Constraints::parse(&self.constraints);
        let constraints = constraints.map_err(|error| wrong("constraints", error.to_string())).ok();
        let client = Client::new(&self).map_err(|(option, message)| wrong(option, message)).ok();
        let (Some(rule), Some(constraints), Some(client)) = (rule, constraints, client) else {
            return Err(problems);
        };
        let translator = Translator::new(&self, rule, constraints);
        Ok(Box::new(Watch { client, translator, follow: self.watch }))
    }
}

/// The running provider.
struct Watch {
    client: Client,
    translator: Translator,
    follow: bool,
}

impl Provider for Watch {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn run<'a>(&'a mut self, out: &'a Publisher) -> Later<'a, Result<Infallible, Failure>> {
        Box::pin(watch::run(self, out))
    }
}

#[cfg(test)]
mod tests;
