use portcullis_config::Routing;
use portcullis_config::tree::text::{Format, parse};

use super::*;
use crate::mesh::node::Node;

/// The mesh part of a routing configuration.
fn mesh(text: &str) -> config::Mesh {
    let (routing, problems) = Routing::from_tree(&parse(text, Format::Yaml, "m.yml").unwrap());
    assert!(problems.is_empty(), "{problems:?}");
    routing.mesh
}

/// The node `n1`.
fn own() -> Node {
    let settings =
        install::Mesh { trust_domain: "td".into(), node: "n1".into(), ..Default::default() };
    Node::new(&settings).unwrap()
}

fn compiled(text: &str) -> (Catalog, Vec<String>) {
    let (catalog, problems) = Catalog::compile(&mesh(text), &own());
    (catalog, problems.iter().map(ToString::to_string).collect())
}

const TWO: &str = "
mesh:
  nodes: { n2: { address: 10.0.0.2 } }
  workloads:
    web-1: { account: web, node: n1, address: 10.1.0.1, ports: [{ port: 80, targetPort: 8080, protocol: http }, { port: 8080, targetPort: 9090 }] }
    web-2: { account: web, node: n2, address: 10.1.0.2, ports: [{ port: 80, protocol: http }] }
    db: { namespace: data, account: db, node: n2, address: 10.1.0.3, ports: [{ port: 5432, protocol: tcp }] }
  services:
    web.default: { workloads: [web-1, web-2], ports: [80] }
    all.default: { selector: { namespace: default } }
";

#[test]
fn workloads_have_identities_tunnels_and_services() {
    let (catalog, problems) = compiled(TWO);
    assert_eq!(problems, Vec::<String>::new());
    let web = &catalog.workloads["web-2"];
    assert_eq!(web.id.as_str(), "spiffe://td/ns/default/sa/web");
    assert_eq!((&*web.tunnel.node, &*web.tunnel.address), ("n2", "10.0.0.2:15008"));
    assert_eq!(
        web.services.iter().map(|it| &**it).collect::<Vec<_>>(),
        ["web.default", "all.default"]
    );
    assert!(catalog.workloads["db"].services.is_empty());
    assert_eq!(catalog.services["web.default"].ports, [(80, Protocol::Http)]);
    assert_eq!(catalog.services["all.default"].ports.len(), 2);
}

#[test]
fn calls_are_for_workloads_of_this_node_only() {
    let (catalog, _) = compiled(TWO);
    let found = |host: &str, port| {
        catalog
            .local(host, port)
            .map(|(workload, index)| (&*workload.name, workload.ports[index].port))
    };
    // The port that it listens on comes first, so that each port of a service means one place.
    assert_eq!(found("10.1.0.1", 8080), Some(("web-1", 80)));
    assert_eq!(found("10.1.0.1", 9090), Some(("web-1", 8080)));
    assert_eq!(found("10.1.0.1", 80), Some(("web-1", 80)));
    assert_eq!(found("web.default", 80), Some(("web-1", 80)));
    assert_eq!(found("10.1.0.2", 80), None);
    assert_eq!(found("10.1.0.1", 22), None);
    assert_eq!(found("data.default", 80), None);
}

#[test]
fn what_cannot_be_is_named_and_left_out() {
    let (catalog, problems) = compiled(
        "
mesh:
  nodes: { bad: { address: 'a:b:c' } }
  workloads:
    nobody: { node: n1, address: a }
    nowhere: { account: web, address: a }
    lost: { account: web, node: n9, address: a }
    off: { account: web, node: bad, address: a }
    odd: { account: 'a/b', node: n1, address: a }
    one: { account: one, node: n1, address: a, ports: [{ port: 80, protocol: http }] }
    two: { account: two, node: n1, address: a, ports: [{ port: 80, protocol: tcp }] }
  services:
    mixed: { workloads: [one, two] }
    partly: { workloads: [one, three] }
    taken: { workloads: [one], loadBalancer: { servers: [{ url: 'http://a' }] } }
",
    );
    let expected = [
        "mesh workload `nobody`: account: is missing",
        "mesh workload `nowhere`: node: is missing",
        "mesh workload `lost`: node: there is no node `n9`",
        "mesh workload `off`: node: its address `a:b:c` is none",
        "mesh workload `odd`: namespace and account make no identity",
        "mesh service `mixed`: port 80: `one` declares Http and `two` Tcp",
        "mesh service `partly`: workloads: there is no workload `three`; it is left out",
        "mesh service `taken`: loadBalancer: servers and serversTransport are given by the mesh",
        "mesh workload `two`: ports: `one` listens on a:80, too",
    ];
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    assert_eq!(catalog.workloads.keys().map(|it| &**it).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(catalog.services.keys().map(|it| &**it).collect::<Vec<_>>(), ["partly"]);
}
