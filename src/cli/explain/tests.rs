//! Tests of explanations from files.

use super::*;
use crate::cli::Command;

const INSTALL: &str = "
entryPoints: {web: {address: ':80'}, websecure: {address: ':443'}}
providers: {file: {filename: HERE/routes.yml}}
";

const ROUTES: &str = "
http:
  routers:
    shop: {rule: 'Host(`shop.test`)', service: s}
    cart: {rule: 'Host(`shop.test`) && PathPrefix(`/cart`) && !Header(`X-Old`, `1`)', service: s, middlewares: [strip]}
    broken: {rule: 'Host(`broken.test`)', service: none}
    safe: {rule: 'Host(`safe.test`)', service: s, tls: {}}
    parent: {rule: 'Host(`family.test`)'}
    child: {rule: 'Path(`/child`)', service: s, parentRefs: [parent]}
  middlewares: {strip: {stripPrefix: {prefixes: [/cart]}}}
  services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}
";

fn explained(words: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display().to_string();
    std::fs::write(folder.path().join("routes.yml"), ROUTES).unwrap();
    std::fs::write(folder.path().join("p.yml"), INSTALL.replace("HERE", &here)).unwrap();
    let mut line = vec!["explain".to_owned()];
    line.extend(words.iter().map(|&it| it.to_owned()));
    line.extend(["--configFile".to_owned(), format!("{here}/p.yml")]);
    let Ok(Command::Explain(explain)) = Command::parse(&line) else { panic!("{line:?}") };
    run(&explain, &[], &Disk::default())
}

fn lines(words: &[&str]) -> Vec<String> {
    explained(words).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

fn says(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

#[test]
fn the_router_that_takes_a_request_is_named_with_its_chain() {
    let found = lines(&["GET", "http://shop.test/cart/1"]);
    assert_eq!(found[0], "entry point web, connections in the clear");
    assert_eq!(found[1], "router cart@file takes it");
    assert!(says(&found, "middlewares  strip"), "{found:#?}");
    assert!(says(&found, "service      s@file"), "{found:#?}");
    assert!(!says(&found, "websecure"), "{found:#?}");
}

#[test]
fn a_better_router_is_listed_with_what_does_not_fit() {
    let found = lines(&["GET", "http://shop.test/cart/1", "-H", "X-Old: 1"]);
    assert_eq!(found[1], "router shop@file takes it");
    assert!(says(&found, "cart@file (priority"), "{found:#?}");
    assert!(says(&found, "): !Header(`X-Old`, `1`)"), "{found:#?}");
}

#[test]
fn the_path_is_seen_as_the_entry_point_leaves_it() {
    assert!(says(&lines(&["GET", "http://shop.test/a/../cart/1"]), "router cart@file takes it"));
}

#[test]
fn nobody_is_said_as_well_and_whether_the_scheme_is_why() {
    let found = lines(&["GET", "http://safe.test/"]);
    assert!(says(&found, "no router takes it: 404"), "{found:#?}");
    assert!(says(&found, "router safe@file would take it with https://"), "{found:#?}");
    let found = lines(&["GET", "https://safe.test/"]);
    assert_eq!(found[..2], ["entry point websecure, TLS connections", "router safe@file takes it"]);
}

#[test]
fn a_broken_router_says_why() {
    let found = lines(&["GET", "http://broken.test/"]);
    assert_eq!(found[1], "router broken@file takes it");
    assert!(says(&found, "answers 404"), "{found:#?}");
    assert!(says(&found, "none@file"), "{found:#?}");
}

#[test]
fn children_are_asked_below_their_parent() {
    let found = lines(&["GET", "http://family.test/child"]);
    assert!(says(&found, "router parent@file takes it"), "{found:#?}");
    assert!(says(&found, "child@file takes it"), "{found:#?}");
}

#[test]
fn the_host_header_wins_and_the_entry_point_may_be_named() {
    let found = lines(&["GET", "/", "-H", "Host: shop.test:8080", "--entrypoint", "websecure"]);
    assert_eq!(
        found[..2],
        ["entry point websecure, connections in the clear", "router shop@file takes it"]
    );
    assert!(
        explained(&["GET", "/", "--entrypoint", "none"])
            .unwrap_err()
            .contains("`web`, `websecure`")
    );
    assert!(explained(&["GET", "ftp://a.test/"]).unwrap_err().contains("not http or https"));
}
