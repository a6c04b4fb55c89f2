use super::*;
use crate::problem::Severity;
use crate::tree::text::{Format, parse};

fn yaml(text: &str) -> (Routing, Vec<Problem>) {
    Routing::from_tree(&parse(text, Format::Yaml, "r.yml").unwrap())
}

/// The problems as a log shows them.
fn shown(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_kind_of_object_is_typed() {
    let (routing, problems) = yaml(
        "
http:
  routers: {r: {rule: Path(`/`), service: s, tls: {}}}
  services: {s: {loadBalancer: {servers: [{url: 'http://a'}]}}}
  middlewares: {m: {stripPrefix: {prefixes: [/a]}}}
  serversTransports: {t: {serverName: x}}
tcp:
  routers: {r: {rule: HostSNI(`*`), service: s}}
  services: {s: {loadBalancer: {servers: [{address: 'a:1'}]}}}
  middlewares: {m: {inFlightConn: {amount: 1}}}
  serversTransports: {t: {dialTimeout: 5}}
udp:
  routers: {r: {service: s}}
  services: {s: {loadBalancer: {servers: [{address: 'a:1'}]}}}
tls:
  certificates: [{certFile: a, keyFile: b}]
  options: {o: {minVersion: VersionTLS13}}
  stores: {default: {defaultCertificate: {certFile: a, keyFile: b}}}
",
    );
    assert_eq!(shown(&problems), Vec::<String>::new());
    assert_eq!(routing.http.routers["r"].tls, Some(http::RouterTls::default()));
    assert_eq!(
        routing.http.services["s"].load_balancer.as_ref().unwrap().servers[0].url,
        "http://a"
    );
    assert_eq!(routing.http.middlewares["m"].kind, "stripPrefix");
    assert_eq!(routing.http.servers_transports["t"].server_name, "x");
    assert_eq!(routing.tcp.routers["r"].rule, "HostSNI(`*`)");
    assert_eq!(routing.tcp.services.len(), 1);
    assert_eq!(routing.tcp.middlewares["m"].kind, "inFlightConn");
    assert_eq!(routing.tcp.servers_transports["t"].dial_timeout.to_string(), "5s");
    assert_eq!(routing.udp.routers["r"].service, "s");
    assert_eq!(routing.udp.services.len(), 1);
    assert_eq!(routing.tls.certificates[0].cert_file.0, "a");
    assert_eq!(routing.tls.options["o"].min_version, "VersionTLS13");
    assert!(routing.tls.stores["default"].default_certificate.is_some());
}

#[test]
fn the_mesh_is_typed() {
    let (routing, problems) = yaml(
        "
mesh:
  nodes: {n2: {address: '10.77.0.12:15008'}}
  workloads:
    web-1: {account: web, node: n2, address: 10.77.2.2, ports: [{port: 80, targetPort: 8080, protocol: http}]}
  services:
    web.default: {workloads: [web-1], loadBalancer: {strategy: p2c}, middlewares: {client: [retry], server: [limit]}}
  policies: {p: {target: {service: web.default}, action: allow, from: ['ns/shop/sa/*']}}
",
    );
    assert_eq!(shown(&problems), Vec::<String>::new());
    let mesh = &routing.mesh;
    assert_eq!(mesh.nodes["n2"].address, "10.77.0.12:15008");
    let workload = &mesh.workloads["web-1"];
    assert_eq!((&*workload.namespace, workload.ports[0].target()), ("default", 8080));
    assert_eq!(workload.ports[0].protocol, mesh::Protocol::Http);
    let service = &mesh.services["web.default"];
    assert_eq!(service.load_balancer.as_ref().unwrap().strategy, "p2c");
    assert_eq!(service.middlewares.server, ["limit"]);
    assert!(!mesh.policies["p"].broken);
}

#[test]
fn what_does_not_fit_in_the_mesh_is_named_and_no_policy_is_lost() {
    let (routing, problems) = yaml(
        "
mesh:
  workloads:
    a: {acount: web}
    b: {account: web, ports: [{port: 99999}]}
    c: {ports: [{port: 80, protocol: htp}]}
  policies: {p: {target: {service: web.default}, form: ['ns/shop/sa/*']}}
  service: {}
",
    );
    let shown = shown(&problems);
    assert!(
        shown[1].contains("mesh workload `a`: unknown field `acount`; did you mean `account`?"),
        "{shown:?}"
    );
    assert!(shown[1].starts_with("r.yml:4:"), "{shown:?}");
    assert!(shown[2].contains("expected an integer from 0 to 65535, found `99999`"), "{shown:?}");
    assert!(shown[3].contains("`htp`"), "{shown:?}");
    assert!(
        shown[4].contains("mesh policy `p`: unknown field `form`; did you mean `from`?"),
        "{shown:?}"
    );
    assert!(
        shown[0].contains("unknown field `mesh.service`; did you mean `services`?"),
        "{shown:?}"
    );
    assert!(routing.mesh.workloads.is_empty());
    let policy = &routing.mesh.policies["p"];
    assert!(policy.broken && policy.target.service == "web.default");
}

#[test]
fn one_bad_object_costs_only_itself() {
    let (routing, problems) = yaml(
        "
http:
  services:
    bad: {loadBalancer: {servers: [{url: 'http://a', weight: heavy}], sticky: {cooky: {}}}}
    good: {loadBalancer: {servers: [{url: 'http://b'}]}}
",
    );
    assert_eq!(routing.http.services.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(
        shown(&problems),
        [
            "r.yml:4:62: http service `bad`: `loadBalancer.servers[0].weight`: expected an integer, found `heavy`",
            "r.yml:4:80: http service `bad`: unknown field `loadBalancer.sticky.cooky`; did you mean `cookie`?",
        ]
    );
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn a_broken_router_with_a_rule_keeps_its_place() {
    let (routing, problems) = yaml(
        "
http:
  routers:
    web:
      rule: Path(`/a`)
      priority: high
      tls: {options: o, domains: [{main: [x]}]}
      servise: s
    child: {parentRefs: [web], priority: x}
    lost: {priority: high}
    shapeless: abc
tcp:
  routers: {t: {rule: HostSNI(`*`), tsl: {}}}
",
    );
    let router = &routing.http.routers["web"];
    assert_eq!((router.rule.as_str(), router.priority), ("Path(`/a`)", 0));
    assert_eq!(router.tls.as_ref().unwrap().options, "o");
    assert_eq!(routing.http.routers.keys().collect::<Vec<_>>(), ["web", "child"]);
    assert_eq!(routing.tcp.routers["t"].rule, "HostSNI(`*`)");
    let mut about: Vec<&str> = problems.iter().map(|problem| problem.about.name.as_str()).collect();
    about.dedup();
    assert_eq!(about, ["web", "child", "lost", "shapeless", "t"]);
    assert_eq!(problems.iter().filter(|problem| problem.about.name == "web").count(), 3);
}

#[test]
fn unknown_parts_and_sections_are_problems_of_the_file() {
    let (routing, problems) =
        yaml("htpp: {}\nhttp:\n  router: {a: {rule: x}}\n  models: {a: 1}\nx: 1\n");
    assert!(routing.is_empty());
    assert_eq!(
        shown(&problems),
        [
            "r.yml:1:1: unknown field `htpp`; did you mean `http`?",
            "r.yml:5:4: unknown field `x`",
            "r.yml:3:3: unknown field `http.router`; did you mean `routers`?",
        ]
    );
    assert!(problems.iter().all(|problem| problem.about.name.is_empty()));
}

#[test]
fn parts_and_sections_match_in_any_case() {
    let (routing, problems) = yaml("HTTP: {Routers: {Web: {RULE: r}}}");
    assert_eq!(shown(&problems), Vec::<String>::new());
    assert_eq!(routing.http.routers["Web"].rule, "r");
    let (_, problems) = yaml("HTTP: {}\nhttp: {}\n");
    assert_eq!(shown(&problems), ["r.yml:2:1: `http`: given twice, in two spellings"]);
}

#[test]
fn parts_and_sections_must_be_maps() {
    let (routing, problems) =
        yaml("http: abc\ntcp: {routers: [a]}\nudp: {services: }\ntls: {certificates: {a: b}}\n");
    assert!(routing.is_empty());
    assert_eq!(
        shown(&problems),
        [
            "r.yml:1:7: `http`: expected a map, found a single value",
            "r.yml:2:7: `tcp.routers`: expected a map, found a list",
            "r.yml:4:7: `tls.certificates`: expected a list, found a map",
        ]
    );
}

#[test]
fn a_middleware_has_exactly_one_kind() {
    let (routing, problems) = yaml(
        "
http:
  middlewares:
    none: {}
    two: {addPrefix: {prefix: /a}, compress: {}}
    text: abc
    good: {COMPRESS: true}
",
    );
    assert_eq!(routing.http.middlewares.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(routing.http.middlewares["good"].settings, Tree::scalar("true"));
    assert_eq!(
        shown(&problems),
        [
            "r.yml:4:5: http middleware `none`: expected one middleware kind, found none",
            "r.yml:5:5: http middleware `two`: expected one middleware kind, found `addPrefix` and `compress`; give each a middleware of its own",
            "r.yml:6:11: http middleware `text`: expected a map of one middleware kind and its settings",
        ]
    );
}

#[test]
fn settings_of_middlewares_keep_their_places() {
    let (routing, _) =
        yaml("http:\n  middlewares:\n    m:\n      addPrefix:\n        prefix: /a\n");
    let settings = &routing.http.middlewares["m"].settings;
    assert_eq!(
        format!("{:?}", settings.child("prefix").unwrap().at.as_ref().unwrap()),
        "r.yml:5:17"
    );
}

#[test]
fn certificates_are_typed_one_by_one() {
    let (routing, problems) = yaml(
        "tls:\n  certificates:\n  - {certFile: a, keyFile: b}\n  - {certFile: [c]}\n  - {certFile: d, keyFile: e, stores: default}\n",
    );
    let files: Vec<&str> =
        routing.tls.certificates.iter().map(|c| c.cert_file.0.as_str()).collect();
    assert_eq!(files, ["a", "d"]);
    assert_eq!(routing.tls.certificates[1].stores, ["default"]);
    assert_eq!(
        shown(&problems),
        [
            "r.yml:4:6: tls certificate `tls.certificates[1]`: `certFile`: expected text, found a list"
        ]
    );
}

#[test]
fn routing_survives_json() {
    let (routing, _) = yaml(
        "http: {routers: {r: {rule: x, tls: {}}}, middlewares: {m: {addPrefix: {prefix: /a}}}, services: {s: {loadBalancer: {healthCheck: {interval: 1m}}}}}",
    );
    let text = serde_json::to_string(&routing).unwrap();
    assert!(text.contains(r#""m":{"addPrefix":{"prefix":"/a"}}"#), "{text}");
    assert!(text.contains(r#""interval":"1m0s""#), "{text}");
    let again: Routing = serde_json::from_str(&text).unwrap();
    assert_eq!(again, routing);
    let (from_tree, problems) = Routing::from_tree(&parse(&text, Format::Json, "r.json").unwrap());
    assert_eq!(problems, []);
    assert_eq!(from_tree, routing);
}

mod any {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::flat::{fold, unfold};
    use crate::units::Duration;

    fn text() -> impl Strategy<Value = String> {
        "[ -~é]{0,12}"
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[ -~é]{1,8}", 0..3)
    }

    fn router() -> impl Strategy<Value = http::Router> {
        let tls = (text(), texts()).prop_map(|(options, sans)| http::RouterTls {
            options,
            domains: sans.into_iter().map(|main| http::Domain { main, sans: Vec::new() }).collect(),
            ..http::RouterTls::default()
        });
        (text(), texts(), any::<i64>(), prop::option::of(tls), prop::option::of(any::<bool>()))
            .prop_map(|(rule, entry_points, priority, tls, metrics)| http::Router {
                rule,
                entry_points,
                priority,
                tls,
                observability: metrics
                    .map(|flag| http::Observability { metrics: Some(flag), ..Default::default() }),
                ..http::Router::default()
            })
    }

    fn service() -> impl Strategy<Value = http::Service> {
        let server = (text(), prop::option::of(any::<i64>()), any::<bool>()).prop_map(
            |(url, weight, preserve_path)| http::Server {
                url,
                weight,
                preserve_path,
                ..http::Server::default()
            },
        );
        let servers = prop::collection::vec(server, 0..3);
        (servers, any::<i64>(), any::<bool>(), prop::option::of("[a-zA-Z-]{1,6}")).prop_map(
            |(servers, interval, pass_host_header, header)| http::Service {
                load_balancer: Some(http::LoadBalancer {
                    servers,
                    pass_host_header,
                    health_check: Some(http::HealthCheck {
                        interval: Duration(interval),
                        headers: header.into_iter().map(|name| (name, "x".to_owned())).collect(),
                        ..http::HealthCheck::default()
                    }),
                    ..http::LoadBalancer::default()
                }),
                ..http::Service::default()
            },
        )
    }

    /// Trees of the words of a configuration in all the wrong and right places.
    fn trees() -> impl Strategy<Value = Tree> {
        let word = "http|tcp|tls|routers|Services|middlewares|certificates|rule|service|loadBalancer|servers|url|\
                    weight|sticky|cookie|healthCheck|compress|0|1|x";
        let leaf = "true|false|1|x|a,b|1s|".prop_map(Tree::scalar);
        leaf.prop_recursive(7, 48, 4, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Tree::list),
                4 => prop::collection::btree_map(word, inner, 0..4).prop_map(Tree::map),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_routing_survives_flat_pairs(
            routers in prop::collection::btree_map("[a-z]{1,4}", router(), 0..3),
            services in prop::collection::btree_map("[a-z]{1,4}", service(), 0..3),
        ) {
            let mut routing = Routing::default();
            routing.http.routers.extend(routers.into_iter().map(|(name, it)| (name, it.into())));
            routing.http.services.extend(services.into_iter().map(|(name, it)| (name, it.into())));
            let tree: Tree = serde_json::from_value(serde_json::to_value(&routing).unwrap()).unwrap();
            let pairs = unfold(&tree);
            let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let (again, problems) = Routing::from_tree(&fold(pairs, str::to_owned).unwrap());
            prop_assert_eq!(problems, []);
            prop_assert_eq!(again, routing);
        }

        #[test]
        fn any_tree_is_typed_or_reported(tree in trees()) {
            let (routing, problems) = Routing::from_tree(&tree);
            let again = Routing::from_tree(&tree);
            prop_assert_eq!((routing, problems), again);
        }
    }
}

#[test]
fn examples_in_the_manual_are_right() {
    let files = [
        include_str!("../http.rs"),
        include_str!("../http/service.rs"),
        include_str!("../http/transport.rs"),
        include_str!("../tcp.rs"),
        include_str!("../tls.rs"),
    ];
    for file in files {
        let docs: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("///")).collect();
        let docs: Vec<&str> =
            docs.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let text = docs.join("\n");
        let mut examples = text.split("```yaml\n").skip(1).peekable();
        assert!(examples.peek().is_some(), "a file without an example: {}", &file[..60]);
        for example in examples {
            let (example, _) = example.split_once("```").unwrap();
            let (routing, problems) = yaml(example);
            assert_eq!(shown(&problems), Vec::<String>::new(), "{example}");
            assert!(!routing.is_empty(), "{example}");
        }
    }
}
