//! TCP and UDP from the text of a provider to routes.

use portcullis_config::Routing;
use portcullis_config::tree::text::{Format, parse};
use portcullis_providers::{Published, Weight};

use super::super::merge;
use crate::observe::series::EntryPointSeries;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::{Context, compile};
use crate::snapshot::configuration::EntryPointDefaults;
use crate::snapshot::report::Status;
use crate::tcp::route::{Leaf, Mode};
use crate::tcp::routes::Seen;
use crate::tcp::table::Taker;
use crate::tls::configurations::{Configurations, Conflicts};

fn snapshot(yaml: &str, previous: Option<&Snapshot>) -> Snapshot {
    let (routing, problems) = Routing::from_tree(&parse(yaml, Format::Yaml, "r.yml").unwrap());
    let published = Published { routing, problems, weight: Weight::IfDifferent };
    let web = EntryPointDefaults { name: "web".into(), ..EntryPointDefaults::default() };
    let said = [("file".into(), std::sync::Arc::new(published))];
    let configuration = merge(&said, std::slice::from_ref(&web));
    let context = Context {
        entry_points: vec![(web, std::sync::Arc::new(EntryPointSeries::new("web")))],
        internal: Default::default(),
        udp_entry_points: vec!["dns".into(), "ntp".into()],
        default_transport: Default::default(),
        default_tcp_transport: Default::default(),
        spiffe: None,
        tls: Configurations::new().unwrap(),
        conflicts: Conflicts::FallBack,
        extension: None,
    };
    compile(&configuration, previous, &context).0
}

/// The router that takes a TLS connection, and what becomes of it there.
fn taker(snapshot: &Snapshot, name: &str) -> String {
    let client_ip = "192.0.2.1".parse().unwrap();
    let seen = Seen { server_name: name, protocols: &[], client_ip };
    match snapshot.entry_points[0].tcp.secure(&seen) {
        Taker::Http => "http".to_owned(),
        Taker::Tcp(route) => {
            let mode = match (&route.leaf, &route.mode) {
                (Leaf::Broken, _) => "broken",
                (_, Mode::Plain) => "plain",
                (_, Mode::Terminate(_)) => "ends",
                (_, Mode::Passthrough) => "passes",
            };
            format!("{} {mode}", route.name)
        }
    }
}

const ROUTES: &str = "
http:
  routers: {site: {rule: 'Host(`site.test`)', service: 'noop@internal', tls: {}}}
tcp:
  routers:
    ends: {rule: 'HostSNI(`ends.test`)', service: s, tls: {}}
    passes: {rule: 'HostSNI(`passes.test`)', service: w, tls: {passthrough: true}}
    stolen: {rule: 'HostSNI(`site.test`)', service: s, tls: {}}
    options: {rule: 'HostSNI(`options.test`)', service: s, tls: {options: lost}}
    gate: {rule: 'HostSNI(`gate.test`)', service: s, tls: {}, middlewares: [odd]}
    cycle: {rule: 'HostSNI(`cycle.test`)', service: a, tls: {}}
    none: {rule: 'HostSNI(`none.test`)', service: lost, tls: {}}
    named: {rule: 'HostSNI(`named.test`)', service: s}
    wrong: {rule: 'Host(`x.test`)', service: s, tls: {}}
    any: {rule: 'HostSNI(`*`)', service: s, tls: {}}
  middlewares: {odd: {buffering: {}}}
  services:
    s: {loadBalancer: {servers: [{address: '127.0.0.1:1'}, {address: nonsense}]}}
    w: {weighted: {services: [{name: s}]}}
    a: {weighted: {services: [{name: b}]}}
    b: {weighted: {services: [{name: a}]}}
udp:
  routers:
    first: {service: u, entryPoints: [dns]}
    last: {service: lost, entryPoints: [dns]}
    only: {service: u, entryPoints: [ntp, nowhere]}
  services: {u: {loadBalancer: {servers: [{address: '127.0.0.1:1'}]}}}
";

#[tokio::test]
async fn routers_are_filed_and_broken_ones_keep_their_place() {
    let snapshot = snapshot(ROUTES, None);
    for (name, expected) in [
        ("ends.test", "ends@file ends"),
        ("passes.test", "passes@file passes"),
        ("site.test", "http"),
        ("options.test", "options@file broken"),
        ("gate.test", "gate@file broken"),
        ("cycle.test", "cycle@file broken"),
        ("none.test", "none@file broken"),
        ("else.test", "any@file ends"),
    ] {
        assert_eq!(taker(&snapshot, name), expected, "{name}");
    }
}

#[tokio::test]
async fn the_report_tells_of_each_object() {
    let snapshot = snapshot(ROUTES, None);
    let report = &snapshot.report.tcp;
    for (name, part) in [
        ("options@file", "tls options `lost@file` do not exist"),
        ("gate@file", "there is no kind `buffering` for TCP"),
        ("cycle@file", "cycle"),
        ("none@file", "`lost@file` does not exist"),
        ("named@file", "without TLS have none"),
        ("wrong@file", "unknown matcher Host"),
    ] {
        let item = report.routers.iter().find(|(it, _)| it.as_str() == name).unwrap().1;
        assert_eq!(item.status, Status::Disabled, "{name}");
        assert!(item.errors.iter().any(|error| error.contains(part)), "{name}: {:?}", item.errors);
    }
    let service = report.services.iter().find(|(it, _)| it.as_str() == "s@file").unwrap().1;
    assert_eq!(service.status, Status::Warning);
    assert!(service.errors[0].contains("nonsense"), "{:?}", service.errors);
    assert!(service.used.iter().any(|user| **user == *"ends@file"));
}

#[tokio::test]
async fn one_udp_router_serves_an_entry_point() {
    let snapshot = snapshot(ROUTES, None);
    let [dns, ntp] = [0, 1].map(|index| snapshot.udp[index].clone().unwrap());
    // The last name wins and is broken: its datagrams go nowhere.
    assert_eq!((&*dns.name, dns.service.is_some()), ("last@file", false));
    assert_eq!((&*ntp.name, ntp.service.is_some()), ("only@file", true));
    let status = |name: &str| {
        let mut routers = snapshot.report.udp.routers.iter();
        routers.find(|(it, _)| it.as_str() == name).unwrap().1.status
    };
    assert_eq!(status("first@file"), Status::Warning);
    assert_eq!(status("last@file"), Status::Disabled);
    assert_eq!(status("only@file"), Status::Warning);
}

#[tokio::test]
async fn equal_parts_are_kept() {
    let first = snapshot(ROUTES, None);
    let second = snapshot(ROUTES, Some(&first));
    let (old, new) = (&first.kept, &second.kept);
    for (settings, transport) in &new.tcp.transports {
        assert!(std::sync::Arc::ptr_eq(transport, &old.tcp.transports[settings]));
    }
    assert!(!new.hosts.is_empty());
    for (name, host) in &new.hosts {
        assert!(std::sync::Arc::ptr_eq(host, &old.hosts[name]));
    }
}
