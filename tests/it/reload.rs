//! Changes of configuration while the gateway serves.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use crate::harness::load::Load;
use crate::harness::server::{Gate, Server};
use crate::harness::{Gateway, all_to, service, until};

#[test]
fn a_renamed_file_is_served() {
    let (one, two) = (Server::saying("one"), Server::saying("two"));
    let mut gateway = Gateway::new(&all_to(&[one.address]));
    assert_eq!(gateway.get("/").text(), "one");
    gateway.reload(&all_to(&[two.address]));
    assert_eq!(gateway.get("/").text(), "two");
}

#[test]
fn a_config_map_is_followed_when_its_link_moves() {
    let (one, two) = (Server::saying("one"), Server::saying("two"));
    let mut gateway = Gateway::new("");
    let folder = gateway.routes_folder();
    fs::remove_file(folder.join("main.toml")).unwrap();
    // The kubelet's way: the file is a link through `..data`, which is swapped by rename.
    for (version, server) in [("..1", &one), ("..2", &two)] {
        let text = gateway.next_generation(&all_to(&[server.address]));
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("main.toml"), text).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if version == "..1" {
            symlink("..data/main.toml", folder.join("main.toml")).unwrap();
        } else {
            fs::remove_dir_all(folder.join("..1")).unwrap();
        }
        gateway.until_applied();
    }
    assert_eq!(gateway.get("/").text(), "two");
}

#[test]
fn a_broken_file_leaves_the_last_good_configuration() {
    let server = Server::saying("good");
    let mut gateway = Gateway::new(&all_to(&[server.address]));
    let file = gateway.routes_folder().join("main.toml");
    let whole = fs::read_to_string(&file).unwrap();
    let load = Load::start(gateway.web, 2);
    for broken in ["[http.routers", &whole[..whole.len() / 2], "\0\u{1}", "= = ="] {
        fs::write(&file, broken).unwrap();
        load.until_more(30);
    }
    assert_eq!(load.failures(), [] as [String; 0]);
    // And it is left as soon as the file is whole again.
    let other = Server::saying("better");
    gateway.reload(&all_to(&[other.address]));
    assert_eq!(gateway.get("/").text(), "better");
}

#[test]
fn a_half_written_file_never_serves_half() {
    let server = Server::saying("all");
    let mut gateway = Gateway::new(&all_to(&[server.address]));
    let load = Load::start(gateway.web, 2);
    let text = gateway.next_generation(&all_to(&[server.address]));
    let file = gateway.routes_folder().join("main.toml");
    // Within a string, so that no piece is a whole document that says something else.
    let cuts: Vec<usize> = (1..text.len())
        .filter(|end| text[..*end].matches('"').count() % 2 == 1)
        .step_by(9)
        .collect();
    let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
    file.set_len(cuts[0] as u64).unwrap();
    for pair in cuts.windows(2) {
        file.write_all(&text.as_bytes()[pair[0]..pair[1]]).unwrap();
        load.until_more(1);
    }
    file.write_all(&text.as_bytes()[cuts[cuts.len() - 1]..]).unwrap();
    gateway.until_applied();
    assert_eq!(load.failures(), [] as [String; 0]);
}

#[test]
fn one_broken_object_breaks_nothing_else() {
    let (open, closed) = (Server::saying("open"), Server::saying("closed"));
    let routes = format!(
        "[http.routers]\n\
         low = {{ rule = \"PathPrefix(`/`)\", service = \"open\", priority = 1 }}\n\
         guarded = {{ rule = \"PathPrefix(`/guarded`)\", service = \"closed\", middlewares = [\"broken\"] }}\n\
         unknown = {{ rule = \"PathPrefix(`/unknown`)\", service = \"closed\", middlewares = [\"nowhere\"] }}\n\
         no-users = {{ rule = \"PathPrefix(`/no-users`)\", service = \"closed\", middlewares = [\"empty\"] }}\n\
         no-service = {{ rule = \"PathPrefix(`/no-service`)\", service = \"nowhere\" }}\n\
         bad-rule = {{ rule = \"PathPrefix(`/bad-rule`\", service = \"closed\" }}\n\
         [http.middlewares.broken.stripPrefixRegex]\nregex = [\"(\"]\n\
         [http.middlewares.empty.basicAuth]\nusers = []\n{}{}",
        service("open", &[open.address]),
        service("closed", &[closed.address]),
    );
    let gateway = Gateway::new(&routes);
    assert_eq!(gateway.get("/").text(), "open");
    // Fail closed: the request of a router that is broken does not fall through to a lower one.
    for target in ["/guarded", "/unknown", "/no-users", "/no-service"] {
        assert_eq!(gateway.get(target).status, 404, "{target}");
    }
    assert_eq!(closed.count(), 0);
    assert_eq!(open.count(), 1);
}

