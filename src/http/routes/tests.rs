//! Tests of the table: it always answers as the naive procedure does, and asks few rules.

use portcullis_config::rule::Protocol;
use portcullis_config::rule::parse::parse;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::http::matcher::tests::Sample;

fn entry(rule: &str, priority: i64) -> Entry<String> {
    let parsed = parse(rule, Protocol::Http).unwrap_or_else(|error| panic!("{rule}: {error}"));
    Entry { rule: parsed, priority, target: rule.to_owned() }
}

/// A table with the default priorities.
fn table<R: AsRef<str>>(rules: impl IntoIterator<Item = R>) -> Routes<String> {
    let entries = rules.into_iter().map(|rule| entry(rule.as_ref(), rule.as_ref().len() as i64));
    whole(entries.collect())
}

/// A table that has all of them.
fn whole<T: fmt::Debug>(entries: Vec<Entry<T>>) -> Routes<T> {
    let (routes, refused) = Routes::compile(entries);
    assert!(refused.is_empty(), "{refused:?}");
    routes
}

fn find<'a>(routes: &'a Routes<String>, host: &str, path: &str) -> Option<&'a str> {
    routes.find(&Sample::new(host, path)).map(String::as_str)
}

/// The naive procedure, by what the rules themselves say.
fn naive<'a>(routes: &'a Routes<String>, sample: &Sample) -> Option<&'a String> {
    let found = routes.explain(sample).find(Explained::matches)?.target;
    Some(found)
}

#[test]
fn longer_rule_wins() {
    let routes = table(["PathPrefix(`/`)", "PathPrefix(`/api`)", "Path(`/api`)"]);
    assert_eq!(find(&routes, "a", "/api"), Some("PathPrefix(`/api`)"));
    assert_eq!(find(&routes, "a", "/ap"), Some("PathPrefix(`/`)"));
}

#[test]
fn higher_priority_wins_and_then_the_earlier_entry() {
    let entries = vec![
        entry("Host(`a`)", 1),
        entry("HostRegexp(`^a`)", 2),
        entry("PathPrefix(`/`)", 2),
        entry("Host(`b`)", -5),
    ];
    let routes = whole(entries);
    assert_eq!(find(&routes, "a", "/"), Some("HostRegexp(`^a`)"));
    assert_eq!(find(&routes, "b", "/"), Some("PathPrefix(`/`)"));
    assert_eq!(find(&routes, "b", "x"), Some("Host(`b`)"));
    assert_eq!(find(&routes, "c", "x"), None);
}

#[test]
fn nested_prefixes_are_all_found() {
    let routes = table(["PathPrefix(`/b`)", "PathPrefix(`/ba`)", "PathPrefix(`/baaa`)"]);
    assert_eq!(find(&routes, "a", "/bb"), Some("PathPrefix(`/b`)"));
    assert_eq!(find(&routes, "a", "/baa"), Some("PathPrefix(`/ba`)"));
    assert_eq!(find(&routes, "a", "/baaab"), Some("PathPrefix(`/baaa`)"));
    assert_eq!(find(&routes, "a", "/c"), None);
}

#[test]
fn negated_rules_are_found_everywhere() {
    let routes = table(["!Host(`a`)", "!(Host(`a`) && Path(`/x`))"]);
    assert_eq!(find(&routes, "b", "/x"), Some("!(Host(`a`) && Path(`/x`))"));
    assert_eq!(find(&routes, "a", "/x"), None);
}

#[test]
fn many_regexes_are_asked_at_once() {
    let rules: Vec<_> = (0..50)
        .flat_map(|i| [format!("PathRegexp(`/r{i}/`)"), format!("HostRegexp(`^h{i}\\.`)")])
        .collect();
    let routes = table(&rules);
    assert_eq!(find(&routes, "a", "/r7/x"), Some("PathRegexp(`/r7/`)"));
    assert_eq!(find(&routes, "h42.b", "/"), Some("HostRegexp(`^h42\\.`)"));
    assert_eq!(routes.search(&Sample::new("a", "/r7/x")).asked, 1);
    assert_eq!(routes.search(&Sample::new("a", "/r")).asked, 0);
}

