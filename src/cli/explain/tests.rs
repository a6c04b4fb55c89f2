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
    office: {rule: 'Host(`shop.test`) && Path(`/office`) && (ClientIP(`10.0.0.0/8`) || ClientIP(`2001:db8::/32`))', service: s}
    child: {rule: 'Path(`/child`)', service: s, parentRefs: [parent]}
  middlewares: {strip: {stripPrefix: {prefixes: [/cart]}}}
  services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}
tcp:
  routers:
    database: {rule: 'HostSNI(`db.test`)', service: none, entryPoints: [websecure], tls: {}}
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
    run(&explain, &[], &Disk::default()).map(|explanation| explanation.text)
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
    assert!(says(&found, "middlewares  strip (stripPrefix)"), "{found:#?}");
    assert!(says(&found, "server     http://127.0.0.1:1"), "{found:#?}");
    assert!(says(&found, "service      s@file"), "{found:#?}");
    assert!(!says(&found, "websecure"), "{found:#?}");
}

#[test]
fn a_tcp_router_that_is_asked_first_is_named() {
    let found = lines(&["GET", "https://db.test/"]);
    assert_eq!(found[1], "TCP router database@file takes the connection, before HTTP");
    assert!(says(&found, "closes it"), "{found:#?}");
    assert!(says(&found, "problem      service `none@file` does not exist"), "{found:#?}");
    assert!(!says(&lines(&["GET", "https://safe.test/"]), "TCP router"));
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
fn rules_may_ask_who_the_client_is() {
    let asked = |more: &[&str]| lines(&[&["GET", "http://shop.test/office"], more].concat());
    for ip in ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"] {
        let found = asked(&["--client-ip", ip]);
        assert_eq!(found[1], "router office@file takes it", "{ip}");
    }
    for more in [&["--client-ip", "192.0.2.1"][..], &[]] {
        let found = asked(more);
        assert_eq!(found[1], "router shop@file takes it", "{more:?}");
        assert!(says(&found, "): ClientIP(`10.0.0.0/8`), ClientIP(`2001:db8::/32`)"), "{found:#?}");
    }
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

#[test]
fn scripts_learn_whether_anybody_takes_it() {
    let outcome = |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        std::fs::write(folder.path().join("routes.yml"), ROUTES).unwrap();
        std::fs::write(folder.path().join("p.yml"), INSTALL.replace("HERE", &here)).unwrap();
        let file = format!("--configFile={here}/p.yml");
        let line = ["explain", "GET", url, &file].map(ToOwned::to_owned);
        let Ok(Command::Explain(explain)) = Command::parse(&line) else { panic!("{line:?}") };
        run(&explain, &[], &Disk::default()).unwrap().outcome
    };
    assert_eq!(outcome("http://shop.test/"), Outcome::Taken);
    assert_eq!(outcome("http://none.test/"), Outcome::NotTaken);
}

/// An API that answers requests for two paths, once each.
fn api(entry_points: &'static str, raw: &'static str) -> (String, std::thread::JoinHandle<()>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            assert!(lines.any(|line| line.unwrap().is_empty()));
            let body = match first.split(' ').nth(1).unwrap() {
                "/base/api/rawdata" => raw,
                "/base/api/entrypoints?per_page=1000" => entry_points,
                other => panic!("{other}"),
            };
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}").unwrap();
        }
    });
    (url, served)
}

#[test]
fn a_running_gateway_is_asked_for_its_routers() {
    let (url, served) = api(
        r#"[{"name":"web","address":":80","transport":{},"http":{"sanitizePath":true}}]"#,
        r#"{"routers":{
            "shop@docker":{"entryPoints":["web"],"middlewares":["auth@file"],"service":"shop",
                "rule":"Host(`shop.test`)","priority":17,"status":"enabled","using":["web"]},
            "bad@file":{"entryPoints":["web"],"service":"x","rule":"Host(`bad.test`)","priority":16,
                "status":"disabled","error":["the service \"x@file\" does not exist"]}},
            "middlewares":{"auth@file":{"basicAuth":{},"status":"enabled","usedBy":["shop@docker"]}},
            "services":{"shop@docker":{"status":"enabled","serverStatus":{"http://10.0.0.1:80":"DOWN"}}}}"#,
    );
    let asked = |target: &str| {
        let words = ["explain", "GET", target, "--api", &url].map(ToOwned::to_owned);
        let Ok(Command::Explain(explain)) = Command::parse(&words) else { panic!() };
        run(&explain, &[], &Disk::default()).map(|explanation| explanation.text)
    };
    let text = asked("http://shop.test/").unwrap();
    served.join().unwrap();
    assert!(text.contains("router shop@docker takes it"), "{text}");
    assert!(text.contains("middlewares  auth@file (basicAuth)"), "{text}");
    assert!(text.contains("server     http://10.0.0.1:80 DOWN"), "{text}");
    assert!(!text.contains("problem"), "{text}");
    assert!(asked("http://shop.test/").unwrap_err().contains("/base/api/entrypoints"));
}

#[test]
fn what_is_no_api_is_said() {
    let words = ["explain", "GET", "/", "--api", "https://localhost"].map(ToOwned::to_owned);
    let Ok(Command::Explain(explain)) = Command::parse(&words) else { panic!() };
    let message = run(&explain, &[], &Disk::default()).unwrap_err();
    assert!(message.contains("expected one such as http://localhost:8080"), "{message}");
}
