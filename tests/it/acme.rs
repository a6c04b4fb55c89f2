//! Certificates from a real authority over loopback: proofs, renewal, restarts, several instances, refusals.

mod bind;
mod etcd;
mod pebble;
mod redis;
mod traefik;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use self::bind::Bind;
use self::etcd::Etcd;
use self::pebble::{Behaviour, Pebble};
use self::redis::Redis;
use self::traefik::Traefik;
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, service, until};

/// A client that takes any certificate, to look at it.
#[derive(Debug)]
struct Curious;

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        portcullis::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn client(protocol: &[u8]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(portcullis::tls::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Curious))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

fn handshake(address: SocketAddr, name: &str, protocol: &[u8]) -> Result<Tls, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut connection = ClientConnection::new(client(protocol), name).unwrap();
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Issuer, serial number and names of the certificate that clients get who ask for `name`.
fn offered(address: SocketAddr, name: &str) -> (String, String, Vec<String>) {
    try_offered(address, name).unwrap()
}

fn try_offered(address: SocketAddr, name: &str) -> std::io::Result<(String, String, Vec<String>)> {
    let stream = handshake(address, name, b"http/1.1")?;
    let leaf = stream.conn.peer_certificates().unwrap()[0].clone();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let names = names.map(|name| name.to_string().replace("DNSName(", "").replace(')', ""));
    Ok((leaf.issuer().to_string(), leaf.serial.to_string(), names.collect()))
}

fn is_from_pebble(gateway: &Gateway, name: &str) -> bool {
    offered(gateway.secure, name).0.contains("Pebble")
}

/// A router on `secure` whose certificate the resolver obtains.
fn router(name: &str, hosts: &str) -> String {
    format!(
        "[http.routers.{name}]\nrule = \"{hosts}\"\nservice = \"it\"\nentryPoints = [\"secure\"]\n\
         [http.routers.{name}.tls]\ncertResolver = \"pebble\"\n"
    )
}

fn http(pebble: &Pebble, storage: &Path) -> String {
    let text = pebble.resolver(storage.to_str().unwrap(), "httpChallenge");
    format!("{text}entryPoint = \"web\"\n[api]\n")
}

fn tls(pebble: &Pebble, storage: &Path) -> String {
    format!("{}[api]\n", pebble.resolver(storage.to_str().unwrap(), "tlsChallenge"))
}

/// Routes to the API on `web`.
fn api() -> &'static str {
    "[http.routers.api]\nrule = \"PathPrefix(`/api`)\"\nservice = \"api@internal\"\npriority = 1000\n\
     entryPoints = [\"web\"]\n"
}

#[test]
fn http_01_is_proven_before_any_router_is_asked_and_nobody_loses_a_connection() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    // Everything on `web` is sent away, also what the authority asks for.
    let away = "[http.routers.away]\nrule = \"PathPrefix(`/`)\"\nservice = \"noop@internal\"\nentryPoints = [\"web\"]\n\
                middlewares = [\"away\"]\n[http.middlewares.away.redirectScheme]\nscheme = \"https\"\n";
    let routes = format!("{away}{}{}", api(), service("it", &[server.address]));
    let mut gateway = Gateway::with(&http(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    let hosts = "Host(`one.it.test`) || Host(`two.it.test`)";
    let mut before = handshake(gateway.secure, "one.it.test", b"http/1.1").unwrap();
    gateway.reload(&format!("{routes}{}", router("secure", hosts)));
    until("the certificate is served", || is_from_pebble(&gateway, "two.it.test"));
    let (_, _, names) = offered(gateway.secure, "one.it.test");
    assert_eq!(names, ["one.it.test", "two.it.test"]);
    assert_eq!(pebble.issued(), 1);
    // The connection from before the certificate goes on.
    before.write_all(b"GET / HTTP/1.1\r\nHost: one.it.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    before.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("hello"), "{text}");
    let mode = fs::metadata(&storage).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Tokens that nobody waits for go to the routers.
    assert_eq!(gateway.get("/.well-known/acme-challenge/unknown").status, 302);
    let shown = gateway.get("/api/certificates").text().to_owned();
    assert!(shown.contains("\"resolver\":\"pebble\"") && shown.contains("secure@file"), "{shown}");
    no_secrets(&gateway, &storage, &shown);
}

/// No key of the storage is in the log or in what the API shows.
fn no_secrets(gateway: &Gateway, storage: &Path, shown: &str) {
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(storage).unwrap()).unwrap();
    let own = &kept["pebble"];
    let account = own["Portcullis"]["Account"]["key_pkcs8"].as_str().unwrap();
    let key = own["Certificates"][0]["key"].as_str().unwrap();
    for secret in [account, key, "PRIVATE KEY"] {
        assert!(!gateway.log().contains(secret) && !shown.contains(secret));
    }
}

#[test]
fn tls_alpn_01_is_proven_in_the_handshake_and_the_file_serves_after_a_restart() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    let wanted = format!("{routes}{}", router("secure", "Host(`one.it.test`)"));
    gateway.reload(&wanted);
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    // Nobody waits for a proof now: there is none to get.
    handshake(gateway.secure, "one.it.test", b"acme-tls/1").unwrap_err();
    let (_, serial, _) = offered(gateway.secure, "one.it.test");
    let orders = pebble.orders();
    drop(gateway);
    let gateway = Gateway::with(&tls(&pebble, &storage), &wanted);
    until("the stored certificate is served", || {
        offered(gateway.secure, "one.it.test").1 == serial
    });
    // With the authority gone, too.
    pebble.stop();
    assert_eq!(offered(gateway.secure, "one.it.test").1, serial);
    assert_eq!((orders, pebble.orders()), (1, 1));
}

