//! `ca` and `token`: the mesh's authority, in its folder on the machine that has it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::mesh::authority::rotation::{self, Advance, Patience};
use crate::mesh::authority::{Ca, Ledger, Lives, Pattern, Token};

/// Where the authority is kept unless the user says otherwise.
const DIRECTORY: &str = "/var/lib/portcullis/mesh";

/// How often a rotation that waits is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What is to be done with the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Make root and intermediate.
    Init {
        /// Where.
        directory: PathBuf,
        /// For whom.
        trust_domain: String,
    },
    /// Replace the root.
    Rotate {
        /// Where it is.
        directory: PathBuf,
        /// Only say how far it is.
        status: bool,
        /// Leave silent nodes behind.
        force: bool,
        /// Seconds that nodes get to acknowledge.
        seconds: u16,
        /// How long leaves live, in seconds.
        leaf: u64,
    },
    /// Invite a node.
    Invite {
        /// Where the authority is.
        directory: PathBuf,
        /// The node's name.
        node: String,
        /// What it may be issued.
        allow: Vec<String>,
        /// Where it is to ask.
        address: String,
        /// How long the token is good.
        life: Duration,
    },
}

impl Authority {
    /// Reads the words behind `ca`.
    pub(super) fn ca(words: &[String]) -> Result<Self, String> {
        let seconds = |name: &'static str| Arg::new(name).long(name);
        let command = clap::Command::new("portcullis ca")
            .disable_help_flag(true)
            .subcommand_required(true)
            .subcommand(
                clap::Command::new("init")
                    .disable_help_flag(true)
                    .arg(directory())
                    .arg(text("trust-domain").required(true)),
            )
            .subcommand(
                clap::Command::new("rotate")
                    .disable_help_flag(true)
                    .arg(directory())
                    .arg(Arg::new("status").long("status").action(ArgAction::SetTrue))
                    .arg(Arg::new("force").long("force").action(ArgAction::SetTrue))
                    .arg(seconds("timeout").value_parser(value_parser!(u16)).default_value("60"))
                    .arg(
                        seconds("leaf-lifetime")
                            .value_parser(value_parser!(u64).range(1..))
                            .default_value("86400"),
                    ),
            );
        let matches = super::command::parse(command, words)?;
        Ok(match matches.subcommand() {
            Some(("init", asked)) => {
                Self::Init { directory: path(asked), trust_domain: one(asked, "trust-domain") }
            }
            Some((_, asked)) => Self::Rotate {
                directory: path(asked),
                status: asked.get_flag("status"),
                force: asked.get_flag("force"),
                seconds: asked.get_one("timeout").copied().unwrap_or(60),
                leaf: asked.get_one("leaf-lifetime").copied().unwrap_or(86400),
            },
            None => return Err("expected `ca init` or `ca rotate`".to_owned()),
        })
    }

    /// Reads the words behind `token`.
    pub(super) fn token(words: &[String]) -> Result<Self, String> {
        let command = clap::Command::new("portcullis token")
            .disable_help_flag(true)
            .subcommand_required(true)
            .subcommand(
                clap::Command::new("create")
                    .disable_help_flag(true)
                    .arg(directory())
                    .arg(text("node").required(true))
                    .arg(text("address").required(true))
                    .arg(text("allow").action(ArgAction::Append))
                    .arg(text("ttl").default_value("10m")),
            );
        let matches = super::command::parse(command, words)?;
        let Some((_, asked)) = matches.subcommand() else {
            return Err("expected `token create`".to_owned());
        };
        let life = portcullis_config::units::Duration::parse(&one(asked, "ttl"));
        let life =
            life.map_err(|error| format!("--ttl: {error}"))?.positive().filter(|it| *it <= LONGEST);
        Ok(Self::Invite {
            directory: path(asked),
            node: one(asked, "node"),
            allow: asked.get_many::<String>("allow").unwrap_or_default().cloned().collect(),
            address: one(asked, "address"),
            life: life.ok_or("--ttl: expected a time from 1s to 24h, such as `10m`")?,
        })
    }
}

