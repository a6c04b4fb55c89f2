//! Advisories of gateways by name: what each was must not be possible here.

mod others;

use std::net::SocketAddr;

use crate::harness::server::{Seen, Server};
use crate::harness::{Gateway, all_to, free_port, service};

/// Two servers: `admin` behind a router that lets nobody in, `open` for everything else.
struct Guarded {
    gateway: Gateway,
    admin: Server,
    open: Server,
}

impl Guarded {
    fn new(middlewares: &str) -> Self {
        let (admin, open) = (Server::saying("admin"), Server::saying("open"));
        let gateway = Gateway::new(&format!(
            "[http.routers]\n\
             admin = {{ rule = \"PathPrefix(`/admin`)\", service = \"admin\", middlewares = [\"nobody\"] }}\n\
             api = {{ rule = \"PathPrefix(`/api`)\", service = \"open\", middlewares = [\"change\"] }}\n\
             open = {{ rule = \"PathPrefix(`/`)\", service = \"open\", priority = 1 }}\n\
             [http.middlewares.nobody.ipAllowList]\nsourceRange = [\"192.0.2.1/32\"]\n\
             {middlewares}{}{}",
            service("admin", &[admin.address]),
            service("open", &[open.address]),
        ));
        Self { gateway, admin, open }
    }

    /// A server must never see a path that the guarded router would own.
    fn holds_for(&self, targets: &[&str]) {
        for target in targets {
            let response = self.gateway.get(target);
            assert!(matches!(response.status, 200 | 400 | 403), "{target}: {}", response.status);
        }
        assert_eq!(self.admin.count(), 0);
        for seen in self.open.seen() {
            let path = seen.target.split('?').next().unwrap();
            assert_eq!(resolved(path), path, "the server saw a path that it will change");
        }
    }
}

/// A path with its escapes decoded once, as servers do.
fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// A path with its dot segments resolved, as servers do. Escaped slashes are no slashes: whether a path may hold them is
/// what `encodedCharacters` decides.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match &*decoded(segment) {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[test]
fn cve_2025_32431_and_47952_traversal_past_matchers() {
    let guarded = Guarded::new("[http.middlewares.change.stripPrefix]\nprefixes = [\"/none\"]\n");
    guarded.holds_for(&[
        "/open/../admin",
        "/open/%2e%2e/admin",
        "/open/%2E%2e/admin",
        "/open/.%2e/admin/x",
        "/./admin",
        "/%2e/admin",
        "//admin",
        "/open//../admin",
        "/open/..%2fadmin",
        "/open/%2e%2e%2fadmin",
        "/%61dmin",
        "/%61%64%6d%69%6e/x",
        "/admi%6e?x=../",
    ]);
}

#[test]
fn cve_2026_40912_and_48020_stripped_prefixes_do_not_reach_what_others_own() {
    let guarded = Guarded::new("[http.middlewares.change.stripPrefix]\nprefixes = [\"/api\"]\n");
    guarded.holds_for(&[
        "/api../admin",
        "/api/../admin",
        "/api%2e%2e/admin",
        "/api/%2e%2e/admin",
        "/api%2e%2e",
    ]);
    let guarded =
        Guarded::new("[http.middlewares.change.stripPrefixRegex]\nregex = [\"/api[^/]*\"]\n");
    guarded.holds_for(&[
        "/api../admin",
        "/api%2f../admin",
        "/api%20/..%2fadmin",
        "/apiäöü/../admin",
    ]);
}

#[test]
fn cve_2026_65600_replaced_paths_do_not_reach_what_others_own() {
    let guarded = Guarded::new(
        "[http.middlewares.change.replacePathRegex]\nregex = \"^/api/(.*)\"\nreplacement = \"/x/$1\"\n",
    );
    guarded.holds_for(&["/api/../admin", "/api/..%2fadmin", "/api/%2e%2e/%2e%2e/admin"]);
}

#[test]
fn cve_2025_66490_the_path_matched_is_the_path_sent() {
    let (one, two) = (Server::saying("one"), Server::saying("two"));
    let gateway = Gateway::new(&format!(
        "[http.routers]\n\
         one = {{ rule = \"PathPrefix(`/a/`)\", service = \"one\" }}\n\
         two = {{ rule = \"PathPrefix(`/`)\", service = \"two\", priority = 1 }}\n{}{}",
        service("one", &[one.address]),
        service("two", &[two.address]),
    ));
    for target in ["/a%2fb", "/a/b%2fc", "/a%5cb", "/a%3bb", "/a/%25", "/a/%3f", "/a/%23", "/a/b"] {
        let response = gateway.get(target);
        if response.status == 400 {
            continue;
        }
        let server = if response.text() == "one" { &one } else { &two };
        let seen = server.last().target;
        assert_eq!(seen.starts_with("/a/"), response.text() == "one", "{target} as {seen}");
        assert_eq!(decoded(&seen), decoded(target));
    }
}

