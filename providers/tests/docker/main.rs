//! The Docker provider against a real engine, which the tests install and start.
//!
//! Without root they say loudly that they were skipped; with `CI=true` nothing is skipped.
#![cfg(feature = "docker")]
#![allow(clippy::disallowed_methods, reason = "tests have no workers")]
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "a test")]

#[path = "../../../tests/docker/engine.rs"]
mod engine;
mod provider;
mod traefik;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use portcullis_config::tree::Tree;
use portcullis_providers::{Contact, Kind, Published, channel};
use tempfile::TempDir;

use provider::{engine, map, run, run_tree, sleep, urls};

const WEB: &str = "-l traefik.http.routers.web.rule=Path(`/`) \
                   -l portcullis.http.services.web.loadbalancer.server.port=80";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_come_and_go() {
    let Some(engine) = engine(&[]) else { return };
    sleep(&engine, "before", WEB);
    let mut running = run(&[("endpoint", &engine.endpoint()), ("exposedByDefault", "false")]);
    running.until("the empty configuration", |it| it.routing.is_empty()).await;
    running.contact(Contact::Up).await;

    sleep(&engine, "one", &format!("-l traefik.enable=true {WEB}"));
    let published = running.until("the first container", |it| urls(it, "web").len() == 1).await;
    assert_eq!(published.routing.http.routers["web"].rule, "Path(`/`)");
    assert_eq!(published.problems, []);
    let address = engine.docker("inspect -f {{.NetworkSettings.Networks.edge.IPAddress}} one");
    assert_eq!(urls(&published, "web"), [format!("http://{address}:80")]);

    sleep(&engine, "two", &format!("-l traefik.enable=true {WEB}"));
    running.until("the second container", |it| urls(it, "web").len() == 2).await;
    engine.docker("pause two");
    running.until("the pause", |it| urls(it, "web").len() == 1).await;
    engine.docker("unpause two");
    running.until("the end of the pause", |it| urls(it, "web").len() == 2).await;
    engine.docker("kill one");
    running.until("the end of the first", |it| urls(it, "web").len() == 1).await;
    engine.docker("start one");
    running.until("the first again", |it| urls(it, "web").len() == 2).await;
    engine.docker("rm -f one two");
    running.until("the end of all", |it| it.routing.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_names_and_networks_are_followed() {
    let Some(engine) = engine(&[]) else { return };
    let mut running = run(&[("endpoint", &engine.endpoint()), ("network", "second")]);
    // The client's options would run the check with a shell, which the image has not.
    let check = r#"HEALTHCHECK --interval=200ms --retries=1 CMD ["/bin/test","-f","/tmp/healthy"]"#;
    engine.docker("create --name base tools /bin/sleep");
    engine.script("client", &["commit", "--change", check, "base", "checked"]);
    engine.docker("rm base");
    engine.docker(&format!("run -d --name web --net edge {WEB} checked /bin/sleep 1000"));
    running.until("the configuration without it", |it| it.routing.is_empty()).await;
    engine.docker("exec web /bin/touch /tmp/healthy");
    let published = running.until("its health", |it| urls(it, "web").len() == 1).await;
    assert!(published.problems[0].message.contains("not attached to the network `second`"));
    engine.docker("network create second");
    engine.docker("network connect second web");
    let published = running.until("the other network", |it| it.problems.is_empty()).await;
    let address = engine.docker("inspect -f {{.NetworkSettings.Networks.second.IPAddress}} web");
    assert_eq!(urls(&published, "web"), [format!("http://{address}:80")]);
    engine.docker("exec web /bin/rm /tmp/healthy");
    running.until("its illness", |it| it.routing.is_empty()).await;

    sleep(&engine, "plain", "--expose 80");
    let named = |it: &Published, name: &str| it.routing.http.routers.contains_key(name);
    running.until("a name", |it| named(it, "plain")).await;
    engine.docker("rename plain renamed");
    let published = running.until("another name", |it| !named(it, "plain")).await;
    assert_eq!(published.routing.http.routers["renamed"].rule, "Host(`renamed`)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_crashes_leaves_the_last_good_configuration_and_is_followed_again() {
    let Some(engine) = engine(&[]) else { return };
    let mut running = run(&[("endpoint", &engine.endpoint())]);
    sleep(&engine, "one", WEB);
    running.until("the container", |it| urls(it, "web").len() == 1).await;
    engine.kill();
    running.contact(Contact::Lost).await;
    let silence = tokio::time::timeout(Duration::from_millis(500), running.receiver.changed());
    assert!(silence.await.is_err(), "something was published during the outage");
    engine.start_again(&[]);
    let back = Instant::now();
    running.until("the container again", |it| urls(it, "web").len() == 1).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    sleep(&engine, "two", WEB);
    running.until("the second container", |it| urls(it, "web").len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_published_soon() {
    let Some(engine) = engine(&[]) else { return };
    let mut running = run(&[("endpoint", &engine.endpoint())]);
    engine.docker(&format!("create --name web --net edge {WEB} tools /bin/sleep 1000"));
    let mut delays = Vec::new();
    for _ in 0..20 {
        engine.docker("start web");
        running.until("the start", |it| urls(it, "web").len() == 1).await;
        delays.push(engine.since_start(SystemTime::now()).as_millis());
        engine.docker("kill web");
        running.until("the end", |it| urls(it, "web").is_empty()).await;
    }
    delays.sort_unstable();
    println!("milliseconds from start event to publication: {delays:?}");
    // The whole budget, to the first request served, is 250 ms at the 99th percentile.
    assert!(delays[delays.len() / 2] < 100, "{delays:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_over_tcp_leads_to_the_engine_too() {
    let certificates = Certificates::make();
    let file = |name: &str| certificates.path(name).display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("tcp://127.0.0.1:{port}");
    let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    let options =
        ["-H", &host, "--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let Some(engine) = engine(&options) else { return };
    sleep(&engine, "one", WEB);
    let options = |tls: &[(&str, &str)]| {
        let endpoint = ("endpoint".to_owned(), Tree::scalar(&host));
        Tree::map([endpoint, ("tls".to_owned(), map(tls))])
    };
    let mut running = run_tree(&options(&[("ca", &ca), ("cert", &cert), ("key", &key)]));
    running.until("the container over TLS", |it| urls(it, "web").len() == 1).await;
    let skipping = [("insecureSkipVerify", "true"), ("cert", cert.as_str()), ("key", &key)];
    let mut running = run_tree(&options(&skipping));
    running.until("the container without verification", |it| urls(it, "web").len() == 1).await;

    // The engine wants to know who we are, and we want to know who it is.
    for tls in [vec![("ca", ca.as_str())], vec![("cert", cert.as_str()), ("key", &key)]] {
        let build = Kind::find("docker").unwrap().build;
        let mut provider = build(&options(&tls)).ok().unwrap();
        let (publisher, _receiver) = channel();
        let Err(failure) = provider.run(&publisher).await;
        assert!(failure.to_string().to_lowercase().contains("certificate"), "{failure}");
    }
}

/// An authority, and one certificate for both sides.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let mut both = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        both.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = both.signed_by(&key, &issuer).unwrap();
        std::fs::write(files.path("ca.pem"), ca_certificate.pem()).unwrap();
        std::fs::write(files.path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(files.path("key.pem"), key.serialize_pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