#[test]
fn anchored_regexes_are_filed_by_their_beginnings() {
    let routes = table((0..50).map(|i| format!("PathRegexp(`^/(a|b)/{i}/`)")));
    assert_eq!(find(&routes, "a", "/b/7/x"), Some("PathRegexp(`^/(a|b)/7/`)"));
    assert_eq!(find(&routes, "a", "/c/7/x"), None);
    assert_eq!(routes.search(&Sample::new("a", "/a/7/x")).asked, 1);
}

#[test]
fn regexes_of_hosts_are_filed_by_their_endings() {
    let rules = (0..50).map(|i| format!("HostRegexp(`^[a-z]+\\.w{i}\\.example\\.com$`)"));
    let routes = table(rules.chain(["HostRegexp(`^x`)".to_owned()]));
    let found = "HostRegexp(`^[a-z]+\\.w7\\.example\\.com$`)";
    assert_eq!(find(&routes, "a.w7.example.com", "/"), Some(found));
    assert_eq!(find(&routes, "1.w7.example.com", "/"), None);
    assert_eq!(find(&routes, "a.b.w7.example.com", "/"), None);
    assert_eq!(find(&routes, "x.w.example.com", "/"), Some("HostRegexp(`^x`)"));
    assert_eq!(find(&routes, &format!("a{}", ".".repeat(60_000)), "/"), None);
}

#[test]
fn explanation_names_the_calls_that_failed() {
    let routes = table(["Host(`a`) && Path(`/x`) && !Method(`GET`)", "Host(`b`) || Path(`/y`)"]);
    let sample = Sample::new("a", "/y");
    let explained: Vec<_> = routes.explain(&sample).collect();
    assert_eq!(explained[0].failed, ["Path(`/x`)", "!Method(`GET`)"]);
    assert!(explained[1].matches());
}

#[test]
fn rule_that_does_not_compile_is_handed_back_and_the_others_serve() {
    let good = entry("Host(`a`)", 1);
    let call = Rule::call("ALPN", ["h2".to_owned()]);
    let bad = Entry { rule: call.clone(), priority: 2, target: "bad".to_owned() };
    let (routes, refused) = Routes::compile(vec![good.clone(), bad, good]);
    assert_eq!((routes.len(), refused.len()), (2, 1));
    assert_eq!((&refused[0].entry.rule, &*refused[0].entry.target), (&call, "bad"));
    assert_eq!(find(&routes, "a", "/"), Some("Host(`a`)"));
    let mut deep = Rule::call("Host", ["a".to_owned()]);
    for _ in 0..3_000 {
        deep = Rule::Not(Box::new(deep));
    }
    let entry = Entry { rule: deep, priority: 0, target: () };
    assert!(Routes::compile(vec![entry]).1[0].reason.contains("deeper"));
}

/// The mix that the size of an installation is judged by.
fn ten_thousand() -> Routes<String> {
    let hosts =
        (0..8_000).map(|i| format!("Host(`h{}.example.com`) && PathPrefix(`/p{}`)", i / 2, i % 2));
    let wildcards = (0..1_500).map(|i| format!("Host(`*.w{i}.example.com`)"));
    let paths = (0..400).map(|i| format!("PathPrefix(`/only/{i}/`)"));
    let regexes = (0..100).map(|i| match i % 2 {
        0 => format!("PathRegexp(`^/regex/{i}/[a-z]+$`)"),
        _ => format!("HostRegexp(`^r{i}-[a-z]+\\.example\\.com$`)"),
    });
    table(hosts.chain(wildcards).chain(paths).chain(regexes))
}

#[test]
fn ten_thousand_routers_cost_what_ten_cost() {
    let routes = ten_thousand();
    assert_eq!(routes.len(), 10_000);
    for (host, path, hit) in [
        ("h0.example.com", "/p0/x", true),
        ("h3999.example.com", "/p1", true),
        ("h3999.example.com", "/p2", false),
        ("a.w0.example.com", "/", true),
        ("a.w1499.example.com", "/", true),
        ("a.b.w1.example.com", "/", false),
        ("other", "/only/399/x", true),
        ("other", "/only/x", false),
        ("other", "/regex/98/abc", true),
        ("r99-x.example.com", "/", true),
        ("nothing.example.com", "/nothing", false),
    ] {
        let sample = Sample::new(host, path);
        let search = routes.search(&sample);
        assert!(search.asked <= 2, "{host}{path} asked {}", search.asked);
        assert_eq!(search.found().is_some(), hit, "{host}{path}");
    }
}