/// Tokens do not live longer: they are for now.
const LONGEST: Duration = Duration::from_hours(24);

fn directory() -> Arg {
    Arg::new("directory")
        .long("directory")
        .value_parser(value_parser!(PathBuf))
        .default_value(DIRECTORY)
}

fn text(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_parser(NonEmptyStringValueParser::new())
}

fn path(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("directory").cloned().unwrap_or_default()
}

fn one(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

/// Does it; gives what to tell.
pub(super) fn run(asked: &Authority) -> Result<String, String> {
    match asked {
        Authority::Init { directory, trust_domain } => init(directory, trust_domain),
        Authority::Rotate { directory, status: true, .. } => {
            rotation::status(directory).map_err(|error| error.to_string())
        }
        Authority::Rotate { directory, force, seconds, leaf, .. } => {
            let lives = Lives { leaf: Duration::from_secs(*leaf), ..Lives::default() };
            let patience = if *force { Patience::Forces } else { Patience::Waits };
            rotate(directory, lives, patience, Duration::from_secs((*seconds).into()))
        }
        Authority::Invite { directory, node, allow, address, life } => {
            invite(directory, (node, address), allow, *life)
        }
    }
}

fn init(directory: &Path, trust_domain: &str) -> Result<String, String> {
    let ca = Ca::create(directory, trust_domain, Lives::default());
    let ca = ca.map_err(|error| error.to_string())?;
    let until = jiff::Timestamp::try_from(ca.ends()).unwrap_or_default();
    let place = directory.display();
    Ok(format!(
        "The authority of trust domain `{trust_domain}` is in {place}:

  root.pem          the root's certificate: ten years; what nodes believe
  root.key          its key, needed for intermediates only: may be kept elsewhere
  intermediate.pem  what signs, until {until}; renewed at half its life where root.key is
  intermediate.key  its key

SHA-256 of the root: {}

Next: run a gateway with the role `control` on this folder, and for each other machine
  portcullis token create --directory {place} --node NAME --address THIS_MACHINE:15012",
        crate::tls::hexadecimal(&ca.pin()),
    ))
}

fn invite(
    directory: &Path,
    (node, address): (&str, &str),
    allow: &[String],
    life: Duration,
) -> Result<String, String> {
    let ca = Ca::open(directory).map_err(|error| error.to_string())?;
    crate::tls::spiffe::Id::node(ca.trust_domain(), node)
        .map_err(|error| format!("--node: {error}"))?;
    let patterns = match allow {
        [] => vec![Pattern::parse("ns/*/sa/*")],
        given => given.iter().map(|text| Pattern::parse(text)).collect(),
    };
    let patterns: Vec<_> =
        patterns.into_iter().collect::<Result<_, _>>().map_err(|it| format!("--allow: {it}"))?;
    let token = Token::new(address, ca.pin()).map_err(|error| format!("--address: {error}"))?;
    Ledger::change(directory, |ledger| {
        ledger.invite(&token.invitation(), node, patterns, life);
        Ok(())
    })
    .map_err(|error: crate::mesh::authority::CaError| error.to_string())?;
    Ok(token.text())
}

/// Begins a rotation, or goes on with one; waits for nodes, not for the end of what the old root signed.
fn rotate(
    directory: &Path,
    lives: Lives,
    patience: Patience,
    limit: Duration,
) -> Result<String, String> {
    let failed = |error: crate::mesh::authority::CaError| error.to_string();
    let until = Instant::now() + limit;
    let mut done = Vec::new();
    loop {
        match rotation::advance(directory, lives, patience).map_err(failed)? {
            Advance::Idle => {
                rotation::begin(directory, lives).map_err(failed)?;
                done.push("the new root is announced".to_owned());
            }
            Advance::Waits(nodes) if Instant::now() >= until => {
                return Err(format!(
                    "stopped: not acknowledged by {}; the old root still signs and nothing is lost. \
                     Call again when they are back, or leave them behind with --force",
                    nodes.join(", ")
                ));
            }
            Advance::Waits(_) | Advance::Announced => std::thread::sleep(LOOK),
            Advance::Switched => done.push("the new root signs".to_owned()),
            Advance::Lingers(seconds) => {
                done.push(format!(
                    "the old root is believed for another {seconds} s, then the gateway drops it"
                ));
                return Ok(done.join("\n"));
            }
            Advance::Done => {
                done.push("the old root is gone".to_owned());
                return Ok(done.join("\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn commands_are_read() {
        let init = Authority::ca(&words("init --trust-domain td --directory /x")).unwrap();
        let expected = Authority::Init { directory: "/x".into(), trust_domain: "td".to_owned() };
        assert_eq!(init, expected);
        let rotate = Authority::ca(&words("rotate --force --timeout 5")).unwrap();
        let Authority::Rotate { directory, force: true, status: false, seconds: 5, .. } = rotate
        else {
            panic!("{rotate:?}")
        };
        assert_eq!(directory, Path::new(DIRECTORY));
        let line = "create --node n2 --address c:15012 --allow ns/a/sa/* --allow ns/b/sa/*";
        let Ok(Authority::Invite { allow, life, .. }) = Authority::token(&words(line)) else {
            panic!()
        };
        assert_eq!((allow.len(), life), (2, Duration::from_mins(10)));
        for wrong in ["", "create", "create --node n --address a:1 --ttl 25h", "create --node n"] {
            assert!(Authority::token(&words(wrong)).is_err(), "{wrong}");
        }
        for wrong in ["", "init", "spin", "rotate --timeout x"] {
            assert!(Authority::ca(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_authority_is_made_once_and_invites() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("ca");
        let init = Authority::Init { directory: directory.clone(), trust_domain: "td".to_owned() };
        let told = run(&init).unwrap();
        assert!(told.contains("root.pem") && told.contains("SHA-256"), "{told}");
        assert!(run(&init).unwrap_err().contains("already"));
        let invite = |allow: &str, node: &str| {
            run(&Authority::Invite {
                directory: directory.clone(),
                node: node.to_owned(),
                allow: vec![allow.to_owned()],
                address: "127.0.0.1:15012".to_owned(),
                life: Duration::from_mins(1),
            })
        };
        let token = Token::parse(&invite("ns/*/sa/*", "n2").unwrap()).unwrap();
        assert_eq!(token.pin, Ca::open(&directory).unwrap().pin());
        assert!(invite("everything", "n2").unwrap_err().starts_with("--allow"));
        assert!(invite("ns/*/sa/*", "n/2").unwrap_err().starts_with("--node"));
        let elsewhere = Authority::Rotate {
            directory: folder.path().join("none"),
            status: false,
            force: false,
            seconds: 0,
            leaf: 1,
        };
        assert!(run(&elsewhere).unwrap_err().contains("no authority"), "{elsewhere:?}");
    }

    #[test]
    fn a_rotation_without_nodes_goes_through() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("ca");
        Ca::create(&directory, "td", Lives::default()).unwrap();
        let before = Ca::open(&directory).unwrap().pin();
        let lives = Lives { leaf: Duration::from_secs(1), ..Lives::default() };
        let told = rotate(&directory, lives, Patience::Waits, Duration::ZERO).unwrap();
        assert!(told.contains("the new root signs"), "{told}");
        assert_ne!(Ca::open(&directory).unwrap().pin(), before);
        assert!(rotation::status(&directory).unwrap().contains("the new root signs"));
        let told = rotate(&directory, lives, Patience::Forces, Duration::ZERO).unwrap();
        assert!(told.contains("the old root is gone"), "{told}");
        assert!(rotation::status(&directory).unwrap().contains("no rotation"));
    }
}