#[test]
fn a_stalled_proof_is_cut_off() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let limit = "[entryPoints.secure.transport.respondingTimeouts]\nreadTimeout = \"1s\"\n";
    let delayed = tls(&pebble, &storage).replace("[api]", "delay = \"20s\"\n[api]");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&format!("{limit}{delayed}"), &routes);
    pebble.start(&gateway, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("secure", "Host(`one.it.test`)")));
    // The proof is shown, and the authority is not told yet.
    let mut finished = None;
    until("the proof is shown", || {
        finished = handshake(gateway.secure, "one.it.test", b"acme-tls/1").ok();
        finished.is_some()
    });
    // Whoever finishes the handshake is sent away at once …
    let ended = finished.unwrap().read(&mut [0; 1]).map_or(0, |read| read);
    assert_eq!(ended, 0);
    // … and whoever does not, soon.
    let mut hello = Vec::new();
    let name = ServerName::try_from("one.it.test").unwrap();
    ClientConnection::new(client(b"acme-tls/1"), name).unwrap().write_tls(&mut hello).unwrap();
    let mut stalled = TcpStream::connect(gateway.secure).unwrap();
    stalled.set_read_timeout(Some(DEADLINE)).unwrap();
    stalled.write_all(&hello).unwrap();
    let begun = Instant::now();
    let _ = stalled.read_to_end(&mut Vec::new());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn an_authority_that_is_slow_and_rejects_nonces_and_reuses_authorizations_is_served_all_the_same() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    let environment = &[
        ("PEBBLE_WFE_NONCEREJECT", "20"),
        ("PEBBLE_AUTHZREUSE", "100"),
        ("PEBBLE_VA_NOSLEEP", "0"),
        ("PEBBLE_VA_SLEEPTIME", "2"),
    ];
    pebble.start(&gateway, &Behaviour { environment, ..Behaviour::default() });
    for (index, hosts) in
        ["Host(`one.it.test`)", "Host(`one.it.test`) || Host(`two.it.test`)"].iter().enumerate()
    {
        gateway.reload(&format!("{routes}{}", router(&format!("r{index}"), hosts)));
        let name = if index == 0 { "one.it.test" } else { "two.it.test" };
        until("the certificate is served", || is_from_pebble(&gateway, name));
    }
}

