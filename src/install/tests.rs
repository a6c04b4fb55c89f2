//! Tests of the whole tree against the list of Traefik's options: every path decodes from every source, every
//! default is the same.

use serde_json::Value;

use super::schema::Shape;
use super::*;
use portcullis_config::tree::{flat, text};

/// Every option of Traefik with its default, as `path = default`; durations in seconds.
const OPTIONS: &str = include_str!("tests/options.txt");

/// Options whose default differs on purpose or is no value of the option itself.
const DIFFERENT: &[(&str, &str)] = &[
    ("log.level", "one line tells of each reload; a gateway that says nothing helps nobody"),
    ("configfile", "is not part of the tree: it says where the tree is"),
    ("providers.precedence", "an empty list means this one"),
    ("providers.providersthrottleduration", "unset means our own, much shorter one"),
    ("certificatesresolvers.<name>.tailscale", "a block without options is off until it is given"),
];

/// Options of providers whose own file defines them.
fn is_elsewhere(path: &str) -> bool {
    ["providers.file", "providers.docker"].iter().any(|it| path.starts_with(it))
}

fn options() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPTIONS.lines().map(|line| line.split_once(" =").unwrap()).map(|(path, it)| (path, it.trim()))
}

fn decoded(tree: &Tree) -> Install {
    let (install, mismatches) = decode::decode_collect::<Install>(tree);
    assert_eq!(mismatches, Vec::new());
    install.unwrap()
}

/// A value that fits a shape and differs from most defaults.
fn sample(path: &str, shape: &Shape) -> &'static str {
    match shape {
        Shape::Switch | Shape::Block(_) => "true",
        Shape::List(element) if matches!(**element, Shape::Block(_)) => "",
        _ if path.ends_with("trustedips") => "10.0.0.0/8",
        _ if path.ends_with("address") => ":7777",
        _ if path.ends_with("level") => "DEBUG",
        _ if path.ends_with("format") => "json",
        _ if path.ends_with("defaultmode") || path.contains("names.") => "drop",
        _ if path.ends_with("strategy") => "reject",
        _ if path.ends_with("traceverbosity") => "detailed",
        _ => "7",
    }
}

/// The path with names in the place of `<name>` and `[n]`.
fn filled(path: &str) -> String {
    path.replace("<name>", "some").replace("[n]", "[0]")
}

/// The tree that the pair makes.
fn tree_of(path: &str, value: &str) -> Tree {
    flat::fold([(path, value)], |path| format!("flag --{path}")).unwrap()
}

fn as_json(tree: &Tree) -> Value {
    serde_json::to_value(tree).unwrap()
}

/// TOML for nested maps and lists of scalars.
fn as_toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, it)| format!("{key:?} = {}", as_toml(it))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[test]
fn every_option_of_traefik_decodes_from_every_source() {
    let shape = Shape::of_install();
    for (path, _) in options().filter(|(path, _)| *path != "configfile") {
        let path = filled(path);
        let steps: Vec<&str> =
            path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
        let (proper, found) = shape.find(&steps).unwrap_or_else(|it| panic!("{path}: {it:?}"));
        let tree = tree_of(&proper, sample(&path, found));
        let install = decoded(&tree);
        let json = as_json(&tree);
        let yaml = text::parse(&json.to_string(), text::Format::Yaml, "p.yml").unwrap();
        assert_eq!(decoded(&yaml), install, "{path}");
        let entries = json.as_object().unwrap().iter();
        let lines: Vec<String> =
            entries.map(|(key, it)| format!("{key} = {}", as_toml(it))).collect();
        let toml = lines.join(
            "
",
        );
        let toml = text::parse(&toml, text::Format::Toml, "p.toml").unwrap();
        assert_eq!(decoded(&toml), install, "{path}");
        // The options of a served provider stay a tree, with the spelling that it came in.
        if !is_elsewhere(&path) {
            let upper = path.to_uppercase().replace("SOME", "some");
            assert_eq!(decoded(&tree_of(&upper, sample(&path, found))), install, "{path}");
        }
    }
}

#[test]
fn every_option_of_ours_is_one_of_traefik() {
    let known: Vec<&str> = options().map(|(path, _)| path).collect();
    for (path, field) in Shape::of_install().options() {
        let path = path.to_lowercase();
        // Traefik has no mesh.
        if path == "mesh" || path.starts_with("mesh.") || path.starts_with("mesh[") {
            continue;
        }
        let is_block =
            matches!(field.shape, Shape::Block(_) | Shape::Map(_) | Shape::List(_) | Shape::Free);
        let inside = known
            .iter()
            .any(|it| it.starts_with(&format!("{path}.")) || it.starts_with(&format!("{path}[")));
        let fits = known.contains(&path.as_str()) || (is_block && inside);
        assert!(fits, "{path} is no option of Traefik");
    }
}