#[test]
fn cve_2025_66490_escapes_that_are_not_allowed_are_refused() {
    let server = Server::saying("open");
    let gateway = Gateway::with(
        "[entryPoints.web.http.encodedCharacters]\nallowEncodedPercent = false\n\
         allowEncodedSlash = false\nallowEncodedBackSlash = false\nallowEncodedNullCharacter = false\n\
         allowEncodedSemicolon = false\nallowEncodedQuestionMark = false\nallowEncodedHash = false\n",
        &all_to(&[server.address]),
    );
    for escape in ["%2f", "%2F", "%5c", "%00", "%3b", "%25", "%3f", "%23", "..%2fadmin"] {
        assert_eq!(gateway.get(&format!("/a/{escape}")).status, 400, "{escape}");
    }
    assert_eq!(server.count(), 0);
    assert_eq!(gateway.get("/a/%20").status, 200);
}

fn seen_with(server: &Server, gateway: &Gateway, fields: &str) -> Seen {
    let response = gateway.exchange(format!("GET / HTTP/1.1\r\nHost: it.example\r\n{fields}\r\n"));
    assert_eq!(response.status, 200);
    server.last()
}

#[test]
fn cve_2024_45410_and_2026_29054_connection_cannot_name_forwarded_fields() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for connection in [
        "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Real-Ip",
        "x-forwarded-for, x-forwarded-host, x-forwarded-proto, x-real-ip",
        "keep-alive, X-FORWARDED-FOR, x-real-ip,x-forwarded-host ,x-forwarded-proto",
    ] {
        let seen = seen_with(&server, &gateway, &format!("Connection: {connection}\r\n"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{connection}");
        assert_eq!(seen.header("x-forwarded-host"), Some("it.example"), "{connection}");
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "{connection}");
        assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"), "{connection}");
    }
}

#[test]
fn cve_2024_52003_and_2026_35051_and_54764_strangers_say_no_forwarded_fields() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let seen = seen_with(
        &server,
        &gateway,
        "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Prefix: //evil.example\r\nX-Forwarded-Port: 1\r\n\
         X-Forwarded-Host: evil.example\r\nX-Real-Ip: 192.0.2.9\r\nX-Forwarded-Uri: /x\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Method: PUT\r\n",
    );
    for (name, value) in &seen.headers {
        assert!(!value.contains("evil") && !value.contains("192.0.2.9"), "{name}: {value}");
    }
    assert_eq!(seen.header("x-forwarded-prefix"), None);
    assert_eq!(seen.header("x-forwarded-uri"), None);
    assert_eq!(seen.header("x-forwarded-method"), None);
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-port"), Some("80"));
}

#[test]
fn cve_2026_39858_twins_with_underscores_are_removed() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let seen = seen_with(
        &server,
        &gateway,
        "X_Forwarded_Proto: https\r\nX-Forwarded_For: 192.0.2.9\r\nX_Real_Ip: 192.0.2.9\r\n\
         x.forwarded.host: evil.example\r\nX_Other: kept\r\n",
    );
    for (name, value) in &seen.headers {
        assert!(!value.contains("evil") && !value.contains("192.0.2.9"), "{name}: {value}");
        assert!(!name.eq_ignore_ascii_case("x_forwarded_proto"));
    }
    assert_eq!(seen.header("x_other"), Some("kept"));
}

#[test]
fn cve_2026_33433_and_54763_identity_fields_have_no_twins() {
    let server = Server::saying("open");
    // The password is `test`.
    let gateway = Gateway::new(&format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"auth\"] }}\n\
         [http.middlewares.auth.basicAuth]\nusers = [\"test:{{SHA}}qUqP5cyxm6YcTAhz05Hph5gvu9M=\"]\n\
         headerField = \"X-WebAuth-User\"\n{}",
        service("it", &[server.address])
    ));
    let seen = seen_with(
        &server,
        &gateway,
        "Authorization: Basic dGVzdDp0ZXN0\r\nX-WebAuth-User: root\r\nx-webauth-user: root\r\n\
         X_WebAuth_User: root\r\nX-WebAuth_User: root\r\n",
    );
    assert_eq!(seen.header("x-webauth-user"), Some("test"));
    assert!(seen.headers.iter().all(|(_, value)| value != "root"), "{:?}", seen.headers);
}

