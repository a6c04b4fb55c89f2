//! Which containers count, and where they answer.

use super::*;

fn url(options: &Docker, containers: Vec<Container>) -> String {
    let (lines, problems) = outcome_with(options, containers);
    let url = lines.iter().find_map(|line| line.split_once("servers[0].url="));
    url.map_or_else(|| problems.join("; "), |(_, url)| url.to_owned())
}

fn default_url(container: Container) -> String {
    url(&Docker::default(), vec![container])
}

fn exposing(ports: &[u16], mut container: Container) -> Container {
    container.ports = ports.iter().map(|port| (*port, Vec::new())).collect();
    container
}

const URL: &str = "traefik.http.services.s.loadbalancer.server.url";
const PORT: &str = "traefik.http.services.s.loadbalancer.server.port";
const SCHEME: &str = "traefik.http.services.s.loadbalancer.server.scheme";

#[test]
fn the_lowest_exposed_port_counts_unless_a_label_names_one() {
    let web = at([10, 0, 0, 1], exposing(&[8080, 443], container("c", &[])));
    assert_eq!(default_url(web), "http://10.0.0.1:443");
    let labels = [(PORT, "9000"), (SCHEME, "h2c")];
    assert_eq!(default_url(at([10, 0, 0, 1], container("c", &labels))), "h2c://10.0.0.1:9000");
}

#[test]
fn empty_labels_say_nothing() {
    let labels = [(URL, ""), (PORT, ""), (SCHEME, "")];
    assert_eq!(default_url(at([10, 0, 0, 1], container("c", &labels))), "http://10.0.0.1:80");
}

#[test]
fn a_url_says_everything() {
    let web = container("c", &[(URL, "https://elsewhere:1")]);
    assert_eq!(default_url(web), "https://elsewhere:1");
    let web = container("c", &[(URL, "https://elsewhere:1"), (PORT, "1")]);
    assert!(default_url(web).contains("remove `port` and `scheme`"));
}

#[test]
fn without_a_port_a_container_without_labels_is_out() {
    let (lines, problems) = outcome(vec![exposing(&[], container("c", &[]))]);
    assert_eq!(lines, [""; 0]);
    assert!(problems[0].starts_with("error: container `c`: port is missing"), "{problems:?}");
}

#[test]
fn without_a_port_a_router_with_labels_stays_and_leads_nowhere() {
    let labels = [("traefik.http.routers.r.rule", "Path(`/`)")];
    let (lines, problems) = outcome(vec![exposing(&[], container("c", &labels))]);
    assert_eq!(lines, ["http.routers.r.service=c", "http.routers.r.rule=Path(`/`)"]);
    assert!(problems[0].starts_with("error: http service `c`: port is missing"), "{problems:?}");
}

#[test]
fn the_network_of_the_label_counts_then_that_of_the_options_then_any() {
    let with = |labels: &[(&str, &str)]| {
        let mut web = container("c", labels);
        web.networks = [
            ("a".to_owned(), Some([10, 0, 0, 1].into())),
            ("b".to_owned(), Some([10, 0, 0, 2].into())),
            ("c".to_owned(), Some("fd00::3".parse().unwrap())),
        ]
        .into();
        web
    };
    let options = Docker { network: "b".to_owned(), ..Docker::default() };
    let label = "traefik.docker.network";
    assert_eq!(url(&options, vec![with(&[(label, "c")])]), "http://[fd00::3]:80");
    assert_eq!(url(&options, vec![with(&[])]), "http://10.0.0.2:80");
    assert_eq!(default_url(with(&[])), "http://10.0.0.1:80");
    let (lines, problems) = outcome_with(&options, vec![with(&[(label, "x")])]);
    assert!(lines.iter().any(|line| line.ends_with("http://10.0.0.1:80")), "{lines:?}");
    assert_eq!(
        problems,
        [
            "warning: container `c`: not attached to the network `x`, only to a, b, c; one of these is used"
        ]
    );
}

#[test]
fn the_network_of_the_host_is_reached_at_the_host() {
    let mut web = container("c", &[]);
    web.network_mode = "host".to_owned();
    web.networks = [("host".to_owned(), None)].into();
    assert_eq!(default_url(web.clone()), "http://127.0.0.1:80");
    let mut fleet = Fleet::default();
    fleet.put(web);
    assert!(fleet.needs_host());
    fleet.set_host([192, 168, 65, 2].into());
    let (routing, _) = translator(&Docker::default()).translate(&mut fleet);
    assert!(lines(&routing).iter().any(|line| line.ends_with("http://192.168.65.2:80")));
}

