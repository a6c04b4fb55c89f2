//! What is refused, and what several containers may say of one object.

use super::*;

const RULE: &str = "traefik.http.routers.r.rule";
const PORT: &str = "traefik.http.services.s.loadbalancer.server.port";

/// The problems of a container with one label.
fn refusal(label: &str, value: &str) -> String {
    outcome(vec![container("c", &[(label, value)])]).1.join("; ")
}

#[test]
fn labels_that_belong_to_no_object_take_the_container_out() {
    let (lines, problems) =
        outcome(vec![container("c", &[("traefik.http.router.r.rule", "Path(`/`)")])]);
    assert_eq!(lines, [""; 0]);
    assert_eq!(
        problems,
        ["error: label traefik.http.router.r.rule: container `c`: unknown label: \
          expected `routers`, `services` or `middlewares` behind `http.`, found `router`"]
    );
    assert!(refusal("traefik.http.routers.r", "x").contains("incomplete label"));
    assert!(refusal("traefik.docker.networks", "x").contains("network"));
}

#[test]
fn labels_of_no_family_we_read_are_ignored_with_a_remark() {
    let remark = refusal("traefik.port", "80");
    assert!(remark.starts_with("warning: label traefik.port: container `c`: ignored"), "{remark}");
    let remark = refusal("traefik.tls.options.o.minversion", "VersionTLS13");
    assert!(remark.contains("only `tls.stores.default`"), "{remark}");
}

#[test]
fn what_labels_cannot_say_belongs_into_a_file() {
    for label in [
        "traefik.http.services.s.weighted.services[0].name",
        "traefik.http.services.s.mirroring.service",
        "traefik.http.routers.r.parentrefs",
        "traefik.http.serverstransports.t.servername",
        "traefik.tcp.serverstransports.t.dialtimeout",
    ] {
        let refusal = refusal(label, "1");
        assert!(
            refusal.contains("in a file") && refusal.starts_with("error"),
            "{label}: {refusal}"
        );
    }
    let refusal = refusal("traefik.http.services.s.loadbalancer.servers[0].port", "1");
    assert!(refusal.contains("written `server`"), "{refusal}");
}

#[test]
fn servers_of_one_service_unite_and_count_once() {
    let labels = [(RULE, "Path(`/`)"), (PORT, "80")];
    let all = sound(vec![
        at([10, 0, 0, 1], container("a", &labels)),
        at([10, 0, 0, 2], container("b", &labels)),
        at([10, 0, 0, 1], container("c", &labels)),
    ]);
    let servers: Vec<_> = all.iter().filter(|line| line.contains(".servers[")).collect();
    assert_eq!(servers.len(), 2, "{all:?}");
}

#[test]
fn services_that_differ_are_all_out() {
    let strategy = "traefik.http.services.s.loadbalancer.strategy";
    let labels = |other: &'static str| [(RULE, "Path(`/`)"), (PORT, "80"), (strategy, other)];
    let (lines, problems) =
        outcome(vec![container("a", &labels("p2c")), container("b", &labels("hrw"))]);
    assert_eq!(lines, ["http.routers.r.service=s", "http.routers.r.rule=Path(`/`)"]);
    assert_eq!(
        problems,
        ["error: http service `s`: defined differently by the containers a, b; \
          give all the same labels, or each its own name"]
    );
}

#[test]
fn routers_that_differ_keep_their_places_and_are_broken() {
    let labels = |rule: &'static str| [(RULE, rule), (PORT, "80")];
    let (routing, problems) = translate(
        &Docker::default(),
        vec![container("a", &labels("Path(`/a`)")), container("b", &labels("Path(`/b`)"))],
    );
    let rules: Vec<_> =
        routing.http.routers.iter().map(|(name, it)| (name.as_str(), it.rule.as_str())).collect();
    assert_eq!(rules, [("r", "Path(`/a`)"), ("r (b)", "Path(`/b`)")]);
    let about: Vec<_> = problems.iter().map(|problem| problem.about.name.as_str()).collect();
    assert_eq!(about, ["r", "r (b)"]);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn a_definition_that_is_broken_in_one_container_serves_as_another_says() {
    let good = [(RULE, "Path(`/`)"), (PORT, "80")];
    let bad = [(RULE, "Path(`/`)"), (PORT, "eighty")];
    let (lines, problems) =
        outcome(vec![at([10, 0, 0, 1], container("a", &good)), container("b", &bad)]);
    assert!(
        lines
            .contains(&"http.services.s.loadBalancer.servers[0].url=http://10.0.0.1:80".to_owned())
    );
    assert_eq!(
        problems,
        ["error: container `b`: http service `s`: expected a port from 1 to 65535, found `eighty`"]
    );
}

#[test]
fn replicas_with_the_same_mistake_say_it_once() {
    let labels = [(RULE, "Path(`/`)"), ("traefik.http.routers.r.priority", "high"), (PORT, "80")];
    let (lines, problems) = outcome(vec![container("a", &labels), container("b", &labels)]);
    assert!(lines.contains(&"http.routers.r.rule=Path(`/`)".to_owned()));
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn bad_options_name_the_option() {
    let names = |options: Docker| -> Vec<String> {
        options.build().err().unwrap().into_iter().map(|problem| problem.about.name).collect()
    };
    let all = Docker {
        default_rule: "{{ nonsense".to_owned(),
        constraints: "Label(".to_owned(),
        endpoint: "nowhere".to_owned(),
        ..Docker::default()
    };
    assert_eq!(
        names(all),
        [
            "providers.docker.defaultRule",
            "providers.docker.constraints",
            "providers.docker.endpoint"
        ]
    );
}

/// Labels that look as if they were ours.
fn label() -> impl proptest::strategy::Strategy<Value = (String, String)> {
    let segment = "(traefik|http|tcp|udp|tls|routers|services|middlewares|stores|default|loadbalancer|server|\
                   servers|url|rule|port|r|s|enable|docker|network|\\[0\\]|\\PC)?";
    let path = proptest::collection::vec(segment, 0..6);
    let value = "(true|false|80|Path\\(`/`\\)|a,b|\\PC{0,8})";
    use proptest::strategy::Strategy;
    (path, value).prop_map(|(path, value)| (format!("traefik.{}", path.join(".")), value))
}

proptest::proptest! {
    #[test]
    fn any_labels_make_a_configuration_or_problems(labels in proptest::collection::vec(label(), 0..6)) {
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let (routing, _) = translate(&Docker::default(), vec![container("c", &labels)]);
        // Whatever the labels were, no server has an empty address.
        for service in routing.http.services.values() {
            let servers = service.load_balancer.iter().flat_map(|balancer| &balancer.servers);
            proptest::prop_assert!(servers.into_iter().all(|server| !server.url.is_empty()));
        }
    }
}