#[test]
fn instances_that_share_a_file_order_once_and_answer_for_each_other() {
    let Some(pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    share(pebble, &storage);
}

#[test]
fn instances_that_share_a_database_order_once_and_answer_for_each_other() {
    let (Some(pebble), Some(redis)) = (Pebble::place(), Redis::start()) else { return };
    share(pebble, Path::new(&redis.address()));
}

#[test]
fn instances_that_share_a_cluster_of_etcd_order_once_and_answer_for_each_other() {
    let (Some(pebble), Some(etcd)) = (Pebble::place(), Etcd::start()) else { return };
    etcd.ask_for_users("s3cret");
    let environment = [
        ("PORTCULLIS_ACME_ETCD_USERNAME", "root".to_owned()),
        ("PORTCULLIS_ACME_ETCD_PASSWORD", "s3cret".to_owned()),
    ];
    share_as(pebble, Path::new(&etcd.address()), &environment);
}

#[test]
fn etcd_is_spoken_to_over_tls() {
    let Some(mut pebble) = Pebble::place() else { return };
    let (certificate, key) = (pebble.path("cert.pem"), pebble.path("key.pem"));
    let Some(etcd) = Etcd::encrypted(&certificate, &key) else { return };
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let trusting =
        [("PORTCULLIS_ACME_ETCD_CA_CERTIFICATES", certificate.to_str().unwrap().to_owned())];
    let storage = etcd.address();
    let install = tls(&pebble, Path::new(&storage));
    let wanted = format!("{routes}{}", router("one", "Host(`one.it.test`)"));
    let gateway = Gateway::in_environment(&trusting, &install, &wanted);
    pebble.start(&gateway, &Behaviour::default());
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    drop(gateway);
    // The next one finds it, unless it does not trust the cluster.
    let gateway = Gateway::in_environment(&trusting, &install, &wanted);
    until("the stored certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    assert_eq!(pebble.issued(), 1);
    let stranger = Gateway::with(&install, &wanted);
    until("it says why", || {
        stranger
            .log()
            .lines()
            .any(|line| line.contains("nothing is ordered") && line.contains("etcds://"))
    });
    assert!(!is_from_pebble(&stranger, "one.it.test"));
}

#[test]
fn another_instance_orders_once_the_lease_of_a_dead_one_has_lapsed() {
    let (Some(mut pebble), Some(etcd)) = (Pebble::place(), Etcd::start()) else { return };
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let storage = etcd.address();
    let install = tls(&pebble, Path::new(&storage));
    let wanted = format!("{routes}{}", router("one", "Host(`one.it.test`)"));
    // The authority waits for its proof long enough to end the first one in the middle of its order.
    let environment = &[("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "20")];
    let mut one = Gateway::with(&install, &routes);
    pebble.start(&one, &Behaviour { environment, ..Behaviour::default() });
    one.reload(&wanted);
    until("it has an order", || pebble.orders() > 0);
    one.signal(nix::sys::signal::Signal::SIGKILL);
    one.wait();
    let died = Instant::now();
    pebble.stop();
    let two = Gateway::with(&install, &wanted);
    pebble.start(&two, &Behaviour::default());
    // A minute of the lease, and what an order takes.
    while !is_from_pebble(&two, "one.it.test") {
        assert!(died.elapsed() < Duration::from_secs(90), "the lease does not lapse");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(died.elapsed() > Duration::from_secs(40), "the lease was not kept");
}

#[test]
fn an_order_is_finished_by_the_process_that_began_it_when_another_takes_over() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let grace = "[entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"25s\"\n";
    let mut gateway = Gateway::with(&format!("{}{grace}", http(&pebble, &storage)), &routes);
    let environment = &[("PEBBLE_VA_NOSLEEP", "0"), ("PEBBLE_VA_SLEEPTIME", "6")];
    pebble.start(&gateway, &Behaviour { environment, ..Behaviour::default() });
    let names = ["a.it.test", "b.it.test", "c.it.test", "d.it.test", "e.it.test", "f.it.test"];
    let wanted: String =
        names.iter().map(|name| router(&name[..1], &format!("Host(`{name}`)"))).collect();
    gateway.reload(&format!("{routes}{wanted}"));
    until("orders run", || pebble.orders() > 1);
    gateway.upgrade(Path::new(env!("CARGO_BIN_EXE_portcullis")), 60).unwrap();
    until("all certificates are served", || {
        names.iter().all(|name| is_from_pebble(&gateway, name))
    });
    assert_eq!(pebble.issued(), names.len());
    // A proof may be asked for in the moment of the change, and its order is repeated; the others are not begun anew.
    assert!(pebble.orders() <= names.len() + 1, "{} orders", pebble.orders());
    assert_eq!(gateway.log().matches("account made").count(), 1);
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Two instances with one storage are to get certificates at the same moment.
fn share(pebble: Pebble, storage: &Path) {
    share_as(pebble, storage, &[]);
}

/// As [`share`], with these variables.
fn share_as(mut pebble: Pebble, storage: &Path, environment: &[(&str, String)]) {
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let start = || Gateway::in_environment(environment, &http(&pebble, storage), &routes);
    let (mut one, mut two) = (start(), start());
    // The authority only ever asks the first one, whoever orders.
    pebble.start(&one, &Behaviour::default());
    let names = ["a.it.test", "b.it.test", "c.it.test", "d.it.test"];
    let wanted: String =
        names.iter().map(|name| router(&name[..1], &format!("Host(`{name}`)"))).collect();
    let wanted = format!("{routes}{wanted}");
    std::thread::scope(|scope| {
        scope.spawn(|| one.reload(&wanted));
        scope.spawn(|| two.reload(&wanted));
    });
    for gateway in [&one, &two] {
        until("all certificates are served", || {
            names.iter().all(|name| is_from_pebble(gateway, name))
        });
    }
    for name in names {
        assert_eq!(offered(one.secure, name), offered(two.secure, name));
    }
    assert_eq!(pebble.issued(), names.len());
    let accounts = [&one, &two].map(|gateway| gateway.log().matches("account made").count());
    assert_eq!(accounts.iter().sum::<usize>(), 1);
}

#[test]
fn a_certificate_is_renewed_in_time_while_the_old_one_serves() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour { lasting: 24, ..Behaviour::default() });
    gateway.reload(&format!("{routes}{}", router("secure", "Host(`one.it.test`)")));
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    let (_, first, _) = offered(gateway.secure, "one.it.test");
    until("another one is served", || {
        let (issuer, serial, _) = offered(gateway.secure, "one.it.test");
        assert!(issuer.contains("Pebble"), "there is always one: {issuer}");
        serial != first
    });
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&storage).unwrap()).unwrap();
    assert_eq!(kept["pebble"]["Certificates"].as_array().unwrap().len(), 1);
}

#[test]
fn an_authority_that_forgot_the_account_gets_another_one() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("one", "Host(`one.it.test`)")));
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    pebble.stop();
    pebble.start(&gateway, &Behaviour::default());
    let both =
        format!("{}{}", router("one", "Host(`one.it.test`)"), router("two", "Host(`two.it.test`)"));
    gateway.reload(&format!("{routes}{both}"));
    until("the other certificate is served", || is_from_pebble(&gateway, "two.it.test"));
    assert_eq!(gateway.log().matches("account made").count(), 2);
}