#[test]
fn thousand_paths_of_one_host_and_a_rule_of_a_thousand_hosts_ask_few() {
    let paths = (0..1_000).map(|i| format!("Host(`a`) && PathPrefix(`/{i}/`)"));
    let hosts: Vec<_> = (0..1_000).map(|i| format!("Host(`h{i}`)")).collect();
    let hosts = hosts.join(" || ");
    let routes = table(paths.chain([format!("({hosts}) && Method(`GET`)"), hosts]));
    for (host, path) in [("a", "/500/x"), ("h999", "/"), ("h0", "/")] {
        let sample = Sample::new(host, path);
        let search = routes.search(&sample);
        assert!(search.found().is_some());
        assert!(search.asked <= 2, "{host}{path} asked {}", search.asked);
    }
}

fn any_call() -> impl Strategy<Value = String> {
    let hosts = vec!["a", "b.a", "*.a", "*.b.a", "*", "c.b.a"];
    let host_regexes = vec![
        "^a",
        "b",
        "a$",
        "^b\\.a$",
        "c",
        "x",
        "^[a-d]+\\.b\\.a$",
        "\\.[ab]\\.a$",
        "(?i)^.+\\.B\\.A$",
    ];
    let paths = vec!["/", "/a", "/ab", "/a/", "/a/b", "/b"];
    let path_regexes = vec!["^/a", "b$", "^/$", "/a/.", "a|b", "x", "^/(a|b)/?b", "(?i)^/AB?"];
    prop_oneof![
        4 => select(hosts).prop_map(|host| format!("Host(`{host}`)")),
        2 => select(host_regexes).prop_map(|regex| format!("HostRegexp(`{regex}`)")),
        3 => select(paths.clone()).prop_map(|path| format!("PathPrefix(`{path}`)")),
        2 => select(paths).prop_map(|path| format!("Path(`{path}`)")),
        2 => select(path_regexes).prop_map(|regex| format!("PathRegexp(`{regex}`)")),
        1 => select(vec!["GET", "POST"]).prop_map(|method| format!("Method(`{method}`)")),
        1 => select(vec!["v", "w"]).prop_map(|value| format!("Header(`x-a`, `{value}`)")),
        1 => select(vec!["v", ""]).prop_map(|value| format!("HeaderRegexp(`x-a`, `^{value}`)")),
        1 => select(vec!["1", "2"]).prop_map(|value| format!("Query(`q`, `{value}`)")),
        1 => Just("QueryRegexp(`q`, `.`)".to_owned()),
        1 => select(vec!["10.0.0.0/8", "::1"]).prop_map(|range| format!("ClientIP(`{range}`)")),
    ]
}

fn any_rule() -> impl Strategy<Value = String> {
    any_call().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            2 => (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} && {r})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("({l} || {r})")),
            1 => proptest::collection::vec(any_call(), 9..14).prop_map(|calls| {
                format!("({})", calls.join(" || "))
            }),
            1 => inner.prop_map(|inner| format!("!{inner}")),
        ]
    })
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let hosts = vec!["a", "b.a", "c.b.a", "b", "d.c.b.a", "", ".a"];
    let paths = vec!["/", "/a", "/ab", "/a/", "/a/b", "/b", "/abc", "/a/bb", "*"];
    let queries = vec!["", "q=1", "q=2&q", "q"];
    let values = vec![None, Some("v"), Some("w")];
    (select(hosts), select(paths), select(queries), select(values), any::<bool>()).prop_map(
        |(host, path, query, value, post)| {
            let sample = Sample::new(host, path);
            let sample = value.map_or(sample.clone(), |value| sample.field("x-a", value));
            let method = if post { "POST" } else { "GET" };
            Sample { query: query.to_owned(), method: method.to_owned(), ..sample }
        },
    )
}

proptest! {
    #[test]
    fn table_answers_as_the_naive_procedure(
        rules in proptest::collection::vec((any_rule(), 0..4_i64), 0..40),
        samples in proptest::collection::vec(any_sample(), 1..20),
    ) {
        let entries = rules.iter().enumerate().map(|(number, (rule, priority))| {
            let entry = entry(rule, *priority);
            Entry { target: format!("{number}: {rule}"), ..entry }
        });
        let routes = whole(entries.collect());
        for sample in &samples {
            prop_assert_eq!(routes.find(sample), naive(&routes, sample), "{:?}", sample);
        }
    }
}
