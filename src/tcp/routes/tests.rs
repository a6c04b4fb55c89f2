use std::net::IpAddr;

use portcullis_config::rule::Protocol;
use portcullis_config::rule::parse::parse;
use proptest::prelude::*;

use super::*;

fn entry(rule: &str, priority: i64) -> Entry<String> {
    let parsed = parse(rule, Protocol::Tcp).unwrap();
    let priority = if priority == 0 { parsed.default_priority(rule) } else { priority };
    Entry { rule: parsed, priority, target: rule.to_owned() }
}

fn table(rules: &[(&str, i64)]) -> Routes<String> {
    Routes::compile(rules.iter().map(|(rule, priority)| entry(rule, *priority)).collect()).unwrap()
}

fn find<'r>(routes: &'r Routes<String>, name: &str, protocols: &[&str], ip: &str) -> &'r str {
    let protocols: Vec<Box<[u8]>> = protocols.iter().map(|it| it.as_bytes().into()).collect();
    let client_ip: IpAddr = ip.parse().unwrap();
    let seen = Seen { server_name: name, protocols: &protocols, client_ip };
    routes.find(&seen).map_or("", |(target, _)| target)
}

#[test]
fn names_are_matched_exactly_by_wildcard_by_regex_and_by_anything() {
    let routes = table(&[
        ("HostSNI(`A.Test.`)", 0),
        ("HostSNI(`*.b.test`)", 0),
        ("HostSNIRegexp(`^c[0-9]+\\.test$`)", 0),
        ("HostSNI(`*`)", 0),
    ]);
    for (name, expected) in [
        ("a.test", "HostSNI(`A.Test.`)"),
        ("x.b.test", "HostSNI(`*.b.test`)"),
        ("b.test", "HostSNI(`*`)"),
        ("x.y.b.test", "HostSNI(`*`)"),
        (".b.test", "HostSNI(`*`)"),
        ("c12.test", "HostSNIRegexp(`^c[0-9]+\\.test$`)"),
        ("", "HostSNI(`*`)"),
    ] {
        assert_eq!(find(&routes, name, &[], "192.0.2.1"), expected, "{name}");
    }
}

#[test]
fn protocols_and_addresses_are_matched() {
    let routes = table(&[("ALPN(`h2`)", 9), ("ClientIP(`192.0.2.0/24`)", 8), ("!ALPN(`x`)", 1)]);
    assert_eq!(find(&routes, "", &["http/1.1", "h2"], "::1"), "ALPN(`h2`)");
    assert_eq!(find(&routes, "", &["http/1.1"], "192.0.2.7"), "ClientIP(`192.0.2.0/24`)");
    assert_eq!(find(&routes, "", &[], "::1"), "!ALPN(`x`)");
    assert_eq!(find(&routes, "", &["x"], "::1"), "");
}

#[test]
fn priorities_rule_over_the_index() {
    let routes = table(&[("HostSNI(`a.test`)", 5), ("ClientIP(`192.0.2.1`)", 7)]);
    assert_eq!(find(&routes, "a.test", &[], "192.0.2.1"), "ClientIP(`192.0.2.1`)");
    let routes = table(&[("HostSNI(`a.test`)", 7), ("ClientIP(`192.0.2.1`)", 5)]);
    assert_eq!(find(&routes, "a.test", &[], "192.0.2.1"), "HostSNI(`a.test`)");
    let routes = table(&[("HostSNI(`*`)", 100), ("HostSNI(`a.test`)", 0)]);
    assert_eq!(find(&routes, "a.test", &[], "::1"), "HostSNI(`*`)");
}

#[test]
fn equal_priorities_keep_the_order_given() {
    let routes = table(&[("HostSNI(`a.test`)", 5), ("HostSNI(`*.test`)", 5)]);
    assert_eq!(find(&routes, "a.test", &[], "::1"), "HostSNI(`a.test`)");
    let routes = table(&[("HostSNI(`*.test`)", 5), ("HostSNI(`a.test`)", 5)]);
    assert_eq!(find(&routes, "a.test", &[], "::1"), "HostSNI(`*.test`)");
}

#[test]
fn only_the_bare_catch_all_is_one() {
    let routes = table(&[("HostSNI(`*`) && ClientIP(`::1`)", 0), ("HostSNI(`*`)", 0)]);
    let find = |ip: &str| {
        let seen = Seen { server_name: "x", protocols: &[], client_ip: ip.parse().unwrap() };
        routes.find(&seen).map(|(_, reach)| reach)
    };
    assert_eq!(find("::1"), Some(Reach::Specific));
    assert_eq!(find("::2"), Some(Reach::CatchAll));
}

fn rules() -> impl Strategy<Value = String> {
    let names = ["a.test", "b.test", "*.test", "x.a.test", "*.a.test", "*"];
    let leaf = prop_oneof![
        prop::sample::select(names.to_vec()).prop_map(|name| format!("HostSNI(`{name}`)")),
        Just("HostSNIRegexp(`^[ab]`)".to_owned()),
        Just("ClientIP(`192.0.2.1`)".to_owned()),
        Just("ALPN(`h2`)".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.prop_map(|a| format!("!{a}")),
        ]
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_finds(
        rules in prop::collection::vec((rules(), 0_i64..4), 0..12),
        name in prop::sample::select(vec!["", "a.test", "b.test", "c.test", "x.a.test", "y.a.test"]),
        h2: bool,
        ip in prop::sample::select(vec!["192.0.2.1", "::1"]),
    ) {
        let entries: Vec<_> = rules.iter().map(|(rule, priority)| entry(rule, *priority)).collect();
        let routes = Routes::compile(entries).unwrap();
        let protocols: Vec<Box<[u8]>> = if h2 { vec![Box::from(&b"h2"[..])] } else { Vec::new() };
        let client_ip = ip.parse().unwrap();
        let seen = Seen { server_name: name, protocols: &protocols, client_ip };
        let scan = routes.lines.iter().find(|line| line.condition.matches(&seen));
        prop_assert_eq!(routes.find(&seen).map(|it| it.0), scan.map(|line| &line.target));
    }
}
