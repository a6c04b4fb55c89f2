//! What the install configuration may say and Portcullis does not do yet.

use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::tree::{Node, Tree};

/// Paths of options and blocks without effect; `*` stands for any key. Serving one means deleting its line.
pub const UNSERVED: &[&str] = &[
    "accessLog.otlp",
    "api.debug",
    "certificatesResolvers.*.tailscale",
    #[cfg(not(feature = "http3"))]
    "entryPoints.*.http3",
    "experimental.fastProxy",
    "experimental.localPlugins",
    "experimental.plugins",
    "hostResolver",
    "log.compress",
    "log.otlp",
    "mesh.dns",
    "metrics.datadog",
    "metrics.influxDB2",
    "metrics.otlp",
    "metrics.statsD",
    "providers.consul",
    "providers.consulCatalog",
    "providers.ecs",
    "providers.etcd",
    "providers.http",
    "providers.knative",
    "providers.kubernetesCRD",
    "providers.kubernetesGateway",
    "providers.kubernetesIngress",
    "providers.kubernetesIngressNGINX",
    "providers.nomad",
    "providers.plugin",
    "providers.redis",
    "providers.rest",
    "providers.swarm",
    "providers.zooKeeper",
    "tracing",
];

/// A warning for each option in `tree` that has no effect yet.
pub fn warnings(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    for pattern in UNSERVED {
        let steps: Vec<&str> = pattern.split('.').collect();
        collect(tree, &steps, String::new(), &mut found);
    }
    found
}

fn collect(tree: &Tree, steps: &[&str], path: String, found: &mut Vec<Problem>) {
    let Some((step, rest)) = steps.split_first() else {
        if !is_off(tree) {
            let message = format!("`{path}` is not served yet and has no effect");
            found.push(Problem::warning(Kind::Install, "", message).at(place(tree)));
        }
        return;
    };
    let Some(map) = tree.as_map() else { return };
    for (key, child) in map.iter().filter(|(key, _)| *step == "*" || key.eq_ignore_ascii_case(step))
    {
        let name = if *step == "*" { key.as_str() } else { step };
        let dot = if path.is_empty() { "" } else { "." };
        collect(child, rest, format!("{path}{dot}{name}"), found);
    }
}

/// Whether a block is only mentioned: switched off, or a value that says nothing.
fn is_off(tree: &Tree) -> bool {
    match &tree.node {
        Node::Scalar(text) => text.is_empty() || text.eq_ignore_ascii_case("false"),
        Node::List(items) => items.is_empty(),
        Node::Map(_) => false,
    }
}

/// Where a block stands; blocks of TOML have no place of their own, what stands in them has.
fn place(tree: &Tree) -> Option<portcullis_config::problem::At> {
    tree.at.clone().or_else(|| tree.as_map()?.values().find_map(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::tree::text::{Format, parse};

    fn messages(yaml: &str) -> Vec<String> {
        let tree = parse(yaml, Format::Yaml, "install.yml").unwrap();
        warnings(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_option_without_effect_is_named_with_its_place() {
        let found = messages("api:\n  insecure: false\n  debug: true\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("install.yml:3"), "{found:?}");
        assert!(found[0].contains("`api.debug` is not served yet"), "{found:?}");
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(messages("METRICS: {datadog: true}\n").len(), 1);
    }

    #[test]
    fn what_is_switched_off_needs_no_warning() {
        assert_eq!(messages("tracing: false\nproviders: {swarm: false}\n"), Vec::<String>::new());
    }
}