#[test]
fn cve_2026_54762_what_is_missing_closes() {
    let server = Server::saying("secret");
    let gateway = Gateway::new(&format!(
        "[http.routers]\n\
         a = {{ rule = \"Path(`/no-users`)\", service = \"it\", middlewares = [\"empty\"] }}\n\
         b = {{ rule = \"Path(`/no-file`)\", service = \"it\", middlewares = [\"file\"] }}\n\
         c = {{ rule = \"Path(`/unknown`)\", service = \"it\", middlewares = [\"nowhere\"] }}\n\
         d = {{ rule = \"Path(`/other-provider`)\", service = \"it\", middlewares = [\"x@docker\"] }}\n\
         e = {{ rule = \"Path(`/no-ranges`)\", service = \"it\", middlewares = [\"ranges\"] }}\n\
         f = {{ rule = \"Path(`/loop`)\", service = \"it\", middlewares = [\"loop\"] }}\n\
         [http.middlewares.empty.basicAuth]\nusers = []\n\
         [http.middlewares.file.basicAuth]\nusersFile = \"/nowhere/users\"\n\
         [http.middlewares.ranges.ipAllowList]\nsourceRange = [\"nonsense\"]\n\
         [http.middlewares.loop.chain]\nmiddlewares = [\"loop\"]\n{}",
        service("it", &[server.address])
    ));
    for target in ["/no-users", "/no-file", "/unknown", "/other-provider", "/no-ranges", "/loop"] {
        assert_eq!(gateway.get(target).status, 404, "{target}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn cve_2026_71324_connect_makes_no_tunnel_and_poisons_nobody() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    gateway.get("/warm");
    let mut client = gateway.client();
    client.send(
        "CONNECT it.example:80 HTTP/1.1\r\nHost: it.example:80\r\n\r\n\
         GET /poison HTTP/1.1\r\nHost: it.example\r\nConnection: close\r\n\r\n",
    );
    let response = client.response();
    assert!(matches!(response.status, 400 | 404 | 405 | 501), "{}", response.status);
    client.rest();
    assert_eq!(gateway.get("/after").text(), "open");
    assert!(server.seen().iter().all(|seen| seen.method == "GET"));
    assert_eq!(server.last().target, "/after");
}

#[test]
fn cve_2026_71324_a_connection_with_surplus_bytes_is_not_used_again() {
    // The second response answers nobody; the next client must not get it.
    let server = Server::sending(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopenHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    );
    let gateway = Gateway::new(&all_to(&[server.address]));
    for _ in 0..5 {
        assert_eq!(gateway.get("/").text(), "open");
    }
    assert_eq!((server.count(), server.connections()), (5, 5));
}

#[test]
fn cve_2026_73548_bytes_before_the_101_are_not_the_tunnel() {
    // A server that refuses the upgrade: what the client sent early is no request to it.
    let server = Server::sending(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = gateway.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
         DELETE /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(client.response().status, 403);
    client.rest();
    // Through the gateway's own rules it may come, as the second request of its connection, but on its own.
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    assert!(connections == [0] || connections == [0, 1], "{connections:?}");
}

#[test]
fn ghsa_7jmw_8259_q9jx_mapped_addresses_are_ipv4() {
    let server = Server::saying("in");
    let routes = |range: &str| {
        format!(
            "[http.routers]\n\
             all = {{ rule = \"PathPrefix(`/`)\", entryPoints = [\"both\"], service = \"it\", middlewares = [\"only\"] }}\n\
             client = {{ rule = \"Path(`/client`) && ClientIP(`{range}`)\", entryPoints = [\"both\"], service = \"it\" }}\n\
             [http.middlewares.only.ipAllowList]\nsourceRange = [\"{range}\"]\n{}",
            service("it", &[server.address])
        )
    };
    let both = free_port();
    // All addresses, IPv6 and IPv4 on one socket: clients of IPv4 come as `::ffff:127.0.0.1`.
    let install = format!("[entryPoints.both]\naddress = \":{both}\"\n");
    let mut gateway = Gateway::with(&install, &routes("127.0.0.0/8"));
    let ask = |target: &str| {
        let address = SocketAddr::from(([127, 0, 0, 1], both));
        let mut client = crate::harness::client::Client::connect(address);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.response().status
    };
    assert_eq!((ask("/"), ask("/client")), (200, 200));
    assert_eq!(server.last().header("x-real-ip"), Some("127.0.0.1"));
    gateway.reload(&routes("192.0.2.0/24"));
    assert_eq!((ask("/"), ask("/client")), (403, 403));
}

#[test]
fn cve_2026_73550_repeated_hosts_are_refused_without_keeping_them() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let hosts = "Host: it.example\r\n".repeat(200);
    let response = gateway.exchange(format!("GET / HTTP/1.1\r\n{hosts}\r\n"));
    assert_eq!(response.status, 400);
    assert_eq!(server.count(), 0);
}

#[test]
fn hop_by_hop_fields_end_here() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let seen = seen_with(
        &server,
        &gateway,
        "Connection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
         Proxy-Authorization: Basic eA==\r\nTE: gzip\r\nX-Other: 2\r\n",
    );
    for name in ["x-mine", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-other"), Some("2"));
}
