//! Two gateways that are nodes of a mesh: local addresses, tunnels, the edge, what is refused.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{DEADLINE, Gateway, nobody, until};

const WEB: &str = "spiffe://it.test/ns/default/sa/web";
const CART: &str = "spiffe://it.test/ns/shop/sa/cart";
const EDGE: &str = "spiffe://it.test/ns/portcullis-system/sa/edge.n1";

/// An authority with its files.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("root.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// The install configuration of the source of `ids`, whose roots are those of `trusted`.
    fn identity(&self, name: &str, ids: &[&str], trusted: &Path) -> String {
        let mut text = format!("[mesh.identity]\nsource = \"file\"\nbundle = {trusted:?}\n");
        for (index, id) in ids.iter().enumerate() {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![SanType::URI((*id).try_into().unwrap())];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let leaf = params.signed_by(&key, &self.issuer).unwrap();
            let place = |end: &str| self.folder.path().join(format!("{name}-{index}.{end}"));
            fs::write(place("pem"), leaf.pem()).unwrap();
            fs::write(place("key"), key.serialize_pem()).unwrap();
            text += &format!(
                "[[mesh.identity.svids]]\ncertFile = {:?}\nkeyFile = {:?}\n",
                place("pem"),
                place("key")
            );
        }
        text
    }
}

/// Nodes `n1`, an edge with a local address, and `n2`, with the workload.
struct Two {
    one: Gateway,
    two: Gateway,
    local: SocketAddr,
    /// The routing configuration of both.
    routes: String,
}

impl Two {
    /// `more` is added to the routing configuration of both; the local address speaks what the workload does.
    fn start(workload: SocketAddr, protocol: &str, more: &str) -> Self {
        let authority = Authority::new();
        let root = authority.root();
        Self::with(workload, protocol, more, |name, ids| authority.identity(name, ids, &root))
    }

