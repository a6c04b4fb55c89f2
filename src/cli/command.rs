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
mod tests;
