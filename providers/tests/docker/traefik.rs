//! A real Traefik and our provider read the same engine and must see the same.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::engine::Engine;
use super::provider::{engine, run, sleep};

/// Containers, each with what it shows and its options.
const CONTAINERS: [(&str, &str); 20] = [
    ("plain_one", "--expose 8080 --expose 80/udp"),
    ("no-port", ""),
    (
        "in-any-case",
        "-l traefik.http.routers.Web.rule=Host(`a`) -l traefik.HTTP.routers.Web.EntryPoints=web \
         -l traefik.http.services.Web.loadbalancer.server.port=90 \
         -l traefik.http.services.Web.loadbalancer.server.scheme=h2c",
    ),
    (
        "replica-1",
        "--expose 80 -l com.docker.compose.service=web -l com.docker.compose.project=shop_x",
    ),
    (
        "replica-2",
        "--expose 80 -l com.docker.compose.service=web -l com.docker.compose.project=shop_x",
    ),
    ("conflict-1", "--expose 80 -l traefik.http.routers.conflict.rule=Path(`/1`)"),
    ("conflict-2", "--expose 80 -l traefik.http.routers.conflict.rule=Path(`/2`)"),
    (
        "unknown-field",
        "--expose 80 -l traefik.http.routers.unknown.rule=Path(`/`) -l traefik.http.routers.unknown.foo=x",
    ),
    (
        "services-alone",
        "-l traefik.http.services.m1.loadbalancer.server.port=1 -l traefik.http.services.m2.loadbalancer.server.port=2",
    ),
    (
        "services-and-router",
        "-l traefik.http.routers.either.rule=Path(`/`) -l traefik.http.services.n1.loadbalancer.server.port=1 \
         -l traefik.http.services.n2.loadbalancer.server.port=2",
    ),
    (
        "tcp-and-udp",
        "--expose 80 -l traefik.tcp.routers.t.rule=HostSNI(`*`) -l traefik.tcp.services.t.loadbalancer.server.port=1 \
         -l traefik.udp.services.u.loadbalancer.server.port=2",
    ),
    ("tcp-router", "--expose 80 -l traefik.tcp.routers.bare.rule=HostSNI(`*`)"),
    (
        "middlewares",
        "--expose 80 -l traefik.http.middlewares.cut.stripprefix.prefixes=/a,/b \
         -l traefik.http.middlewares.h.headers.customrequestheaders.X-Foo=bar \
         -l traefik.http.routers.mw.middlewares=cut,h -l traefik.http.routers.mw.tls=true",
    ),
    ("hidden", "--expose 80 -l traefik.enable=false"),
    ("url", "-l traefik.http.services.url.loadbalancer.server.url=http://192.0.2.1:5"),
    (
        "url-and-port",
        "-l traefik.http.services.both.loadbalancer.server.url=http://192.0.2.1:5 \
         -l traefik.http.services.both.loadbalancer.server.port=5",
    ),
    ("other-network", "--expose 80 -l traefik.docker.network=nowhere"),
    ("service-middleware", "--expose 80 -l traefik.http.services.sm.middlewares=cut"),
    ("index", "--expose 80 -l traefik.http.services.index.loadbalancer.servers[0].port=5"),
    (
        "sticky",
        "--expose 80 -l traefik.http.services.sticky.loadbalancer.sticky.cookie=true \
         -l traefik.http.services.sticky.loadbalancer.server.weight=3",
    ),
];

/// What we have and Traefik has not, on purpose: a mistake takes one object out rather than the whole container, and
/// routers that answer 404 keep their places in the order.
const OURS_ALONE: [&str; 9] = [
    "http router conflict (conflict-2)",
    "http router conflict",
    "http router either",
    "http router index",
    "http router service-middleware",
    "http router unknown",
    "http router url-and-port",
    "http service sm",
    "http service unknown-field",
];

