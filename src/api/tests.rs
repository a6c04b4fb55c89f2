use std::collections::HashMap;

use ::http::HeaderMap;
use portcullis_config::tree::text::{Format, parse};
use portcullis_config::{Name, Routing};
use serde_json::json;

use super::*;
use crate::observe::series::EntryPointSeries;
use crate::reload::merge::merge;
use crate::snapshot::compile::compile;
use crate::snapshot::configuration::EntryPointDefaults;
use crate::tls::configurations::{Configurations, Conflicts};

const ROUTING: &str = r"
http:
  routers:
    r1: {rule: 'Host(`a.test`) && PathPrefix(`/x`)', service: s1, middlewares: [auth], entryPoints: [web]}
    r2: {rule: 'Host(`b.test`)', service: missing, entryPoints: [web, nope]}
    parent: {rule: 'Host(`d.test`)', entryPoints: [web]}
    child: {rule: 'PathPrefix(`/c`)', service: s1, parentRefs: [parent]}
    a/b: {rule: 'Host(`e.test`)', service: 'api@internal', entryPoints: [web], tls: {}}
  services:
    s1: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2', weight: 2}]}}
    secret:
      loadBalancer:
        servers: [{url: 'http://u:hunter2@127.0.0.1:3'}]
        healthCheck: {path: /, headers: {Authorization: hunter2, X-A: b}}
  middlewares:
    auth: {basicAuth: {users: ['u:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/']}}
    odd: {nonsense: {password: hunter2}}
tcp:
  routers:
    t: {rule: 'HostSNI(`q.test`)', service: ts}
  services:
    ts: {loadBalancer: {servers: [{address: '127.0.0.1:1'}]}}
";

struct Bench {
    api: Api,
    _runtime: tokio::runtime::Runtime,
}

fn bench() -> Bench {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let (routing, _) = Routing::from_tree(&parse(ROUTING, Format::Yaml, "r.yml").unwrap());
    let published = portcullis_providers::Published {
        routing,
        problems: Vec::new(),
        weight: portcullis_providers::Weight::IfDifferent,
    };
    let defaults = EntryPointDefaults { name: "web".into(), ..EntryPointDefaults::default() };
    let configuration =
        merge(&[("file".into(), Arc::new(published))], std::slice::from_ref(&defaults));
    let api = Name::verbatim("api@internal");
    let context = Context {
        entry_points: vec![(defaults, Arc::new(EntryPointSeries::new("web")))],
        internal: HashMap::from([(api, Arc::new(Nothing) as _)]),
        udp_entry_points: Vec::new(),
        default_transport: Default::default(),
        default_tcp_transport: Default::default(),
        spiffe: None,
        tls: Configurations::new().unwrap(),
        conflicts: Conflicts::FallBack,
        extension: None,
    };
    let (snapshot, _) = compile(&configuration, None, &context);
    let (live, context) = (Arc::new(Live::new(Arc::new(snapshot))), Arc::new(context));
    let seen = Arc::new(OnceLock::from(Seen { live, context }));
    let installed = Installed {
        base: "/base".to_owned(),
        install: json!({"entryPoints": {"web": {"address": ":80"}}}),
        entry_points: vec![json!({"name": "web", "address": ":80"})],
        providers: vec!["File".to_owned()],
        internal: vec!["api@internal".to_owned()],
        ..Installed::default()
    };
    Bench { api: Api::new(installed, seen), _runtime: runtime }
}

struct Nothing;

impl Service for Nothing {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        Response::not_found()
    }
}

impl Bench {
    fn ask(&self, method: Method, target: &str) -> (StatusCode, HeaderMap, String) {
        let target = Target::canonical(target.parse().unwrap());
        let response = self.api.pages.answer(&method, &target);
        let text = match response.body {
            Body::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        };
        (response.status, response.headers, text)
    }

    fn get(&self, path: &str) -> Value {
        let (status, headers, text) = self.ask(Method::GET, &format!("/base/api/{path}"));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        assert_eq!(headers["content-type"], "application/json");
        assert!(text.ends_with('\n'));
        serde_json::from_str(&text).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let list = self.get(path);
        let names =
            list.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        names.collect()
    }
}

#[test]
fn a_router_shows_what_became_of_it() {
    let bench = bench();
    let expected = json!({
        "entryPoints": ["web"], "middlewares": ["auth@file"], "service": "s1",
        "rule": "Host(`a.test`) && PathPrefix(`/x`)", "priority": 34,
        "observability":
            {"accessLogs": true, "metrics": true, "tracing": true, "traceVerbosity": "minimal"},
        "status": "enabled", "using": ["web"], "name": "r1@file", "provider": "file",
        "priorityStr": "34",
    });
    assert_eq!(bench.get("http/routers/r1@file"), expected);
    let broken = bench.get("http/routers/r2@file");
    assert_eq!(broken["status"], "disabled");
    assert_eq!(broken["error"].as_array().unwrap().len(), 2);
    let child = bench.get("http/routers/child@file");
    assert_eq!(child["parentRefs"], json!(["parent@file"]));
    assert!(child.get("observability").is_none() && child.get("using").is_none());
}

#[test]
fn an_id_may_hold_a_slash() {
    let router = bench().get("http/routers/a%2Fb@file");
    assert_eq!(router["name"], "a/b@file");
    assert_eq!(router["tls"], json!({"options": "default"}));
}