    fn with(
        workload: SocketAddr,
        protocol: &str,
        more: &str,
        identity: impl Fn(&str, &[&str]) -> String,
    ) -> Self {
        let (local, listens) = (nobody(), [nobody(), nobody()]);
        let routes = format!(
            "{more}
[mesh.nodes]
n1 = {{ address = \"{}\" }}
n2 = {{ address = \"{}\" }}
[mesh.workloads.web-1]
account = \"web\"
node = \"n2\"
address = \"{}\"
ports = [{{ port = 80, targetPort = {}, protocol = \"{protocol}\" }}]
[mesh.services.\"web.default\"]
workloads = [\"web-1\"]
middlewares = {{ server = [\"served\"] }}
[http.middlewares.served.headers.customRequestHeaders]
X-Served = \"by-n2\"
[http.routers.edge]
rule = \"PathPrefix(`/`)\"
service = \"web.default-80@mesh\"
",
            listens[0],
            listens[1],
            workload.ip(),
            workload.port()
        );
        let (first, second) = (identity("n1", &[CART, EDGE]), identity("n2", &[WEB]));
        let control = !first.contains("source");
        let mesh = |node: &str, listen| {
            format!(
                "[metrics.prometheus]\nentryPoint = \"secure\"\n\
                 [mesh]\nroles = [\"edge\", \"node\"{}]\ntrustDomain = \"it.test\"\nnode = \"{node}\"\nlisten = \"{listen}\"\n",
                if control && node == "n1" { ", \"control\"" } else { "" }
            )
        };
        let upstream = format!(
            "[[mesh.upstreams]]\nservice = \"web.default\"\nport = 80\nlisten = \"{local}\"\naccount = \"shop/cart\"\n"
        );
        let two = mesh("n2", listens[1]) + &second;
        let one = mesh("n1", listens[0]) + &upstream + &first;
        let one = Gateway::with(&one, &routes);
        Self { two: Gateway::with(&two, &routes), one, local, routes }
    }
}

/// One GET on a connection of its own.
fn get(address: SocketAddr, target: &str) -> crate::harness::client::Response {
    let mut client = Client::connect(address);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: it.example\r\n\r\n"));
    client.response()
}

#[test]
fn a_local_address_and_the_edge_lead_to_a_workload_of_another_node() {
    let server = Server::saying("from n2");
    let nodes = Two::start(server.address, "http", "");
    for address in [nodes.local, nodes.one.web] {
        let response = get(address, "/a?b=c");
        assert_eq!((response.status, response.text()), (200, "from n2"));
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|it| it.target == "/a?b=c" && it.header("x-served") == Some("by-n2")));
    assert_eq!(seen[1].header("x-forwarded-for"), Some("127.0.0.1"));
    for (source, account) in [(CART, "cart"), (EDGE, "edge.n1")] {
        let beginning = format!(
            "portcullis_mesh_requests_total{{code=\"200\",destination_namespace=\"default\",\
             destination_principal=\"{WEB}\",destination_service=\"web.default\",destination_workload=\"web\",\
             reporter=\"destination\",security=\"mutual_tls\",source_namespace=\"{}\",source_principal=\"{source}\",\
             source_workload=\"{account}\"}} ",
            if account == "cart" { "shop" } else { "portcullis-system" }
        );
        assert_eq!(nodes.two.metric(&beginning), Some(1.0), "{beginning}");
        let beginning = beginning.replace("reporter=\"destination\"", "reporter=\"source\"");
        assert_eq!(nodes.one.metric(&beginning), Some(1.0), "{beginning}");
    }
    let broken = "portcullis_mesh_handshake_failures_total";
    assert!(nodes.two.metric(broken).is_none());
}

const SHOP: &str = "
[mesh.policies.shop]
target = { service = \"web.default\" }
action = \"allow\"
from = [\"ns/shop/sa/*\"]
to = [{ methods = [\"GET\"], paths = [\"/api/**\"] }]
";

/// What both callers get for each method and path: `shop/cart` first.
fn grid(nodes: &Two) -> Vec<u16> {
    let mut found = Vec::new();
    for address in [nodes.local, nodes.one.web] {
        for method in ["GET", "POST"] {
            for path in ["/api/1", "/admin", "/api/%2e%2e/admin"] {
                let mut client = Client::connect(address);
                client.send(format!(
                    "{method} {path} HTTP/1.1\r\nHost: it.example\r\nContent-Length: 0\r\n\r\n"
                ));
                found.push(client.response().status);
            }
        }
    }
    found
}

#[test]
fn policies_decide_who_calls_what_and_audit_only_tells() {
    let server = Server::saying("yes");
    let nodes = Two::start(server.address, "http", SHOP);
    assert_eq!(grid(&nodes), [200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]);
    assert_eq!(server.seen().len(), 1);
    let decided = |of: &str| {
        let beginning = format!("portcullis_mesh_authz_total{{{of},policy=\"shop@file\"}} ");
        nodes.two.metric(&beginning)
    };
    assert_eq!(decided("decision=\"allow\",mode=\"enforce\""), Some(1.0));
    assert_eq!(decided("decision=\"deny\",mode=\"enforce\""), Some(11.0));
    let lines = |nodes: &Two, what: &str| nodes.two.log().matches(what).count();
    until("all are logged", || lines(&nodes, "a request was refused") == 11);
    let server = Server::saying("yes");
    let audited = SHOP.replace("action", "mode = \"audit\"\naction");
    let nodes = Two::start(server.address, "http", &audited);
    assert_eq!(grid(&nodes), [200; 12]);
    let told = "would be refused by a policy in audit mode";
    until("all are logged", || lines(&nodes, told) == 11);
}

#[test]
fn an_open_call_ends_when_a_policy_comes_that_refuses_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
    });
    let mut nodes = Two::start(address, "tcp", "");
    let mut stream = TcpStream::connect(nodes.local).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).unwrap();
    let deny = "[mesh.policies.closed]\ntarget = { account = \"web\" }\naction = \"deny\"\n";
    let routes = format!("{deny}{}", nodes.routes);
    let begun = std::time::Instant::now();
    nodes.two.reload(&routes);
    assert!(matches!(stream.read(&mut greeting), Ok(0) | Err(_)));
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    until("the log names the policy", || nodes.two.log().contains("policy=closed@file"));
}

#[test]
fn a_local_address_of_another_protocol_passes_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 hello\r\n").unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        stream.write_all(&said).unwrap();
    });
    let nodes = Two::start(address, "tcp", "");
    let mut stream = TcpStream::connect(nodes.local).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 hello\r\n");
    stream.write_all(b"all of it").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"all of it");
}

#[test]
fn a_node_of_another_authority_gets_no_request_and_no_plaintext() {
    let server = Server::saying("never");
    let (ours, theirs) = (Authority::new(), Authority::new());
    let nodes = Two::with(server.address, "http", "", |name, ids| {
        let authority = if name == "n1" { &ours } else { &theirs };
        authority.identity(name, ids, &authority.root())
    });
    let response = get(nodes.local, "/");
    assert_eq!(response.status, 502);
    assert!(server.seen().is_empty());
    until("n1 says why", || nodes.one.log().contains("is not taken for"));
    let count = nodes.one.metric("portcullis_mesh_dial_failures_total{reason=\"untrusted_root\"} ");
    assert!(count.is_some_and(|count| count >= 1.0), "{count:?}");
}

/// Runs a command of the program; gives what it says.
fn portcullis(words: &[&str]) -> String {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis")).args(words).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_node_that_joins_by_a_token_is_called_and_calls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (control, authority) = (nobody().to_string(), at("authority"));
    portcullis(&["ca", "init", "--directory", &authority, "--trust-domain", "it.test"]);
    let invite =
        ["token", "create", "--node", "n2", "--address", &control, "--directory", &authority];
    let token = portcullis(&[&invite[..], &["--allow", "ns/*/sa/*"]].concat());
    fs::write(at("join"), token.lines().next().unwrap()).unwrap();
    let server = Server::saying("joined");
    let nodes = Two::with(server.address, "http", "", |name, _| match name {
        "n1" => format!("[mesh.identity]\ndirectory = {authority:?}\nlisten = \"{control}\"\n"),
        _ => format!(
            "[mesh.identity]\ndirectory = {:?}\n[mesh.join]\ncontrol = [\"{control}\"]\ntokenFile = {:?}\n",
            at("n2"),
            at("join")
        ),
    });
    until("n2 has joined", || get(nodes.local, "/").status == 200);
    assert_eq!(get(nodes.one.web, "/").text(), "joined");
}

#[test]
fn identities_are_read_anew_without_a_failed_request() {
    let server = Server::saying("on");
    let authority = Authority::new();
    let root = authority.root();
    let nodes =
        Two::with(server.address, "http", "", |name, ids| authority.identity(name, ids, &root));
    assert_eq!(get(nodes.local, "/").status, 200);
    // The same files, other keys and certificates.
    authority.identity("n1", &[CART, EDGE], &root);
    authority.identity("n2", &[WEB], &root);
    until("both have read them", || {
        assert_eq!(get(nodes.local, "/").status, 200);
        let read = |it: &Gateway| it.log().matches("an identity was read").count();
        read(&nodes.one) >= 4 && read(&nodes.two) >= 2
    });
    assert_eq!(get(nodes.local, "/").status, 200);
}