/// Kills Traefik at the end of the test.
struct Traefik(Child);

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traefik_sees_the_same() {
    let Some(engine) = engine(&[]) else { return };
    for (name, options) in CONTAINERS {
        sleep(&engine, name, options);
    }
    let mut running = run(&[("endpoint", &engine.endpoint())]);
    let last =
        |it: &portcullis_providers::Published| it.routing.http.services.contains_key("sticky");
    let published = running.until("the last container", last).await;
    let ours = described(&serde_json::to_value(&published.routing).unwrap());
    let theirs = described(&ask_traefik(&engine));
    assert!(theirs.len() > 20, "{theirs:#?}");
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "only Traefik has {missing:#?}, of ours there are {ours:#?}");
    let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    let more: Vec<_> = ours.difference(&theirs).map(name).collect();
    assert_eq!(more, OURS_ALONE);
}

/// What Traefik's API says, in the shape of a configuration.
fn ask_traefik(engine: &Engine) -> Value {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(find_traefik())
        .arg(format!("--providers.docker.endpoint={}", engine.endpoint()))
        .arg(format!("--entrypoints.traefik.address=127.0.0.1:{port}"))
        .args(["--api.insecure=true", "--entrypoints.web.address=127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _traefik = Traefik(child.unwrap());
    let url = format!("http://127.0.0.1:{port}/api/rawdata");
    for _ in 0..200 {
        let answer = Command::new("curl").args(["-s", &url]).output().unwrap();
        let said: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        if said["services"].as_object().is_some_and(|all| all.contains_key("sticky@docker")) {
            return serde_json::json!({
                "http": { "routers": said["routers"], "services": said["services"], "middlewares": said["middlewares"] },
                "tcp": { "routers": said["tcpRouters"], "services": said["tcpServices"] },
                "udp": { "services": said["udpServices"] },
            });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("Traefik never saw the containers");
}

/// The suite that compares whole gateways knows how to get one.
fn find_traefik() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let program = "import pathlib, sys; sys.path.insert(0, 'tests/differential'); \
                   from suite.tools import find_traefik; \
                   print(find_traefik(None, pathlib.Path('target/differential').absolute()))";
    let output = Command::new("python3").args(["-c", program]).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// One line for each object, with all that counts.
fn described(configuration: &Value) -> BTreeSet<String> {
    let objects = |protocol: &str, section: &str| {
        let all = configuration[protocol][section].as_object().cloned().unwrap_or_default();
        let own = all.into_iter().filter(|(name, _)| !name.ends_with("@internal"));
        own.map(|(name, object)| (name.trim_end_matches("@docker").to_owned(), object))
            .collect::<Vec<_>>()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| {
        let all = value.as_array().into_iter().flatten().map(text);
        all.map(|it| it.trim_end_matches("@docker").to_owned()).collect::<Vec<_>>().join(",")
    };
    let mut lines = BTreeSet::new();
    for protocol in ["http", "tcp"] {
        for (name, router) in objects(protocol, "routers") {
            let (rule, service) = (text(&router["rule"]), text(&router["service"]));
            let tls = if router["tls"].is_null() { "" } else { " tls" };
            let middlewares = texts(&router["middlewares"]);
            lines.insert(format!(
                "{protocol} router {name}: {rule} -> {service} [{middlewares}]{tls}"
            ));
        }
    }
    for protocol in ["http", "tcp", "udp"] {
        for (name, service) in objects(protocol, "services") {
            let balancer = &service["loadBalancer"];
            let mut servers: Vec<_> = balancer["servers"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|server| {
                    format!(
                        "{}{} {}",
                        text(&server["url"]),
                        text(&server["address"]),
                        server["weight"]
                    )
                })
                .collect();
            servers.sort();
            let sticky = !balancer["sticky"].is_null();
            lines.insert(format!(
                "{protocol} service {name}: {} sticky={sticky}",
                servers.join(", ")
            ));
        }
    }
    for (name, _) in objects("http", "middlewares") {
        lines.insert(format!("http middleware {name}"));
    }
    lines
}