#[test]
fn a_proof_that_fails_is_told_and_not_tried_time_and_again() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = format!("{}{}", api(), service("it", &[server.address]));
    let mut gateway = Gateway::with(&http(&pebble, &storage), &routes);
    let other = Gateway::new(&routes);
    // The authority looks for the proof where nobody shows it.
    pebble.start(&other, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("secure", "Host(`one.it.test`)")));
    let shown = || gateway.get("/api/acme/certificates").text().to_owned();
    until("the failure is shown", || shown().contains("\"failing\""));
    let shown = shown();
    assert!(shown.contains("unauthorized") && shown.contains("secure@file"), "{shown}");
    let log = gateway.log();
    assert!(log.contains("no certificate: proof: one.it.test: unauthorized"), "{log}");
    assert_eq!(pebble.orders(), 1, "the next one comes after a pause");
    // The self-signed one goes on serving.
    assert!(offered(gateway.secure, "one.it.test").0.contains("DEFAULT CERT"));
}

#[test]
fn a_storage_that_others_can_read_stops_orders_until_that_is_mended() {
    let Some(mut pebble) = Pebble::place() else { return };
    let storage = pebble.path("acme.json");
    fs::write(&storage, "{}").unwrap();
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("secure", "Host(`one.it.test`)")));
    until("it is said", || gateway.log().contains("permissions 644"));
    assert_eq!(pebble.orders(), 0);
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o600)).unwrap();
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
}