#[test]
fn services_show_their_servers_and_users() {
    let service = bench().get("http/services/s1@file");
    assert_eq!(service["type"], "loadbalancer");
    assert_eq!(service["usedBy"], json!(["child@file", "r1@file"]));
    let up = json!({"http://127.0.0.1:1": "UP", "http://127.0.0.1:2": "UP"});
    assert_eq!(service["serverStatus"], up);
    assert_eq!(service["loadBalancer"]["responseForwarding"], json!({"flushInterval": "100ms"}));
    let internal = bench().get("http/services/api@internal");
    assert_eq!(internal["usedBy"], json!(["a/b@file"]));
}

#[test]
fn secrets_are_not_shown() {
    let bench = bench();
    let users = bench.get("http/middlewares/auth@file")["basicAuth"]["users"].clone();
    assert_eq!(users, json!(["u:REDACTED"]));
    let (_, _, text) = bench.ask(Method::GET, "/base/api/rawdata");
    assert!(!text.contains("hunter2") && !text.contains("apr1"), "{text}");
    assert!(text.contains("nonsense"), "{text}");
}

#[test]
fn lists_are_cut_into_pages() {
    let bench = bench();
    let (_, headers, _) = bench.ask(Method::GET, "/base/api/http/routers?per_page=2");
    assert_eq!(headers["x-next-page"], "2");
    let (_, headers, _) = bench.ask(Method::GET, "/base/api/http/routers?per_page=2&page=3");
    assert_eq!(headers["x-next-page"], "1");
    assert_eq!(bench.names("http/routers?per_page=2&page=2"), ["parent@file", "r1@file"]);
    for (query, message) in [
        ("page=5", "invalid request: page: 5, per_page: 100"),
        ("per_page=x", "invalid request: per_page: 0"),
        ("page=-1", "invalid request: page: -1"),
    ] {
        let (status, headers, text) =
            bench.ask(Method::GET, &format!("/base/api/http/routers?{query}"));
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(text, format!("{{\"message\":\"{message}\"}}\n"));
    }
}

#[test]
fn lists_are_filtered_and_sorted() {
    let bench = bench();
    assert_eq!(bench.names("http/routers?search=B.TEST"), ["r2@file"]);
    assert_eq!(bench.names("http/routers?status=disabled"), ["r2@file"]);
    assert_eq!(bench.names("http/routers?serviceName=s1@file"), ["child@file", "r1@file"]);
    assert_eq!(bench.names("http/routers?middlewareName=auth@file"), ["r1@file"]);
    let sorted = bench.names("http/routers?sortBy=priority&direction=desc&per_page=2");
    assert_eq!(sorted, ["r1@file", "child@file"]);
}

#[test]
fn the_overview_counts() {
    let overview = bench().get("overview");
    assert_eq!(overview["http"]["routers"], json!({"total": 5, "warnings": 0, "errors": 1}));
    assert_eq!(overview["http"]["middlewares"], json!({"total": 2, "warnings": 0, "errors": 1}));
    assert_eq!(overview["http"]["services"]["total"], 3);
    assert_eq!(overview["providers"], json!(["File"]));
}

#[test]
fn raw_data_leaves_out_what_is_empty() {
    let raw = bench().get("rawdata");
    let keys: Vec<&str> = raw.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["middlewares", "routers", "services", "tcpRouters", "tcpServices"]);
    assert!(raw["routers"]["r1@file"].get("name").is_none());
}

#[test]
fn html_is_escaped_in_json() {
    let (_, _, text) = bench().ask(Method::GET, "/base/api/http/routers/r1@file");
    assert!(text.contains(r"Host(`a.test`) \u0026\u0026 PathPrefix"), "{text}");
}

#[test]
fn what_is_not_there_is_not_found_and_only_get_is_allowed() {
    let bench = bench();
    let (status, _, text) = bench.ask(Method::GET, "/base/api/http/routers/nope@file");
    assert_eq!((status.as_u16(), &*text), (404, "{\"message\":\"router not found: nope@file\"}\n"));
    for path in ["/base/api/zzz", "/base/api", "/base/api/http/routers/", "/other"] {
        let (status, _, text) = bench.ask(Method::GET, path);
        assert_eq!((status.as_u16(), &*text), (404, "404 page not found\n"), "{path}");
    }
    let (status, _, text) = bench.ask(Method::POST, "/base/api/overview");
    assert_eq!((status.as_u16(), &*text), (405, ""));
}

#[test]
fn a_support_dump_is_an_archive_that_names_no_address() {
    let bench = bench();
    let target = Target::canonical("/base/api/support-dump".parse().unwrap());
    let response = bench.api.pages.answer(&Method::GET, &target);
    assert_eq!(response.headers["content-type"], "application/gzip");
    let Body::Full(bytes) = response.body else { panic!("no archive") };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*bytes));
    let mut files = HashMap::new();
    for file in archive.entries().unwrap() {
        let mut file = file.unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        let name = file.path().unwrap().display().to_string();
        files.insert(name, serde_json::from_str::<Value>(&text).unwrap());
    }
    assert_eq!(files["static-config.json"], json!({"entryPoints": {"web": {"address": "xxxx"}}}));
    assert!(files["runtime-config.json"]["routers"].get("r1@file").is_some());
    assert!(files["version.json"]["Version"].is_string());
}

#[test]
fn credentials_of_servers_are_not_shown() {
    let service = bench().get("http/services/secret@file");
    let text = service.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(service["serverStatus"]["http://REDACTED@127.0.0.1:3"], "UP");
    assert_eq!(service["loadBalancer"]["healthCheck"]["headers"]["Authorization"], "REDACTED");
}
