//! Containers in, routing out. Results are written as labels are: `http.routers.web.rule=…`, defaults left out.

mod examples;
mod places;
mod tables;

use portcullis_config::Routing;
use portcullis_config::problem::Severity;
use portcullis_config::routing::http::DefaultRule;
use portcullis_config::tree::flat;
use portcullis_config::tree::text::{self, Format};

use super::container::{Binding, Container, Standing};
use super::translate::Fleet;
use super::*;

/// A container that runs in the network `bridge` and exposes port 80.
fn container(name: &str, labels: &[(&str, &str)]) -> Container {
    // Addresses differ as names do.
    let last = name.bytes().fold(1_u8, u8::wrapping_add);
    Container {
        id: format!("{name}-id"),
        name: name.to_owned(),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        standing: Standing::Ready,
        network_mode: "bridge".to_owned(),
        networks: [("bridge".to_owned(), Some([172, 17, 0, last].into()))].into(),
        ports: [(80, Vec::new())].into(),
    }
}

/// The same at a certain address.
fn at(ip: [u8; 4], mut container: Container) -> Container {
    container.networks.insert("bridge".to_owned(), Some(ip.into()));
    container
}

fn translator(options: &Docker) -> Translator {
    let rule = Template::parse(&options.default_rule).unwrap();
    Translator::new(options, rule, Constraints::parse(&options.constraints).unwrap())
}

fn translate(options: &Docker, containers: Vec<Container>) -> (Routing, Vec<Problem>) {
    let mut fleet = Fleet::default();
    for container in containers {
        fleet.put(container);
    }
    translator(options).translate(&mut fleet)
}

/// What the configuration says, one line for each field that is not at its default.
fn lines(routing: &Routing) -> Vec<String> {
    let json = serde_json::to_string(routing).unwrap();
    let tree = text::parse(&json, Format::Json, "test").unwrap();
    let defaults = ["strategy=wrr", "passHostHeader=true", "flushInterval=100ms"];
    // An empty section is written `http.routers=true`.
    let pairs = flat::unfold(&tree).into_iter().filter(|(key, _)| key.matches('.').count() > 1);
    let lines = pairs.map(|(key, value)| format!("{key}={value}"));
    lines.filter(|line| !defaults.iter().any(|default| line.ends_with(default))).collect()
}

/// The configuration and the problems of some containers with default options.
fn outcome(containers: Vec<Container>) -> (Vec<String>, Vec<String>) {
    outcome_with(&Docker::default(), containers)
}

fn outcome_with(options: &Docker, containers: Vec<Container>) -> (Vec<String>, Vec<String>) {
    let (routing, problems) = translate(options, containers);
    let severity = |problem: &Problem| match problem.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    (lines(&routing), problems.iter().map(|it| format!("{}: {it}", severity(it))).collect())
}

/// The configuration of containers without a problem.
fn sound(containers: Vec<Container>) -> Vec<String> {
    let (lines, problems) = outcome(containers);
    assert_eq!(problems, [""; 0]);
    lines
}

#[test]
fn a_container_without_labels_is_served_under_its_name() {
    let web = at([172, 17, 0, 2], container("my_web.1", &[]));
    assert_eq!(
        sound(vec![web]),
        [
            "http.routers.my-web-1.service=my-web-1",
            "http.routers.my-web-1.rule=Host(`my-web-1`)",
            "http.services.my-web-1.loadBalancer.servers[0].url=http://172.17.0.2:80",
        ]
    );
}

#[test]
fn rendered_rules_are_marked_and_written_ones_are_not() {
    let labels = [
        ("traefik.http.routers.written.rule", "Path(`/`)"),
        ("traefik.http.routers.bare.priority", "3"),
    ];
    let (routing, _) = translate(&Docker::default(), vec![container("web", &labels)]);
    let mark = |name: &str| routing.http.routers[name].default_rule;
    assert_eq!((mark("written"), mark("bare")), (DefaultRule::No, DefaultRule::Rendered));
}