#[test]
fn fifty_reloads_under_load_fail_no_request() {
    let (one, two) = (Server::saying("one"), Server::saying("two"));
    let mut gateway = Gateway::on_workers(3, "", &all_to(&[one.address]));
    let load = Load::start(gateway.web, 4);
    for round in 0..50 {
        let server = if round % 2 == 0 { &two } else { &one };
        let extra = format!(
            "[http.routers.extra-{round}]\nrule = \"Host(`{round}.example`)\"\nservice = \"it\"\n"
        );
        gateway.reload(&format!("{}{extra}", all_to(&[server.address])));
        load.until_more(5);
    }
    assert_eq!(load.failures(), [] as [String; 0]);
    assert!(one.count() > 0 && two.count() > 0);
}

#[test]
fn connections_to_servers_outlive_a_reload() {
    let server = Server::saying("same");
    let mut gateway = Gateway::new(&all_to(&[server.address]));
    gateway.get("/");
    for round in 0..3 {
        let extra =
            format!("[http.routers.extra]\nrule = \"Host(`{round}.example`)\"\nservice = \"it\"\n");
        gateway.reload(&format!("{}{extra}", all_to(&[server.address])));
        gateway.get("/");
    }
    assert_eq!((server.count(), server.connections()), (4, 1));
}

#[test]
fn a_rate_limit_goes_on_through_a_reload() {
    let server = Server::saying("limited");
    let limited = |extra: &str| {
        format!(
            "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"limit\"] }}\n\
             {extra}[http.middlewares.limit.rateLimit]\naverage = 1\nperiod = \"1h\"\nburst = 2\n{}",
            service("it", &[server.address])
        )
    };
    let mut gateway = Gateway::new(&limited(""));
    assert_eq!([gateway.get("/").status, gateway.get("/").status], [200, 200]);
    assert_eq!(gateway.get("/").status, 429);
    gateway.reload(&limited("other = { rule = \"Host(`other.example`)\", service = \"it\" }\n"));
    assert_eq!(gateway.get("/").status, 429);
}

#[test]
fn a_response_under_way_ends_with_the_configuration_it_began_with() {
    let gate = Gate::default();
    let inner = gate.clone();
    let slow = Server::new(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")?;
        inner.wait();
        stream.write_all(b"b")
    });
    let other = Server::saying("other");
    let mut gateway = Gateway::new(&all_to(&[slow.address]));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
    until("the server answers", || slow.count() == 1);
    gateway.reload(&all_to(&[other.address]));
    gate.open();
    let response = client.response();
    assert_eq!(response.text(), "ab");
    assert_eq!(gateway.get("/").text(), "other");
}

#[test]
fn a_sticky_session_goes_on_through_a_reload() {
    let (one, two) = (Server::saying("one"), Server::saying("two"));
    let routes = |extra: &str| {
        let all = all_to(&[one.address, two.address]);
        format!("{all}[http.services.it.loadBalancer.sticky.cookie]\nname = \"seat\"\n{extra}")
    };
    let mut gateway = Gateway::new(&routes(""));
    let first = gateway.get("/");
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    gateway.reload(&routes("[http.routers.extra]\nrule = \"Host(`extra`)\"\nservice = \"it\"\n"));
    for _ in 0..6 {
        let again =
            gateway.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
        assert_eq!(again.text(), first.text());
    }
}
