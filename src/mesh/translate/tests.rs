use portcullis_config::Routing;
use portcullis_config::tree::text::{Format, parse};

use super::*;
use crate::install::{self, MeshRole, MeshUpstream};

/// What follows for node `n1`, an edge unless `roles` says otherwise.
fn translated(text: &str, roles: Vec<MeshRole>) -> Configuration {
    let (routing, problems) = Routing::from_tree(&parse(text, Format::Yaml, "m.yml").unwrap());
    assert!(problems.is_empty(), "{problems:?}");
    let upstream = |service: &str, port, account: &str| MeshUpstream {
        service: service.into(),
        port,
        account: account.into(),
        listen: format!("127.0.0.1:{port}").parse().unwrap(),
    };
    let upstreams = vec![upstream("web.default", 80, "shop/cart"), upstream("db.data", 5432, "")];
    let (trust_domain, node) = ("td".into(), "n1".into());
    let settings = install::Mesh { roles, trust_domain, node, upstreams, ..Default::default() };
    let own = Node::new(&settings).unwrap();
    let (catalog, problems) = Catalog::compile(&routing.mesh, &own);
    assert!(problems.is_empty(), "{problems:?}");
    let mut configuration = Configuration::default();
    translate(&catalog, &own, &mut configuration);
    configuration
}

const MESH: &str = "
mesh:
  nodes: { n2: { address: 10.0.0.2:1 } }
  workloads:
    web-1: { account: web, node: n1, address: 10.1.0.1, weight: 3, ports: [{ port: 80, targetPort: 8080, protocol: http }] }
    web-2: { account: web, node: n2, address: 'fd00::2', ports: [{ port: 80, protocol: http }] }
    web-3: { account: web, node: n2, address: 10.1.0.3, health: unhealthy, ports: [{ port: 80, protocol: http }] }
    db: { namespace: data, account: db, node: n2, address: 10.1.0.4, ports: [{ port: 5432, protocol: tcp }] }
  services:
    web.default: { workloads: [web-1, web-2, web-3], loadBalancer: { strategy: p2c }, middlewares: { client: [retry@file], server: [limit@file] } }
    db.data: { workloads: [db] }
";

#[test]
fn http_ports_become_load_balancers_for_every_caller() {
    let configuration = translated(MESH, Vec::new());
    let edge = &configuration.services["web.default-80@mesh"];
    assert_eq!(edge.middlewares, ["retry@file"]);
    let balancer = edge.load_balancer.as_ref().unwrap();
    assert_eq!((&*balancer.strategy, balancer.servers.len()), ("p2c", 2));
    assert_eq!(
        (&*balancer.servers[0].url, balancer.servers[0].weight),
        ("http://10.1.0.1:8080", Some(3))
    );
    assert_eq!(balancer.servers[1].url, "http://[fd00::2]:80");
    let tunnel = balancer.servers[1].tunnel.as_ref().unwrap();
    assert_eq!((&*tunnel.node, &*tunnel.address), ("n2", "10.0.0.2:1"));
    assert_eq!(
        (&*tunnel.identity, &*tunnel.service),
        ("spiffe://td/ns/default/sa/web", "web.default")
    );
    let transport = &configuration.servers_transports[&Name::verbatim(&balancer.servers_transport)];
    assert_eq!(transport.mesh_identity, "spiffe://td/ns/portcullis-system/sa/edge.n1");
    let cart = &configuration.services["web.default-80-as-shop.cart@mesh"];
    let transport = &cart.load_balancer.as_ref().unwrap().servers_transport;
    let transport = &configuration.servers_transports[&Name::verbatim(transport)];
    assert_eq!(transport.mesh_identity, "spiffe://td/ns/shop/sa/cart");
}

#[test]
fn other_ports_become_tcp_services() {
    let configuration = translated(MESH, Vec::new());
    let balancer = configuration.tcp.services["db.data-5432@mesh"].load_balancer.as_ref().unwrap();
    assert_eq!(balancer.servers[0].address, "10.1.0.4:5432");
    assert_eq!(balancer.servers[0].tunnel.as_ref().unwrap().node, "n2");
    let node = &configuration.tcp.services["db.data-5432-as-portcullis-system.node.n1@mesh"];
    let transport = &node.load_balancer.as_ref().unwrap().servers_transport;
    let transport = &configuration.tcp.servers_transports[transport];
    assert_eq!(transport.mesh_identity, "spiffe://td/ns/portcullis-system/sa/node.n1");
}

#[test]
fn local_addresses_have_routers() {
    let configuration = translated(MESH, Vec::new());
    let web = &configuration.routers["mesh-web.default-80-shop.cart@mesh"];
    assert_eq!(web.entry_points, ["mesh-web.default-80-shop.cart"]);
    assert_eq!(web.service, "web.default-80-as-shop.cart@mesh");
    let db = &configuration.tcp.routers["mesh-db.data-5432@mesh"];
    assert_eq!(
        (&*db.rule, &*db.service),
        ("HostSNI(`*`)", "db.data-5432-as-portcullis-system.node.n1@mesh")
    );
}

#[test]
fn workloads_of_this_node_stand_behind_their_middlewares() {
    let configuration = translated(MESH, Vec::new());
    let here = &configuration.services["web-1-80-here@mesh"];
    assert_eq!(here.middlewares, ["limit@file"]);
    let server = &here.load_balancer.as_ref().unwrap().servers[0];
    assert_eq!((&*server.url, server.tunnel.is_none()), ("http://10.1.0.1:8080", true));
    assert!(!configuration.services.contains_key("web-2-80-here@mesh"));
}

#[test]
fn only_an_edge_calls_as_one() {
    let configuration = translated(MESH, vec![MeshRole::Node]);
    assert!(!configuration.services.contains_key("web.default-80@mesh"));
    assert!(configuration.services.contains_key("web.default-80-as-shop.cart@mesh"));
}
