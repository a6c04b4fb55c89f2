//! Policies: which options for which name.

use std::net::{IpAddr, Ipv4Addr};

use portcullis_config::problem::{Problem, Severity};
use portcullis_config::routing::tls::{Options, Tls};

use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::policy::{Host, Policy, Refused};
use crate::tls::testing::{Authority, certificates, host};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `default`, `one@file`, `two@file`, `strict@file`; `broken@file` is not usable.
fn policy(hosts: &[Host<'_>], conflicts: Conflicts) -> (Policy, Vec<Problem>) {
    let mut tls = certificates([&Authority::new("ca").issue(&["known.test", "*.strict.test"])]);
    let object = |name: &str, options| (name.to_owned(), options);
    tls.options.extend([
        object("one@file", Options { max_version: "VersionTLS12".into(), ..Options::default() }),
        object("two@file", Options { min_version: "VersionTLS13".into(), ..Options::default() }),
        object("strict@file", Options { sni_strict: true, ..Options::default() }),
        object("broken@file", Options { max_version: "VersionTLS10".into(), ..Options::default() }),
    ]);
    let configurations = Configurations::new().unwrap();
    let prepared = configurations.prepare(&tls, &["default-twice"]);
    let made = prepared.policy(hosts, conflicts);
    prepared.publish();
    made
}

fn options(policy: &Policy, name: Option<&str>) -> Result<String, Refused> {
    policy.choose(name, LOCAL).map(|chosen| chosen.options.to_string())
}

#[test]
fn exact_hosts_wildcards_and_everybody_else() {
    let hosts = [host("a.example.com", "one@file"), host("*.example.com", "two@file")];
    let (policy, problems) = policy(&hosts, Conflicts::FallBack);
    assert_eq!(problems.len(), 1, "the overlap is told: {problems:?}");
    for (name, expected) in [
        ("a.example.com", "one@file"),
        ("A.EXAMPLE.com", "one@file"),
        ("a.example.com.", "one@file"),
        ("b.example.com", "two@file"),
        ("B.Example.Com.", "two@file"),
        ("x.b.example.com", "default"),
        ("example.com", "default"),
        (".example.com", "default"),
        ("other.test", "default"),
    ] {
        assert_eq!(options(&policy, Some(name)).as_deref(), Ok(expected), "{name}");
        assert_eq!(policy.options_of_host(name).map(|name| &**name), Some(expected), "{name}");
    }
    assert_eq!(options(&policy, None).as_deref(), Ok("default"));
}

#[test]
fn hosts_with_missing_or_broken_options_are_refused() {
    let hosts = [host("missing.test", "nowhere@file"), host("*.broken.test", "broken@file")];
    let (policy, problems) = policy(&hosts, Conflicts::FallBack);
    for name in ["missing.test", "MISSING.test.", "any.broken.test"] {
        assert_eq!(options(&policy, Some(name)), Err(Refused::Options), "{name}");
        assert_eq!(policy.options_of_host(name), None);
        assert!(!policy.admits(&"default".into(), name));
    }
    assert_eq!(options(&policy, Some("fine.test")).as_deref(), Ok("default"));
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn different_options_for_one_host_fall_back_to_default_and_every_router_is_told() {
    let hosts = [
        Host { pattern: "a.test", options: "one@file", router: "first@file" },
        Host { pattern: "A.TEST", options: "two@file", router: "second@file" },
        Host { pattern: "b.test", options: "one@file", router: "first@file" },
    ];
    let (policy, problems) = policy(&hosts, Conflicts::FallBack);
    assert_eq!(options(&policy, Some("a.test")).as_deref(), Ok("default"));
    assert_eq!(options(&policy, Some("b.test")).as_deref(), Ok("one@file"));
    let told: Vec<_> = problems.iter().map(|problem| problem.about.name.as_str()).collect();
    assert_eq!(told, ["first@file", "second@file"]);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
    assert!(problems[0].message.contains("one@file, two@file"), "{problems:?}");
}

#[test]
fn a_router_without_host_cannot_choose() {
    let hosts = [host("", "one@file"), host("", "default")];
    let (policy, problems) = policy(&hosts, Conflicts::FallBack);
    assert_eq!(options(&policy, Some("a.test")).as_deref(), Ok("default"));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("no Host"));
}

#[test]
fn a_star_is_for_every_other_name() {
    let (policy, _) =
        policy(&[host("*", "one@file"), host("a.test", "two@file")], Conflicts::FallBack);
    assert_eq!(options(&policy, Some("b.test")).as_deref(), Ok("one@file"));
    assert_eq!(options(&policy, None).as_deref(), Ok("one@file"));
    assert_eq!(options(&policy, Some("a.test")).as_deref(), Ok("two@file"));
}

#[test]
fn strict_options_refuse_names_without_certificate() {
    let hosts = [
        host("known.test", "strict@file"),
        host("unknown.test", "strict@file"),
        host("*.strict.test", "strict@file"),
    ];
    let (policy, _) = policy(&hosts, Conflicts::FallBack);
    assert_eq!(options(&policy, Some("Known.test.")).as_deref(), Ok("strict@file"));
    assert_eq!(options(&policy, Some("a.strict.test")).as_deref(), Ok("strict@file"));
    assert_eq!(options(&policy, Some("unknown.test")), Err(Refused::UnknownName));
}

#[test]
fn unusable_default_options_refuse_everybody_who_depends_on_them() {
    let configurations = Configurations::new().unwrap();
    let prepared = configurations.prepare(&Tls::default(), &["default"]);
    let (policy, problems) = prepared.policy(&[host("a.test", "default")], Conflicts::FallBack);
    assert_eq!(problems.len(), 1);
    for name in [Some("a.test"), Some("b.test"), None] {
        assert_eq!(options(&policy, name), Err(Refused::Options));
    }
}

#[test]
fn a_request_is_admitted_under_the_options_of_its_own_host_only() {
    let hosts =
        [host("a.test", "one@file"), host("b.test", "two@file"), host("c.test", "one@file")];
    let (policy, _) = policy(&hosts, Conflicts::FallBack);
    let accepted = policy.choose(Some("a.test"), LOCAL).unwrap().options;
    assert!(policy.admits(&accepted, "a.test"));
    assert!(policy.admits(&accepted, "C.test."));
    assert!(!policy.admits(&accepted, "b.test"));
    assert!(!policy.admits(&accepted, "other.test"));
}

#[test]
fn unusable_options_refuse_their_host_even_beside_usable_ones() {
    let hosts = [
        Host { pattern: "a.test", options: "broken@file", router: "first@file" },
        Host { pattern: "a.test", options: "one@file", router: "second@file" },
    ];
    let (policy, problems) = policy(&hosts, Conflicts::FallBack);
    assert_eq!(options(&policy, Some("a.test")), Err(Refused::Options));
    let told: Vec<_> = problems.iter().map(|one| (&*one.about.name, one.severity)).collect();
    assert_eq!(told, [("first@file", Severity::Error), ("second@file", Severity::Warning)]);
}

#[test]
fn a_host_with_default_options_keeps_them_under_a_wildcard_with_others() {
    let hosts = [
        host("open.a.test", "default"),
        host("*.a.test", "one@file"),
        host("*.b.test", "default"),
        host("x.b.test", "one@file"),
        host("y.b.test", "default"),
    ];
    let (policy, _) = policy(&hosts, Conflicts::FallBack);
    for (name, expected) in [
        ("open.a.test", "default"),
        ("other.a.test", "one@file"),
        ("x.b.test", "one@file"),
        ("y.b.test", "default"),
        ("z.b.test", "default"),
    ] {
        assert_eq!(options(&policy, Some(name)).as_deref(), Ok(expected), "{name}");
    }
}
