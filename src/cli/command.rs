//! `Command`: what the words of the command line ask for.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, value_parser};

use super::{Authority, flags, help};
use crate::install::schema::Shape;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the gateway.
    Run {
        /// Flags of the install configuration.
        flags: Vec<String>,
    },
    /// Validate configuration without starting.
    Check {
        /// Flags of the install configuration.
        flags: Vec<String>,
        /// Files and folders with routing configuration; none = those of the file provider.
        files: Vec<PathBuf>,
    },
    /// Say which router would take a request, and why.
    Explain(Explain),
    /// Run a sample configuration with back ends of its own.
    Demo(Demo),
    /// Ask a running gateway whether it is well.
    Healthcheck {
        /// Flags of the install configuration.
        flags: Vec<String>,
    },
    /// Say what a running gateway is in the mesh, whom it knows and what goes on.
    MeshStatus {
        /// The URL of its API.
        api: String,
    },
    /// Replace a running gateway by a new one without a lost connection.
    Upgrade(Upgrade),
    /// Do something with the mesh's authority.
    Authority(Authority),
    /// Print the version.
    Version,
    /// Print this text.
    Help(String),
}

/// The request to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// Its method.
    pub method: String,
    /// Its URL, `https://example.com/path?x=1`.
    pub url: String,
    /// Its headers: name and value.
    pub headers: Vec<(String, String)>,
    /// Who sends it.
    pub client_ip: IpAddr,
    /// Where it arrives; absent = wherever the URL's port leads.
    pub entry_point: Option<String>,
    /// Who knows the configuration.
    pub origin: Origin,
}

/// Who knows the configuration that explains a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A running gateway, by the URL of its API.
    Api(String),
    /// The install configuration that these flags give, usually `--configFile`.
    Flags(Vec<String>),
}

/// How the demonstration runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demo {
    /// The port of its entry point.
    pub port: u16,
    /// The port of its API.
    pub api_port: u16,
}

/// The gateway to replace, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The program to start; absent = the path by which the running one was started.
    pub binary: Option<PathBuf>,
    /// The control socket; absent = where the environment says, or the default.
    pub control: Option<PathBuf>,
    /// Seconds that the new gateway gets until it is ready.
    pub seconds: u16,
}

impl Command {
    /// Reads the words after the program's name. The message of an error is for people.
    ///
    /// A first word `portcullis` or `traefik` is skipped: images of Traefik are started as `traefik --flags`.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let words = match words.split_first() {
            Some((first, rest)) if ["portcullis", "traefik"].contains(&first.as_str()) => rest,
            _ => words,
        };
        let Some((first, rest)) = words.split_first() else {
            return Ok(Self::Run { flags: Vec::new() });
        };
        let asks_help = rest.iter().any(|word| is_help(word));
        match first.as_str() {
            "help" => help::topic(rest.first().map(String::as_str)).map(Self::Help),
            word if is_help(word) => help::topic(None).map(Self::Help),
            "version" | "--version" | "-V" => Ok(Self::Version),
            "ca" | "check" | "demo" | "explain" | "healthcheck" | "mesh" | "token" | "upgrade"
                if asks_help =>
            {
                help::topic(Some(first)).map(Self::Help)
            }
            "ca" => Authority::ca(rest).map(Self::Authority),
            "token" => Authority::token(rest).map(Self::Authority),
            "check" => Ok(check(rest)),
            "healthcheck" => Ok(Self::Healthcheck { flags: rest.to_vec() }),
            "explain" => explain(rest).map(Self::Explain),
            "demo" => demo(rest).map(Self::Demo),
            "mesh" => mesh(rest),
            "upgrade" => upgrade(rest).map(Self::Upgrade),
            word if word.starts_with('-') && asks_help => help::topic(None).map(Self::Help),
            word if word.starts_with('-') => Ok(Self::Run { flags: words.to_vec() }),
            word => Err(help::unknown_command(word)),
        }
    }
}

fn is_help(word: &str) -> bool {
    ["--help", "-help", "-h"].contains(&word)
}

/// Flags may stand before, between and behind the files.
fn check(words: &[String]) -> Command {
    let read = flags::read(words, &LazyLock::new(Shape::of_install));
    // Words that belong to no flag are the files; all others go on as they are. A file whose name is also the value
    // of a flag stands behind it, hence the search from the end.
    let mut flags = words.to_vec();
    for file in read.words.iter().rev() {
        if let Some(index) = flags.iter().rposition(|word| word == file) {
            flags.remove(index);
        }
    }
    flags.retain(|word| word != "--");
    Command::Check { flags, files: read.words.iter().map(PathBuf::from).collect() }
}