#[test]
fn replicas_of_a_compose_service_share_one_service() {
    let labels = [("com.docker.compose.service", "web"), ("com.docker.compose.project", "my_shop")];
    let one = at([172, 17, 0, 2], container("my_shop-web-1", &labels));
    let two = at([172, 17, 0, 3], container("my_shop-web-2", &labels));
    assert_eq!(
        sound(vec![two, one]),
        [
            "http.routers.web-my-shop.service=web-my-shop",
            "http.routers.web-my-shop.rule=Host(`web-my-shop`)",
            "http.services.web-my-shop.loadBalancer.servers[0].url=http://172.17.0.2:80",
            "http.services.web-my-shop.loadBalancer.servers[1].url=http://172.17.0.3:80",
        ]
    );
}

#[test]
fn labels_may_be_written_in_any_case_and_names_keep_theirs() {
    let labels = [
        ("Traefik.HTTP.Routers.Web.RULE", "Host(`a`)"),
        ("traefik.http.routers.Web.EntryPoints", "web, websecure"),
        ("traefik.http.routers.Web.tls", "true"),
        ("traefik.http.services.Web.loadbalancer.server.port", "8080"),
    ];
    assert_eq!(
        sound(vec![at([10, 0, 0, 1], container("c", &labels))]),
        [
            "http.routers.Web.entryPoints[0]=web",
            "http.routers.Web.entryPoints[1]=websecure",
            "http.routers.Web.service=Web",
            "http.routers.Web.rule=Host(`a`)",
            "http.routers.Web.tls=true",
            "http.services.Web.loadBalancer.servers[0].url=http://10.0.0.1:8080",
        ]
    );
}

#[test]
fn our_family_wins_and_a_disagreement_is_said() {
    let labels = [
        ("portcullis.http.routers.a.rule", "Path(`/ours`)"),
        ("traefik.http.routers.a.rule", "Path(`/theirs`)"),
        ("portcullis.http.routers.a.priority", "1"),
        ("traefik.http.routers.a.priority", "1"),
        ("traefik.http.routers.a.service", "x@file"),
    ];
    let (lines, problems) = outcome(vec![container("c", &labels)]);
    assert!(lines.contains(&"http.routers.a.rule=Path(`/ours`)".to_owned()));
    assert!(lines.contains(&"http.routers.a.service=x@file".to_owned()));
    assert_eq!(
        problems,
        ["warning: label traefik.http.routers.a.rule: container `c`: ignored: \
          `portcullis.http.routers.a.rule` sets the same field and wins"]
    );
}

#[test]
fn tcp_and_udp_objects_come_without_http_ones() {
    let labels = [
        ("traefik.tcp.routers.db.rule", "HostSNI(`*`)"),
        ("traefik.tcp.services.db.loadbalancer.server.port", "5432"),
        ("traefik.tcp.services.db.loadbalancer.server.tls", "true"),
        ("traefik.udp.routers.dns.entrypoints", "dns"),
        ("traefik.udp.services.dns.loadbalancer.server.port", "53"),
    ];
    assert_eq!(
        sound(vec![at([10, 0, 0, 1], container("c", &labels))]),
        [
            "tcp.routers.db.service=db",
            "tcp.routers.db.rule=HostSNI(`*`)",
            "tcp.services.db.loadBalancer.servers[0].address=10.0.0.1:5432",
            "tcp.services.db.loadBalancer.servers[0].tls=true",
            "udp.routers.dns.entryPoints[0]=dns",
            "udp.routers.dns.service=dns",
            "udp.services.dns.loadBalancer.servers[0].address=10.0.0.1:53",
        ]
    );
}

#[test]
fn a_tcp_router_needs_its_rule() {
    let labels = [("traefik.tcp.routers.db.entrypoints", "db")];
    let (lines, problems) = outcome(vec![container("c", &labels)]);
    assert!(!lines.iter().any(|line| line.starts_with("tcp.routers")), "{lines:?}");
    assert!(problems[0].starts_with("error: tcp router `db`: no rule"), "{problems:?}");
}

#[test]
fn several_services_and_no_router_make_no_router() {
    let labels = [
        ("traefik.http.services.a.loadbalancer.server.port", "1"),
        ("traefik.http.services.b.loadbalancer.server.port", "2"),
    ];
    let lines = sound(vec![container("c", &labels)]);
    assert!(lines.iter().all(|line| line.starts_with("http.services.")), "{lines:?}");
}