#[test]
fn without_space_a_certificate_serves_from_memory_and_is_kept_later() {
    let Some(mut pebble) = Pebble::place() else { return };
    // A folder that is not there stands for every reason not to be able to write.
    let storage = pebble.path("later/acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("secure", "Host(`one.it.test`)")));
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    assert!(gateway.log().contains("serves from memory"), "{}", gateway.log());
    assert_eq!(pebble.orders(), 1);
}

#[test]
fn dns_01_proves_wildcards_by_signed_updates_of_a_zone() {
    let (Some(mut pebble), Some(bind)) = (Pebble::place(), Bind::start()) else { return };
    let (storage, secret) = (pebble.path("acme.json"), pebble.path("secret"));
    fs::write(&secret, format!("{}\n", bind::KEY.1)).unwrap();
    let environment = [
        ("RFC2136_NAMESERVER", bind.address.to_string()),
        ("RFC2136_TSIG_KEY", bind::KEY.0.to_owned()),
        ("RFC2136_TSIG_ALGORITHM", "hmac-sha256.".to_owned()),
        ("RFC2136_TSIG_SECRET_FILE", secret.display().to_string()),
    ];
    // Name servers of the zone can be asked on their own port only.
    let checks = if bind.is_official { "" } else { "propagation.disableANSChecks = true\n" };
    let resolver = pebble.resolver(storage.to_str().unwrap(), "dnsChallenge");
    let install =
        format!("{resolver}provider = \"rfc2136\"\nresolvers = [\"{}\"]\n{checks}", bind.address);
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::in_environment(&environment, &install, &routes);
    pebble.start(&gateway, &Behaviour { name_server: Some(bind.address), ..Behaviour::default() });
    let wild = "[[http.routers.wild.tls.domains]]\nmain = \"it.test\"\nsans = [\"*.it.test\"]\n";
    let wild = format!("{}{wild}", router("wild", "HostRegexp(`^.+[.]it[.]test$`)"));
    gateway.reload(&format!("{routes}{wild}{}", router("alias", "Host(`alias.it.test`)")));
    until("the wildcard is served", || is_from_pebble(&gateway, "any.it.test"));
    assert_eq!(offered(gateway.secure, "any.it.test").2, ["it.test", "*.it.test"]);
    until("the records are gone", || bind.dig("TXT", "_acme-challenge.it.test").is_empty());
    assert_eq!(pebble.issued(), 1, "the wildcard covers the other router");
    let alias = "[[http.routers.alias.tls.domains]]\nmain = \"deep.alias.it.test\"\n";
    // The proof of a name with an alias stands where the alias leads.
    let alias = format!("{}{alias}", router("alias", "Host(`deep.alias.it.test`)"));
    gateway.reload(&format!("{routes}{wild}{alias}"));
    until("the other one is served", || {
        offered(gateway.secure, "deep.alias.it.test").2 == ["deep.alias.it.test"]
    });
    assert!(!gateway.log().contains(bind::KEY.1));
}

#[test]
fn traefik_and_the_gateway_take_the_storage_over_from_each_other() {
    let (Some(mut pebble), Some(program)) = (Pebble::place(), Traefik::find()) else { return };
    let storage = pebble.path("acme.json");
    let server = Server::saying("hello");
    let routes = service("it", &[server.address]);
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &routes);
    pebble.start(&gateway, &Behaviour::default());
    gateway.reload(&format!("{routes}{}", router("one", "Host(`one.it.test`)")));
    until("the certificate is served", || is_from_pebble(&gateway, "one.it.test"));
    let secure = gateway.secure;
    let (_, one, _) = offered(secure, "one.it.test");
    drop(gateway);
    let both = format!(
        "{routes}{}{}",
        router("one", "Host(`one.it.test`)"),
        router("two", "Host(`two.it.test`)")
    );
    let resolver = pebble.resolver(storage.to_str().unwrap(), "tlsChallenge");
    let traefik = Traefik::start(&program, &pebble.path(""), secure, (&resolver, &both));
    until("traefik serves", || try_offered(secure, "one.it.test").is_ok_and(|it| it.1 == one));
    until("traefik obtains another one", || offered(secure, "two.it.test").0.contains("Pebble"));
    let (_, two, _) = offered(secure, "two.it.test");
    let account = || {
        let text = fs::read(&storage).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let certificates = kept["pebble"]["Certificates"].as_array().map_or(0, Vec::len);
        (kept["pebble"]["Account"]["PrivateKey"].to_string(), certificates)
    };
    until("traefik keeps it", || account().1 == 2);
    drop(traefik);
    let (theirs, _) = account();
    assert!(theirs.len() > 1000, "an RSA key");
    let mut gateway = Gateway::with(&tls(&pebble, &storage), &both);
    until("both are served again", || {
        offered(gateway.secure, "one.it.test").1 == one
            && offered(gateway.secure, "two.it.test").1 == two
    });
    assert_eq!(pebble.orders(), 2);
    // What we write next leaves their account alone.
    let authority = Behaviour::default();
    pebble.stop();
    pebble.start(&gateway, &authority);
    gateway.reload(&format!("{both}{}", router("three", "Host(`three.it.test`)")));
    until("a third one is served", || is_from_pebble(&gateway, "three.it.test"));
    until("it is kept", || account() == (theirs.clone(), 3));
}
