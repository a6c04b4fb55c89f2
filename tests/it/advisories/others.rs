//! Advisories of other gateways: what each was must not be possible here.

use std::io::Read as _;

use super::{Guarded, seen_with};
use crate::harness::frames::{self, END_HEADERS, HEADERS, frame};
use crate::harness::server::Server;
use crate::harness::{Gateway, all_to, service, until};

const METRICS: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";

fn assert_no_panic(gateway: &Gateway) {
    assert_eq!(gateway.metric("portcullis_panics_total "), Some(0.0), "{}", gateway.log());
}

#[test]
fn cve_2026_73551_and_73511_parameters_of_segments_are_part_of_the_path() {
    // Servers that know path parameters read `/open/..;/admin` as `/admin`. What they get is what the rules saw.
    let guarded = Guarded::new("[http.middlewares.change.stripPrefix]\nprefixes = [\"/api\"]\n");
    for target in ["/open/..;/admin", "/open/..;a=b/admin", "/open;x/admin", "/open/.;/admin"] {
        let response = guarded.gateway.get(target);
        if response.status != 400 {
            assert_eq!((response.text(), &*guarded.open.last().target), ("open", target));
        }
    }
    // And what the guarded router owns stays guarded with them.
    for target in ["/admin;x=1", "/admin;/x", "/admin/;x", "/admin%3bx", "/open/../admin;x"] {
        assert!(matches!(guarded.gateway.get(target).status, 400 | 403), "{target}");
    }
    assert_eq!(guarded.admin.count(), 0);
    // A prefix that is stripped leaves no dot segment, with parameters or without.
    for target in ["/api/..;/admin", "/api..;/admin", "/api;/../admin"] {
        guarded.gateway.get(target);
        let path = guarded.open.last().target;
        assert!(!path.contains("/../") && !path.ends_with("/.."), "{target} as {path}");
    }
    assert_eq!(guarded.admin.count(), 0);
}

#[test]
fn cve_2026_73552_bytes_that_are_no_text_do_not_slip_past_regexes() {
    let (secret, open) = (Server::saying("secret"), Server::saying("open"));
    let gateway = Gateway::with(
        METRICS,
        &format!(
            "[http.routers]\n\
             secret = {{ rule = \"PathRegexp(`^/secret(/.*)?$`)\", service = \"secret\", priority = 100, middlewares = [\"nobody\"] }}\n\
             header = {{ rule = \"HeaderRegexp(`X-Secret`, `^.+$`)\", service = \"secret\", priority = 90, middlewares = [\"nobody\"] }}\n\
             open = {{ rule = \"PathPrefix(`/`)\", service = \"open\", priority = 1 }}\n\
             [http.middlewares.nobody.ipAllowList]\nsourceRange = [\"192.0.2.1/32\"]\n{}{}",
            service("secret", &[secret.address]),
            service("open", &[open.address]),
        ),
    );
    for target in [
        "/secret",
        "/secret/%ff",
        "/secret/%c3%28/x",
        "/secret/%e2%82",
        "/secret/%00",
        "/%73ecret/%ff",
    ] {
        assert!(matches!(gateway.get(target).status, 400 | 403), "{target}");
    }
    for head in [
        &b"GET /secret/\xff HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET /secret/\xc3\x28 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Secret: \xff\xfe\r\n\r\n",
    ] {
        let status = gateway.exchange(head).status;
        assert!(matches!(status, 400 | 403), "{} {status}", head.escape_ascii());
    }
    assert_eq!((secret.count(), open.count()), (0, 0));
    assert_no_panic(&gateway);
}

#[test]
fn cve_2026_73547_connect_in_h2_without_a_path_makes_no_tunnel() {
    let server = Server::saying("open");
    let gateway = Gateway::with(METRICS, &all_to(&[server.address]));
    let method = b"\x02\x07CONNECT";
    let authority = b"\x41\x0ait.example";
    let protocol = b"\x00\x09:protocol\x09websocket";
    for block in [
        [&method[..], authority].concat(),
        [&method[..], b"\x84", authority].concat(),
        [&method[..], b"\x86\x84", authority, protocol].concat(),
        [&method[..], protocol].concat(),
        method.to_vec(),
    ] {
        let mut client = frames::begin(gateway.web);
        client.send(frame(HEADERS, END_HEADERS, 1, &block));
        client.send(frame(frames::DATA, 0, 1, b"GET /tunnel HTTP/1.1\r\nHost: a\r\n\r\n"));
        until("the stream is over", || {
            let (kind, _, stream, payload) = frames::read(&mut client);
            assert!(
                kind != HEADERS || payload.first() != Some(&0x88),
                "CONNECT is answered with 200"
            );
            kind == frames::GOAWAY || stream == 1 && matches!(kind, HEADERS | frames::RST_STREAM)
        });
    }
    assert_eq!(gateway.get("/after").text(), "open");
    assert_eq!(server.count(), 1, "{:?}", server.seen());
    assert_no_panic(&gateway);
}

#[test]
fn ghsa_4hjq_9h5c_252j_frames_of_wrong_lengths_end_their_connection_alone() {
    let server = Server::saying("open");
    let gateway = Gateway::with(METRICS, &all_to(&[server.address]));
    let base = gateway.descriptors();
    for kind in 0..=12 {
        for length in [0, 1, 3, 4, 5, 6, 7, 8, 9, 40] {
            // 0xff flags: padded, with priority, end of everything.
            for (flags, stream) in [(0, 0), (0, 1), (0xff, 1), (0xff, 0), (8, 3)] {
                let mut client = frames::begin(gateway.web);
                client.send(frame(HEADERS, END_HEADERS, 1, frames::POST));
                let _ = client.try_send(frame(kind, flags, stream, &vec![0xff; length]));
            }
        }
    }
    assert_eq!(gateway.get("/after").text(), "open");
    until("descriptors return", || gateway.descriptors() <= base + 2);
    assert_no_panic(&gateway);
}