fn explain(words: &[String]) -> Result<Explain, String> {
    let text = || NonEmptyStringValueParser::new();
    let command = clap::Command::new("portcullis explain")
        .disable_help_flag(true)
        .arg(Arg::new("method").required(true).value_parser(text()))
        .arg(Arg::new("url").required(true).value_parser(text()))
        .arg(Arg::new("header").short('H').long("header").action(ArgAction::Append))
        .arg(
            Arg::new("client ip")
                .long("client-ip")
                .alias("clientIP")
                .value_parser(value_parser!(IpAddr))
                .default_value("127.0.0.1"),
        )
        .arg(Arg::new("entry point").long("entrypoint").alias("entryPoint").value_parser(text()))
        .arg(Arg::new("api").long("api").value_parser(text()))
        .arg(
            Arg::new("file")
                .long("configFile")
                .alias("configfile")
                .value_parser(text())
                .conflicts_with("api"),
        );
    let matches = parse(command, words)?;
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let headers = matches.get_many::<String>("header").unwrap_or_default();
    let headers = headers.map(|text| header(text)).collect::<Result<_, _>>()?;
    let client_ip = matches.get_one::<IpAddr>("client ip").copied();
    let file = one("file").map(|path| format!("--configFile={path}"));
    Ok(Explain {
        method: one("method").unwrap_or_default().to_ascii_uppercase(),
        url: one("url").unwrap_or_default(),
        headers,
        client_ip: client_ip.unwrap_or(Ipv4Addr::LOCALHOST.into()).to_canonical(),
        entry_point: one("entry point"),
        origin: one("api").map_or_else(|| Origin::Flags(file.into_iter().collect()), Origin::Api),
    })
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`-H {text}`: expected a header such as 'Accept: text/html'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn demo(words: &[String]) -> Result<Demo, String> {
    let port = |name: &'static str, default: &'static str| {
        Arg::new(name).long(name).value_parser(value_parser!(u16)).default_value(default)
    };
    let command = clap::Command::new("portcullis demo")
        .disable_help_flag(true)
        .arg(port("port", "8000"))
        .arg(port("api-port", "8080"));
    let matches = parse(command, words)?;
    let one = |name: &str| matches.get_one::<u16>(name).copied().unwrap_or_default();
    Ok(Demo { port: one("port"), api_port: one("api-port") })
}

fn mesh(words: &[String]) -> Result<Command, String> {
    let status = clap::Command::new("status").arg(
        Arg::new("api")
            .long("api")
            .value_parser(NonEmptyStringValueParser::new())
            .default_value("http://localhost:8080"),
    );
    let command = clap::Command::new("portcullis mesh")
        .disable_help_flag(true)
        .subcommand_required(true)
        .subcommand(status);
    let matches = parse(command, words)?;
    let below = matches.subcommand().map(|(_, matches)| matches);
    let api = below.and_then(|it| it.get_one::<String>("api")).cloned().unwrap_or_default();
    Ok(Command::MeshStatus { api })
}

fn upgrade(words: &[String]) -> Result<Upgrade, String> {
    let path = || value_parser!(PathBuf);
    let command = clap::Command::new("portcullis upgrade")
        .disable_help_flag(true)
        .arg(Arg::new("binary").value_parser(path()))
        .arg(Arg::new("control").long("control").value_parser(path()))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_parser(value_parser!(u16).range(1..))
                .default_value("60"),
        );
    let matches = parse(command, words)?;
    let one = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let seconds = matches.get_one::<u16>("timeout").copied().unwrap_or(60);
    Ok(Upgrade { binary: one("binary"), control: one("control"), seconds })
}

pub(super) fn parse(command: clap::Command, words: &[String]) -> Result<clap::ArgMatches, String> {
    let words = words.iter().map(OsString::from);
    command.no_binary_name(true).try_get_matches_from(words).map_err(|it| it.to_string())
}

#[cfg(test)]
mod tests {
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
        let expected = Command::Check {
            flags: words(&["--configFile", "a.yml"]),
            files: vec!["a.yml".into()],
        };
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
        let Ok(Command::Explain(explain)) = parse("explain GET / --configFile=p.yml") else {
            panic!()
        };
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
        assert!(
            parse("explain GET / --api http://a --configFile b").unwrap_err().contains("--api")
        );
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
}
