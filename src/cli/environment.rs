//! Environment variables: `PORTCULLIS_ENTRYPOINTS_WEB_ADDRESS=:80`, or the same with Traefik's prefix.
//!
//! Where both names are set, ours wins. A variable that names no option is a warning, except those that Kubernetes
//! and Docker inject for a service or container of our name; they are ignored.

use std::sync::LazyLock;

use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::{Tree, flat};
use regex::Regex;

use super::activation;
use crate::install::schema::Shape;

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The value of `PORTCULLIS_CONFIGFILE` or `TRAEFIK_CONFIGFILE`.
    pub(super) config_file: Option<String>,
    /// The value of `PORTCULLIS_WORKERS`.
    pub(super) workers: Option<String>,
    /// The options given: by proper path the variable and its value.
    pub(super) options: IndexMap<String, (String, String)>,
    /// Variables that name no option.
    pub(super) warnings: Vec<Problem>,
}

/// Prefixes of variables; a later one wins.
const PREFIXES: [&str; 2] = ["TRAEFIK_", "PORTCULLIS_"];

/// Variables of ours that are read elsewhere.
const NO_OPTIONS: [&str; 3] = [activation::PREDECESSOR, activation::ACTIVATED, activation::CONTROL];

/// What follows the prefix in variables that are injected for services and linked containers, `PORT_80_TCP_ADDR`.
static INJECTED: LazyLock<Regex> = LazyLock::new(|| {
    let shape = r"(?i)^(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR|START|END))?|NAME|ENV_.+)$";
    Regex::new(shape).expect("the pattern is a constant that the tests compile")
});

/// Reads `variables`; `shape` tells which options there are.
pub(super) fn read(variables: &[(String, String)], shape: &LazyLock<Shape>) -> Environment {
    let mut environment = Environment::default();
    for prefix in PREFIXES {
        let mut named: Vec<(&str, &str, &str)> = variables
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), after(name, prefix)?, value.as_str())))
            .collect();
        named.sort_unstable();
        for (name, rest, value) in named {
            environment.take(name, rest, value, shape);
        }
    }
    environment
}

impl Environment {
    fn take(&mut self, name: &str, rest: &str, value: &str, shape: &LazyLock<Shape>) {
        if rest.eq_ignore_ascii_case("CONFIGFILE") {
            self.config_file = Some(value.to_owned());
            return;
        }
        if name.eq_ignore_ascii_case("PORTCULLIS_WORKERS") {
            self.workers = Some(value.to_owned());
            return;
        }
        if NO_OPTIONS.contains(&name) {
            return;
        }
        let rest = rest.to_ascii_lowercase();
        let steps: Vec<&str> = rest.split('_').collect();
        match shape.find(&steps) {
            Ok((path, _)) => {
                self.options.insert(path, (name.to_owned(), value.to_owned()));
            }
            Err(_) if INJECTED.is_match(&rest) => {}
            Err(unknown) => {
                let hint = unknown.nearest.map(|it| format!("; did you mean `{it}`?"));
                let hint = hint.unwrap_or_default();
                let message = format!("there is no option `{}`{hint}", unknown.path);
                let warning = Problem::warning(Kind::Install, "", message);
                self.warnings.push(warning.at(Some(place(name))));
            }
        }
    }

    /// The options as a tree.
    pub(super) fn tree(&self) -> Result<Tree, Problem> {
        let pairs = self.options.iter().map(|(path, (_, value))| (path.as_str(), value.as_str()));
        let source = |path: &str| match self.options.get(path) {
            Some((variable, _)) => source(variable),
            None => source(path),
        };
        flat::fold(pairs, source)
            .map_err(|mismatch| Problem::error(Kind::Install, "", mismatch.message).at(mismatch.at))
    }
}

/// What follows `prefix` in any case.
fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let start = name.get(..prefix.len())?;
    if start.eq_ignore_ascii_case(prefix) { name.get(prefix.len()..) } else { None }
}

fn source(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// The place of a variable.
pub(super) fn place(variable: &str) -> At {
    At { source: source(variable).into(), line: 0, column: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables: Vec<(String, String)> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        read(&variables, &LazyLock::new(Shape::of_install))
    }

    fn value<'a>(environment: &'a Environment, path: &str) -> Option<&'a str> {
        environment.options.get(path).map(|(_, value)| value.as_str())
    }

    #[test]
    fn ours_wins_where_both_names_are_set() {
        let found = environment(&[
            ("PORTCULLIS_LOG_LEVEL", "INFO"),
            ("TRAEFIK_LOG_LEVEL", "DEBUG"),
            ("TRAEFIK_API_INSECURE", "true"),
            ("TRAEFIK_CONFIGFILE", "theirs.yml"),
            ("PORTCULLIS_CONFIGFILE", "ours.yml"),
        ]);
        assert_eq!(value(&found, "log.level"), Some("INFO"));
        assert_eq!(value(&found, "api.insecure"), Some("true"));
        assert_eq!(found.config_file.as_deref(), Some("ours.yml"));
    }

    #[test]
    fn list_elements_are_parts_of_the_name() {
        let found = environment(&[("TRAEFIK_ENTRYPOINTS_WEB_HTTP_TLS_DOMAINS_0_MAIN", "a.test")]);
        assert_eq!(value(&found, "entryPoints.web.http.tls.domains[0].main"), Some("a.test"));
    }

    #[test]
    fn injected_variables_are_ignored_in_silence() {
        let found = environment(&[
            ("PORTCULLIS_PORT", "tcp://10.0.0.1:80"),
            ("TRAEFIK_SERVICE_HOST", "10.0.0.1"),
            ("TRAEFIK_SERVICE_PORT", "80"),
            ("TRAEFIK_SERVICE_PORT_WEB", "80"),
            ("TRAEFIK_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("TRAEFIK_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("TRAEFIK_PORT_53_UDP_PROTO", "udp"),
            ("TRAEFIK_INGRESS_SERVICE_HOST", "10.0.0.1"),
            ("PORTCULLIS_METRICS_PORT_9100_TCP_PORT", "9100"),
            ("TRAEFIK_PING_PORT", "tcp://10.0.0.1:80"),
            ("TRAEFIK_NAME", "/web/traefik"),
            ("TRAEFIK_ENV_PATH", "/bin"),
            ("OTHER_LOG_LEVEL", "DEBUG"),
        ]);
        assert_eq!(found.warnings, Vec::new());
        assert!(found.options.is_empty(), "{:?}", found.options);
    }

    #[test]
    fn an_unknown_variable_is_a_warning_that_names_the_nearest_option() {
        let found = environment(&[("TRAEFIK_LOG_LEVLE", "DEBUG")]);
        let text = found.warnings[0].to_string();
        assert!(text.starts_with("environment variable TRAEFIK_LOG_LEVLE: "), "{text}");
        assert!(text.contains("did you mean `level`?"), "{text}");
    }

    #[test]
    fn the_number_of_workers_is_no_option() {
        let found = environment(&[("PORTCULLIS_WORKERS", "3")]);
        assert_eq!(found.workers.as_deref(), Some("3"));
        assert_eq!(environment(&[("TRAEFIK_WORKERS", "3")]).warnings.len(), 1);
    }
}