#[test]
fn cve_2026_27588_hosts_are_equal_in_any_case_however_many_there_are() {
    let (admin, open) = (Server::saying("admin"), Server::saying("open"));
    for count in [1, 5, 200] {
        let hosts: Vec<String> =
            (0..count).map(|index| format!("Host(`Admin{index}.Example`)")).collect();
        let gateway = Gateway::new(&format!(
            "[http.routers]\n\
             admin = {{ rule = \"{}\", service = \"admin\", middlewares = [\"nobody\"] }}\n\
             open = {{ rule = \"PathPrefix(`/`)\", service = \"open\", priority = 1 }}\n\
             [http.middlewares.nobody.ipAllowList]\nsourceRange = [\"192.0.2.1/32\"]\n{}{}",
            hosts.join(" || "),
            service("admin", &[admin.address]),
            service("open", &[open.address]),
        ));
        let last = count - 1;
        for host in [
            format!("admin{last}.example"),
            format!("ADMIN{last}.EXAMPLE"),
            format!("Admin{last}.eXample:80"),
            format!("admin{last}.example."),
            "aDmin0.example".to_owned(),
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(gateway.exchange(request).status, 403, "{host} of {count}");
            let absolute = format!("GET http://{host}/ HTTP/1.1\r\nHost: other.example\r\n\r\n");
            assert_eq!(gateway.exchange(absolute).status, 403, "{host} of {count}");
        }
    }
    assert_eq!((admin.count(), open.count()), (0, 0));
}

#[test]
fn cve_2026_26310_and_45810_forwarded_addresses_of_any_form_open_nothing() {
    let server = Server::saying("in");
    let install = format!("{METRICS}[entryPoints.web.forwardedHeaders]\ninsecure = true\n");
    let gateway = Gateway::with(
        &install,
        &format!(
            "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\", middlewares = [\"only\"] }}\n\
             [http.middlewares.only.ipAllowList]\nsourceRange = [\"192.0.2.0/24\"]\nipStrategy = {{ depth = 1 }}\n{}",
            service("it", &[server.address])
        ),
    );
    let ask = |value: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {value}\r\n\r\n");
        gateway.exchange(request).status
    };
    assert_eq!(
        (ask("192.0.2.1"), ask("::ffff:192.0.2.1"), ask("192.0.2.1, 127.0.0.1")),
        (200, 200, 403)
    );
    let many = ",".repeat(10_000);
    for value in [
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "[fe80::1%lo]:80",
        "192.0.2.1%eth0",
        "192.0.2",
        "0300.0.2.1",
        "192.0.2.01",
        "3221225985",
        "0xc0000201",
        "unknown",
        "_hidden",
        "",
        ",",
        "192.0.2.1;",
        "192.0.2.1/24",
        &many,
    ] {
        assert_eq!(ask(value), 403, "{value}");
    }
    assert_no_panic(&gateway);
}

#[test]
fn cve_2024_45808_nothing_that_a_client_says_begins_a_line_of_a_log() {
    for format in ["common", "json"] {
        let server = Server::saying("open");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let install = format!(
            "[accessLog]\nfilePath = {path:?}\nformat = \"{format}\"\n[accessLog.fields.headers]\ndefaultMode = \"keep\"\n[log]\nlevel = \"DEBUG\"\n"
        );
        let gateway = Gateway::with(&install, &all_to(&[server.address]));
        let requests: [&[u8]; 5] = [
            b"GET /%0a%0d%1b[31mfake%20line HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /x?a=%0d%0afake HTTP/1.1\r\nHost: a\r\nUser-Agent: a\"b\\n\\r\tc\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nReferer: \xc2\x85fake\xe2\x80\xa8fake\x80\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YQpmYWtlOmI=\r\n\r\n",
            b"FAKE\" / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        for request in requests {
            gateway.exchange(request);
        }
        gateway.exchange("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut text = Vec::new();
        until("the log is written", || {
            text.clear();
            let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut text));
            read.is_ok() && text.windows(5).any(|five| five == b"/last")
        });
        let odd = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
        assert!(!text.iter().any(odd), "{}", text.escape_ascii());
        let text = String::from_utf8(text).expect("a log is text");
        let mut count = 0;
        for line in text.lines() {
            let own = if format == "json" {
                line.starts_with('{') && line.ends_with('}')
            } else {
                let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
                line.starts_with("127.0.0.1 - ") && line.ends_with("ms") && !line.contains(odd)
            };
            assert!(own, "{line}");
            count += usize::from(line.contains("all@file"));
        }
        assert_eq!(count, server.count(), "{text}");
        assert!(!gateway.log().lines().any(|line| line.starts_with("fake")));
    }
}

#[test]
fn cve_2024_45806_private_addresses_are_no_reason_to_believe_forwarded_fields() {
    let server = Server::saying("open");
    let gateway = Gateway::new(&all_to(&[server.address]));
    // The test itself comes from 127.0.0.1.
    let seen = seen_with(
        &server,
        &gateway,
        "X-Forwarded-For: 10.0.0.1, 127.0.0.1\r\nForwarded: for=10.0.0.1;proto=https\r\nX-Real-Ip: 10.0.0.1\r\n",
    );
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
}
