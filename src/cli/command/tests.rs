use super::*;

fn parse(line: &str) -> Result<Command, String> {
    let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
    Command::parse(&words)
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|&it| it.to_owned()).collect()
}

#[test]
fn without_a_sub_command_the_gateway_runs() {
    assert_eq!(parse(""), Ok(Command::Run { flags: Vec::new() }));
    let flags = words(&["--api.insecure", "--configFile", "a.yml"]);
    assert_eq!(parse("--api.insecure --configFile a.yml"), Ok(Command::Run { flags }));
}

#[test]
fn the_name_of_the_program_may_come_first() {
    let flags = words(&["--ping"]);
    assert_eq!(parse("traefik --ping"), Ok(Command::Run { flags: flags.clone() }));
    assert_eq!(parse("portcullis --ping"), Ok(Command::Run { flags }));
    assert_eq!(parse("traefik version"), Ok(Command::Version));
    assert_eq!(parse("traefik"), Ok(Command::Run { flags: Vec::new() }));
}

#[test]
fn check_tells_files_from_flags() {
    let expected = Command::Check {
        flags: words(&["--log.level", "debug", "--ping"]),
        files: vec!["a.yml".into(), "b.toml".into()],
    };
    assert_eq!(parse("check a.yml --log.level debug --ping b.toml"), Ok(expected));
    let expected =
        Command::Check { flags: words(&["--configFile", "a.yml"]), files: vec!["a.yml".into()] };
    assert_eq!(parse("check --configFile a.yml a.yml"), Ok(expected));
}

#[test]
fn explain_takes_a_request() {
    let line = words(&[
        "explain",
        "get",
        "http://a.test/x",
        "-H",
        "Accept: text/html",
        "--entrypoint",
        "web",
    ]);
    let Ok(Command::Explain(explain)) = Command::parse(&line) else { panic!("{line:?}") };
    assert_eq!((explain.method.as_str(), explain.url.as_str()), ("GET", "http://a.test/x"));
    assert_eq!(explain.headers, [("Accept".to_owned(), "text/html".to_owned())]);
    assert_eq!(explain.entry_point.as_deref(), Some("web"));
    assert_eq!(explain.origin, Origin::Flags(Vec::new()));
    let Ok(Command::Explain(explain)) = parse("explain GET / --api http://[::1]:8080") else {
        panic!()
    };
    assert_eq!(explain.origin, Origin::Api("http://[::1]:8080".to_owned()));
    let Ok(Command::Explain(explain)) = parse("explain GET / --configFile=p.yml") else { panic!() };
    assert_eq!(explain.origin, Origin::Flags(words(&["--configFile=p.yml"])));
}

#[test]
fn explain_takes_the_address_of_the_client() {
    let of = |line: &str| match parse(line) {
        Ok(Command::Explain(explain)) => explain.client_ip.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of("explain GET /"), "127.0.0.1");
    assert_eq!(of("explain GET / --client-ip 192.0.2.7"), "192.0.2.7");
    assert_eq!(of("explain GET / --client-ip=2001:db8::7"), "2001:db8::7");
    // As the gateway sees clients of IPv4 on a socket for both.
    assert_eq!(of("explain GET / --client-ip ::ffff:192.0.2.7"), "192.0.2.7");
    let message = parse("explain GET / --client-ip 192.0.2").unwrap_err();
    assert!(message.contains("192.0.2") && message.contains("--client-ip"), "{message}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "explain GET",
        "explain GET / --client-ip",
        "explain GET / --client-ip 10.0.0.0/8",
        "explain GET / -H nocolon",
        "demo --port x",
        "chek",
        "demo extra",
        "mesh",
        "mesh state",
        "upgrade --timeout 0",
        "upgrade a b",
        "help nothing",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
    assert!(parse("chek a.yml").unwrap_err().contains("did you mean `check`?"));
    assert!(parse("explain GET / --api http://a --configFile b").unwrap_err().contains("--api"));
}

#[test]
fn every_command_has_its_help() {
    for line in [
        "--help",
        "-h",
        "help",
        "help flags",
        "check --help",
        "help explain",
        "demo -h",
        "ca --help",
        "token create --help",
        "healthcheck --help",
        "upgrade --help",
        "mesh --help",
        "--ping --help",
        "help version",
    ] {
        assert!(
            matches!(parse(line), Ok(Command::Help(text)) if text.contains("portcullis")),
            "{line}"
        );
    }
}

#[test]
fn the_demonstration_has_ports_of_its_own() {
    assert_eq!(parse("demo"), Ok(Command::Demo(Demo { port: 8000, api_port: 8080 })));
    assert_eq!(
        parse("demo --port 1 --api-port 2"),
        Ok(Command::Demo(Demo { port: 1, api_port: 2 }))
    );
}

#[test]
fn the_mesh_is_asked_by_its_api() {
    let api = |url: &str| Ok(Command::MeshStatus { api: url.to_owned() });
    assert_eq!(parse("mesh status"), api("http://localhost:8080"));
    assert_eq!(parse("mesh status --api http://a:1"), api("http://a:1"));
}

#[test]
fn an_upgrade_may_name_program_socket_and_patience() {
    let expected = Upgrade { binary: None, control: None, seconds: 60 };
    assert_eq!(parse("upgrade"), Ok(Command::Upgrade(expected)));
    let expected =
        Upgrade { binary: Some("/opt/new".into()), control: Some("/tmp/c".into()), seconds: 5 };
    let line = "upgrade --control=/tmp/c --timeout 5 /opt/new";
    assert_eq!(parse(line), Ok(Command::Upgrade(expected)));
}