#[test]
fn the_defaults_of_served_providers_are_those_of_traefik() {
    let shape = Shape::of_install();
    for (path, expected) in options().filter(|(path, _)| is_elsewhere(path)) {
        let provider = path.split('.').nth(1).unwrap();
        if portcullis_providers::Kind::find(provider).is_none() {
            continue;
        }
        let listed = shape.options();
        let (_, field) = listed.iter().find(|(it, _)| it.eq_ignore_ascii_case(path)).unwrap();
        let default = Value::String(field.default.clone());
        let none = field.default.is_empty() && ["", "false", "0"].contains(&expected);
        assert!(none || same(&default, expected), "{path}: {default}");
    }
}

#[test]
fn every_default_is_that_of_traefik() {
    let mut wrong = Vec::new();
    for (path, expected) in options() {
        let listed = DIFFERENT.iter().any(|(it, _)| *it == path);
        if listed || is_elsewhere(path) || path.ends_with("<name>") {
            continue;
        }
        let found = default_of(&filled(path));
        if !same(&found, expected) {
            wrong.push(format!("{path}: expected `{expected}`, found {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// What stands at `path` when everything around it is switched on and nothing is said about it.
fn default_of(path: &str) -> Value {
    let mut install = as_typed_json(&Tree::default());
    let steps: Vec<&str> = path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
    for end in 1..steps.len() {
        let around = steps[..end].join(".");
        install = as_typed_json(&tree_of(&around, "true"));
    }
    if path.contains('[') {
        let around = steps[..steps.len() - 1].join(".");
        install = as_typed_json(&tree_of(&format!("{around}.{}", steps[steps.len() - 1]), ""));
    }
    let mut here = &install;
    for step in steps {
        let found = match here {
            Value::Object(map) => {
                map.iter().find(|(key, _)| key.eq_ignore_ascii_case(step)).map(|(_, it)| it)
            }
            Value::Array(items) => items.get(step.parse::<usize>().unwrap()),
            _ => None,
        };
        let Some(found) = found else { return Value::Null };
        here = found;
    }
    here.clone()
}

fn as_typed_json(tree: &Tree) -> Value {
    serde_json::to_value(decoded(tree)).unwrap()
}

/// Whether a serialised value is what Traefik prints as a default; left out is Go's zero.
fn same(found: &Value, expected: &str) -> bool {
    match found {
        Value::Null => ["", "false", "0"].contains(&expected),
        Value::Object(_) => ["", "false"].contains(&expected),
        Value::Bool(flag) => flag.to_string() == expected,
        Value::Number(number) => expected.parse::<f64>().ok() == number.as_f64(),
        Value::Array(items) => {
            let expected: Vec<&str> = expected.split(", ").collect();
            items.len() == expected.len()
                && items.iter().zip(expected).all(|(it, text)| same(it, text))
        }
        Value::String(text) => {
            use portcullis_config::units::Duration;
            let seconds = expected.parse::<i64>().ok().map(Duration::seconds);
            text == expected || seconds.is_some_and(|it| Duration::parse(text) == Ok(it))
        }
    }
}

fn load(yaml: &str) -> Result<(Install, Vec<Problem>), Vec<Problem>> {
    let tree = text::parse(yaml, text::Format::Yaml, "install.yml").unwrap();
    Install::from_tree(&tree, &[])
}

fn errors(yaml: &str) -> Vec<String> {
    load(yaml).unwrap_err().iter().filter(|it| is_error(it)).map(ToString::to_string).collect()
}

fn addresses(yaml: &str) -> Vec<String> {
    let (install, _) = load(yaml).unwrap();
    install.entry_points.iter().map(|(name, it)| format!("{name}={}", it.address)).collect()
}

#[test]
fn entry_points_that_must_exist_are_added() {
    assert_eq!(addresses(""), ["http=:80"]);
    assert_eq!(addresses("api: {insecure: true}"), ["http=:80", "traefik=:8080"]);
    assert_eq!(addresses("api: {}"), ["http=:80"]);
    assert_eq!(addresses("ping: {}"), ["http=:80", "traefik=:8080"]);
    assert_eq!(addresses("ping: {manualRouting: true}"), ["http=:80"]);
    assert_eq!(addresses("ping: {entryPoint: http}"), ["http=:80"]);
    assert_eq!(addresses("metrics: {prometheus: {}}"), ["http=:80", "traefik=:8080"]);
    let own = "ping: {}\nentryPoints: {traefik: {address: ':9000'}}";
    assert_eq!(addresses(own), ["traefik=:9000"]);
}

#[test]
fn routers_without_entry_points_use_the_marked_ones_or_all_but_the_internal_one() {
    let (install, _) =
        load("api: {insecure: true}\nentryPoints: {a: {address: ':1'}, b: {address: ':2'}}")
            .unwrap();
    assert_eq!(install.default_entry_points(), ["a", "b"]);
    let (install, _) =
        load("entryPoints: {a: {address: ':1'}, b: {address: ':2', asDefault: true}}").unwrap();
    assert_eq!(install.default_entry_points(), ["b"]);
}

#[test]
fn an_entry_point_looks_as_the_api_of_traefik_shows_it() {
    let shown = serde_json::to_value(EntryPoint::at(":80".parse().unwrap())).unwrap();
    let expected = serde_json::json!({
        "address": ":80",
        "transport": {
            "lifeCycle": { "graceTimeOut": "10s" },
            "respondingTimeouts": { "readTimeout": "1m0s", "idleTimeout": "3m0s" }
        },
        "forwardedHeaders": {},
        "http": { "sanitizePath": true, "maxHeaderBytes": 1_048_576 },
        "http2": {
            "maxConcurrentStreams": 250,
            "maxDecoderHeaderTableSize": 4096,
            "maxEncoderHeaderTableSize": 4096
        },
        "udp": { "timeout": "3s" }
    });
    assert_eq!(shown, expected);
}

#[test]
fn what_makes_no_sense_stops_the_start_and_names_its_place() {
    let cases = [
        ("providers: {precedence: [dockre]}", "`dockre` is no provider"),
        ("api: {basePath: dashboard}", "begins with `/`"),
        ("core: {defaultRuleSyntax: v2}", "syntax v3"),
        ("core: {defaultRuleSyntax: v9}", "expected `v3`"),
        ("entryPoints: {web: {}}", "an address is required"),
        (
            "entryPoints: {web: {address: ':80', forwardedHeaders: {trustedIPs: [x]}}}",
            "`x` is neither",
        ),
        (
            "entryPoints: {web: {address: ':80', http3: {advertisedPort: 65536}}}",
            "expected a port, 0 to 65535",
        ),
        (
            "entryPoints: {web: {address: ':80', http: {redirections: {entryPoint: {to: tls}}}}}",
            "no entry point `tls`",
        ),
        (
            "entryPoints: {web: {address: ':80', http: {redirections: {entryPoint: {}}}}}",
            "name of an entry point",
        ),
        (
            "entryPoints: {web: {address: ':80', http: {aliasHeadersStrategy: keep, underscoreHeadersStrategy: reject}}}",
            "contradicts",
        ),
        ("certificatesResolvers: {a: {acme: {}, tailscale: {}}}", "not both"),
        ("certificatesResolvers: {a: {acme: {storage: ''}}}", "path of a file"),
        ("ocsp: {responderOverrides: {'http://a': ''}}", "URL of a responder"),
        ("log: {otlp: {}}", "experimental.otlpLogs"),
        ("providers: {knative: {}}", "experimental.knative"),
        ("tracing: {otlp: {grpc: {insecure: true, tls: {}}}}", "together with `tls`"),
        (
            "providers: {kubernetesIngressNGINX: {watchNamespace: a, watchNamespaceSelector: b}}",
            "together with",
        ),
    ];
    for (yaml, part) in cases {
        let found = errors(yaml);
        assert!(found.len() == 1 && found[0].contains(part), "{yaml}: {found:?}");
        assert!(found[0].starts_with("install.yml:1"), "{yaml}: {found:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let yaml = "metrics: {influxDB2: {token: hush}}\n\
        providers: {docker: {password: hush}, etcd: {password: hush}}";
    let install = decoded(&text::parse(yaml, text::Format::Yaml, "install.yml").unwrap());
    let shown = serde_json::to_string(&install).unwrap();
    assert!(!shown.contains("hush"), "{shown}");
    assert!(!format!("{:?}", install.metrics).contains("hush"));
}

#[test]
fn what_traefik_asks_the_world_is_accepted_in_silence() {
    let (_, warnings) = load("global: {checkNewVersion: true, sendAnonymousUsage: true}").unwrap();
    assert_eq!(warnings, Vec::new());
}
