//! Tests of the rule language.

use proptest::prelude::*;

use super::parse::parse;
use super::print::print;
use super::{Protocol, Rule};

fn http(text: &str) -> Rule {
    parse(text, Protocol::Http).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> (String, usize) {
    let error = parse(text, Protocol::Http).expect_err(text);
    (error.message, error.column)
}

fn call(name: &'static str, argument: &str) -> Rule {
    Rule::call(name, [argument.to_owned()])
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let (a, b, c) = (call("Host", "a"), call("Path", "/b"), call("Method", "GET"));
    let not_b = Rule::Not(Box::new(b));
    let right = Rule::And(Box::new(not_b), Box::new(c));
    let whole = Rule::Or(Box::new(a), Box::new(right));
    assert_eq!(http("Host(`a`) || !Path(`/b`) && Method(`GET`)"), whole);
    assert_ne!(http("(Host(`a`) || !Path(`/b`)) && Method(`GET`)"), whole);
}

#[test]
fn names_are_accepted_in_four_spellings() {
    for name in ["PathPrefix", "pathprefix", "PATHPREFIX", "Pathprefix"] {
        assert_eq!(http(&format!("{name}(`/`)")), call("PathPrefix", "/"));
    }
    assert!(refused("pathPrefix(`/`)").0.contains("did you mean PathPrefix?"));
}

#[test]
fn literals_follow_go() {
    assert_eq!(http(r#"Path("/\x61\141\u0062\U00000063\"\\")"#), call("Path", r#"/aabc"\"#));
    assert_eq!(http(r"Path(`/\x61`)"), call("Path", r"/\x61"));
    assert_eq!(http("Path(`/a\r`)"), call("Path", "/a"));
    assert_eq!(refused(r#"Path("/\'")"#).1, 8);
    assert_eq!(refused(r#"Path("/\xff")"#).0, "argument is not UTF-8");
    assert_eq!(refused("Path(`/"), ("backquoted argument without closing backquote".into(), 6));
    assert_eq!(refused("Path(\"/\n\")").1, 6);
}

#[test]
fn blanks_comments_and_a_trailing_comma_are_skipped() {
    let text = "Host(`a`,) /* one */ &&\n\tPath (`/x`) // two";
    assert_eq!(http(text), http("Host(`a`)&&Path(`/x`)"));
    assert_eq!(http("Host(`a`)\n&& Path(`/x`)"), http("Host(`a`)&&Path(`/x`)"));
}

#[test]
fn errors_name_the_column_in_characters() {
    assert_eq!(
        refused("Path(`/é`) && Hots(`a`)"),
        ("unknown matcher Hots, did you mean Host?".into(), 15)
    );
    assert_eq!(refused("Host(`a`) & Path(`/`)").1, 11);
    assert_eq!(refused("Host(`a`))"), ("`)` without `(`".into(), 10));
    assert_eq!(refused("(Host(`a`)"), ("expected `)`, found the end of the rule".into(), 11));
    assert_eq!(refused("").1, 1);
    assert_eq!(refused("Host(`a`) &&").1, 13);
    assert_eq!(refused("Host").0, "expected `(` after Host, found the end of the rule");
    assert!(refused("Zzzzzzzz(`a`)").0.contains("expected one of Host, HostRegexp"));
    let error = parse("Nope", Protocol::Http).unwrap_err().to_string();
    assert!(error.ends_with("at column 1"), "{error}");
}

#[test]
fn arguments_are_checked() {
    for text in [
        "Host()",
        "Host(``)",
        "Host(`a`, `b`)",
        "Host(a)",
        "Host('a')",
        "Host(`é.com`)",
        "HostRegexp(`é`)",
        "HostRegexp(`(`)",
        "Path(`x`)",
        "PathPrefix(``)",
        "PathRegexp(`[`)",
        "Header(`a`)",
        "Header(``, `b`)",
        "Header(`a`, ``)",
        "HeaderRegexp(`a`, `(`)",
        "Query(``)",
        "Query(`a`, `b`, `c`)",
        "Query(`a`, ``)",
        "QueryRegexp(`a`, `(`)",
        "ClientIP(`1.2.3.4/33`)",
        "HostSNI(`a`)",
    ] {
        refused(text);
    }
    assert!(refused("Host(`é.com`)").0.contains("punycode"));
    for text in [
        "Host(`a b`)",
        "Host(`*`)",
        "Query(`a`)",
        "QueryRegexp(`(`)",
        "ClientIP(`::ffff:1.2.3.4`)",
        "ClientIP(`10.1.2.3/8`)",
    ] {
        http(text);
    }
}

#[test]
fn tcp_has_its_own_matchers() {
    let tcp = |text: &str| parse(text, Protocol::Tcp);
    for text in [
        "HostSNI(`*`)",
        "HostSNI(`a.com.`)",
        "HostSNI(`*.a.com`)",
        "hostsni(`a_b:80`)",
        "HostSNIRegexp(`^a`)",
        "Alpn(`h2`)",
        "!ClientIP(`10.0.0.0/8`)",
    ] {
        tcp(text).unwrap();
    }
    for text in [
        "Host(`a`)",
        "HostSNI(`a b`)",
        "HostSNI(`a.*.com`)",
        "HostSNI(`*a`)",
        "HostSNI(`*.`)",
        "HostSNI(`é`)",
        "ALPN(`acme-tls/1`)",
    ] {
        tcp(text).unwrap_err();
    }
}

#[test]
fn deep_and_large_rules_are_refused_and_long_ones_stay_flat() {
    let deep = |levels: usize| format!("{}Host(`a`){}", "(".repeat(levels), ")".repeat(levels));
    http(&deep(128));
    assert!(refused(&deep(129)).0.contains("nested deeper"));
    assert!(refused(&format!("{}Host(`a`)", "!".repeat(100_000))).0.contains("nested deeper"));
    let long = vec!["Host(`a`)"; 10_000].join(" || ");
    assert_eq!(print(&http(&long)), long);
    assert!(refused(&format!("{long} || Host(`a`)")).0.contains("10000 matchers"));
}

#[test]
fn priority_is_the_length_in_bytes() {
    let text = "Path(`/é`)";
    assert_eq!(http(text).default_priority(text), 11);
    let catch_all = parse("HostSNI( \"*\" )", Protocol::Tcp).unwrap();
    assert_eq!(catch_all.default_priority("HostSNI( \"*\" )"), -1);
}

#[test]
fn hosts_are_lower_case_once_and_not_negated() {
    let rule = http(
        "Host(`B.com.`) && !Host(`c`) || Host(`b.com`) || Host(`*`) || Host(`*.d`) || !!Host(`e`) || Path(`/`)",
    );
    assert_eq!(rule.hosts(), ["b.com", "*.d", "e"]);
    assert_eq!(parse("HostSNI(`A`)", Protocol::Tcp).unwrap().hosts(), ["a"]);
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let argument = "[a`\"\\\\\n\ré ]{1,4}";
    let leaf = prop_oneof![
        argument.prop_map(|value| Rule::call("Method", [value])),
        argument.prop_map(|value| Rule::call("Path", [format!("/{value}")])),
        (argument, argument).prop_map(|(key, value)| Rule::call("Header", [key, value])),
        argument.prop_map(|key| Rule::call("Query", [key])),
    ];
    leaf.prop_recursive(6, 40, 2, |inner| {
        let pair = || (inner.clone(), inner.clone());
        prop_oneof![
            pair().prop_map(|(left, right)| Rule::And(left.into(), right.into())),
            pair().prop_map(|(left, right)| Rule::Or(left.into(), right.into())),
            inner.clone().prop_map(|inner| Rule::Not(inner.into())),
        ]
    })
}

proptest! {
    #[test]
    fn printed_rules_parse_back(rule in any_rule()) {
        prop_assert_eq!(http(&print(&rule)), rule);
    }

    #[test]
    fn any_text_parses_or_is_refused(text in "[Hhost()!&|`\"/*, \\\\nxé]{0,40}") {
        let _ = parse(&text, Protocol::Http);
        let _ = parse(&format!("Host(`a`) && {text}"), Protocol::Tcp);
    }
}