#[test]
fn a_router_that_could_lead_to_several_services_stays_and_is_broken() {
    let labels = [
        ("traefik.http.routers.r.rule", "Path(`/`)"),
        ("traefik.http.services.a.loadbalancer.server.port", "1"),
        ("traefik.http.services.b.loadbalancer.server.port", "2"),
    ];
    let (lines, problems) = outcome(vec![container("c", &labels)]);
    assert_eq!(lines[0], "http.routers.r.rule=Path(`/`)");
    assert_eq!(
        problems,
        ["error: http router `r`: no service, and the container has several: a, b; name one"]
    );
}

#[test]
fn middlewares_keep_their_settings_and_default_stores_their_certificate() {
    let labels = [
        ("traefik.http.middlewares.cut.stripprefix.prefixes", "/a,/b"),
        ("traefik.http.middlewares.h.headers.customrequestheaders.X-Foo", "bar"),
        ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "le"),
        ("traefik.tls.stores.default.defaultgeneratedcert.domain.main", "example.com"),
    ];
    let lines = sound(vec![container("c", &labels)]);
    for line in [
        "http.middlewares.cut.stripprefix.prefixes=/a,/b",
        "http.middlewares.h.headers.customrequestheaders.X-Foo=bar",
        "tls.stores.default.defaultGeneratedCert.resolver=le",
        "tls.stores.default.defaultGeneratedCert.domain.main=example.com",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line} is not in {lines:#?}");
    }
}

#[test]
fn a_mistake_in_one_object_leaves_the_others() {
    let labels = [
        ("traefik.http.routers.good.rule", "Path(`/good`)"),
        ("traefik.http.routers.bad.rule", "Path(`/bad`)"),
        ("traefik.http.routers.bad.entrypoint", "web"),
    ];
    let (lines, problems) = outcome(vec![container("c", &labels)]);
    assert!(lines.contains(&"http.routers.good.rule=Path(`/good`)".to_owned()));
    // It keeps its place in the order; the problem makes it answer 404.
    assert!(lines.contains(&"http.routers.bad.rule=Path(`/bad`)".to_owned()));
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(
        problem.starts_with("error: label traefik.http.routers.bad.entrypoint: http router `bad`:"),
        "{problem}"
    );
    assert!(problem.contains("entryPoints"), "{problem}");
}

#[test]
fn a_broken_service_is_not_replaced_by_a_default_one() {
    let labels = [
        ("traefik.http.routers.r.rule", "Path(`/`)"),
        ("traefik.http.services.s.loadbalancer.server.port", "http"),
    ];
    let (lines, problems) = outcome(vec![container("c", &labels)]);
    assert_eq!(lines, ["http.routers.r.service=s", "http.routers.r.rule=Path(`/`)"]);
    assert_eq!(
        problems,
        ["error: http service `s`: expected a port from 1 to 65535, found `http`"]
    );
}

#[test]
fn what_is_kept_of_unchanged_containers_equals_a_new_translation() {
    let translator = translator(&Docker::default());
    let mut fleet = Fleet::default();
    let port = [("traefik.http.services.s.loadbalancer.server.port", "80")];
    let mut web = container("web", &port);
    web.network_mode = "container:vpn-id".to_owned();
    web.networks.clear();
    for container in [web, at([10, 0, 0, 1], container("vpn", &[])), container("other", &[])] {
        fleet.put(container);
    }
    translator.translate(&mut fleet);
    fleet.put(at([10, 0, 0, 2], container("vpn", &[])));
    fleet.remove("other-id");
    let kept = translator.translate(&mut fleet);
    fleet.set_host([127, 0, 0, 1].into());
    assert_eq!(kept, translator.translate(&mut fleet));
    assert_eq!(
        kept.0.http.services["s"].load_balancer.as_ref().unwrap().servers[0].url,
        "http://10.0.0.2:80"
    );
    assert!(!kept.0.http.services.contains_key("other"));
}