#[test]
fn a_shared_network_is_that_of_the_other_container() {
    let mut web = container("web", &[(PORT, "80")]);
    web.network_mode = "container:vpn-id".to_owned();
    web.networks.clear();
    let vpn = at([10, 0, 0, 7], container("vpn", &[("traefik.enable", "false")]));
    assert_eq!(url(&Docker::default(), vec![web.clone(), vpn]), "http://10.0.0.7:80");
    assert!(default_url(web).contains("shares the network of container vpn-id"));
}

#[test]
fn published_ports_count_if_they_say_where() {
    let options = Docker { use_bind_port_ip: true, ..Docker::default() };
    let bound = |host: Option<[u8; 4]>| {
        let mut web = at([10, 0, 0, 1], container("c", &[]));
        let host = host.map(Into::into);
        web.ports = [(80, vec![Binding { host, port: 8080 }]), (443, Vec::new())].into();
        web
    };
    assert_eq!(url(&options, vec![bound(Some([192, 168, 0, 1]))]), "http://192.168.0.1:8080");
    assert_eq!(url(&options, vec![bound(None)]), "http://10.0.0.1:80");
    assert_eq!(default_url(bound(Some([192, 168, 0, 1]))), "http://10.0.0.1:80");
}

#[test]
fn exposure_follows_the_option_unless_the_label_says() {
    let hidden = Docker { exposed_by_default: false, ..Docker::default() };
    let with = |value: &str| vec![container("c", &[("traefik.enable", value)])];
    assert_eq!(outcome_with(&hidden, vec![container("c", &[])]).0, [""; 0]);
    assert_eq!(outcome_with(&hidden, with("true")).0.len(), 3);
    assert_eq!(outcome(with("false")), (vec![], vec![]));
    let (lines, problems) = outcome(with("maybe"));
    assert_eq!(lines, [""; 0]);
    assert!(problems[0].contains("label traefik.enable: container `c`"), "{problems:?}");
}

#[test]
fn constraints_choose_containers() {
    let constraints = "Label(`tier`, `edge`)".to_owned();
    let options = Docker { constraints, ..Docker::default() };
    assert_eq!(outcome_with(&options, vec![container("c", &[])]).0, [""; 0]);
    assert_eq!(outcome_with(&options, vec![container("c", &[("tier", "edge")])]).0.len(), 3);
}

#[test]
fn stopped_and_unhealthy_containers_count_only_without_servers_and_if_asked_to() {
    let with = |standing: Standing, labels: &[(&str, &str)]| {
        let mut web = container("c", labels);
        web.standing = standing;
        vec![web]
    };
    let routers = ["http.routers.c.service=c", "http.routers.c.rule=Host(`c`)"];
    let allowed = [("traefik.docker.allownonrunning", "true")];
    let empty = Docker { allow_empty_services: true, ..Docker::default() };
    assert_eq!(outcome(with(Standing::Stopped, &[])).0, [""; 0]);
    assert_eq!(outcome(with(Standing::Unhealthy, &[])).0, [""; 0]);
    assert_eq!(outcome(with(Standing::Stopped, &allowed)).0, routers);
    assert_eq!(outcome_with(&empty, with(Standing::Unhealthy, &[])).0, routers);
    assert_eq!(outcome_with(&empty, with(Standing::Stopped, &[])).0, [""; 0]);
    let (routing, _) = translate(&empty, with(Standing::Unhealthy, &[]));
    assert!(routing.http.services.contains_key("c"));
}

#[test]
fn the_default_rule_sees_names_and_labels() {
    let default_rule =
        "Host(`{{ .Name }}.{{ .ContainerName }}.{{ index .Labels \"x.y\" }}`)".to_owned();
    let options = Docker { default_rule, ..Docker::default() };
    let (lines, _) = outcome_with(&options, vec![container("a_b", &[("x.y", "z")])]);
    assert!(lines.contains(&"http.routers.a-b.rule=Host(`a-b.a_b.z`)".to_owned()), "{lines:?}");
    let empty =
        Docker { default_rule: "{{ index .Labels \"none\" }}".to_owned(), ..Docker::default() };
    let (lines, problems) = outcome_with(&empty, vec![container("c", &[])]);
    assert!(!lines.iter().any(|line| line.starts_with("http.routers")), "{lines:?}");
    assert_eq!(
        problems,
        ["error: http router `c`: no rule, and the defaultRule gives an empty one"]
    );
}
