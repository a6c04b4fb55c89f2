//! The command line: sub-commands, and without one the gateway itself with Traefik's flags.

pub(crate) mod activation;
mod ask;
mod authority;
mod check;
mod command;
mod environment;
mod explain;
mod files;
mod flags;
mod health;
mod help;
mod mesh;
pub(crate) mod predecessor;
mod sources;
mod upgrade;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use portcullis_config::Problem;
use portcullis_config::problem::Severity;

use crate::demo;

pub use activation::Activation;
pub use authority::Authority;
pub use command::{Command, Demo, Explain, Origin, Upgrade};
pub use files::Disk;
pub use predecessor::Predecessor;
pub use sources::{Loaded, Source, load};

/// Everything went well.
const SUCCESS: u8 = 0;
/// The configuration has errors, or what was asked for failed.
const FAILURE: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

/// Does what the command line says. `serve` runs the gateway until it is told to stop.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Loaded) -> ExitCode,
) -> ExitCode {
    let words: Vec<String> =
        arguments.into_iter().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let command = match Command::parse(&words) {
        Ok(command) => command,
        Err(message) => {
            complain(&message);
            return USAGE.into();
        }
    };
    let (environment, disk) = (environment(), Disk::default());
    match command {
        Command::Run { flags } => match load(&flags, &environment, &disk) {
            Ok(loaded) => serve(loaded),
            Err(problems) => {
                report(&problems);
                if let Some(predecessor) = Predecessor::of_process() {
                    let lines: Vec<String> = problems.iter().map(line).collect();
                    predecessor.failed(&lines.join("; "));
                }
                FAILURE.into()
            }
        },
        Command::Check { flags, files } => {
            let report = check::run(&flags, &files, &environment, &disk);
            show(&report.text);
            if report.errors > 0 { FAILURE.into() } else { SUCCESS.into() }
        }
        Command::Healthcheck { flags } => match load(&flags, &environment, &disk) {
            Ok(loaded) => finish(health::check(&loaded.install)),
            Err(problems) => {
                report(&problems);
                FAILURE.into()
            }
        },
        Command::Explain(asked) => match explain::run(&asked, &environment, &disk) {
            Ok(explanation) => {
                show(explanation.text.trim_end());
                match explanation.outcome {
                    explain::Outcome::Taken => SUCCESS.into(),
                    explain::Outcome::NotTaken => FAILURE.into(),
                }
            }
            Err(message) => finish(Err(message)),
        },
        Command::Demo(demo) => demo::run(&demo, serve).unwrap_or_else(|message| {
            complain(&message);
            FAILURE.into()
        }),
        Command::MeshStatus { api } => finish(mesh::status(&api)),
        Command::Upgrade(asked) => finish(upgrade::run(&asked)),
        Command::Authority(asked) => finish(authority::run(&asked)),
        Command::Version => finish(Ok(help::version())),
        Command::Help(topic) => finish(Ok(topic)),
    }
}

/// The environment as text; what is no text cannot be an option.
fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    let text = |it: OsString| it.into_string().ok();
    variables.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

fn finish(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(text) => {
            show(text.trim_end());
            SUCCESS.into()
        }
        Err(message) => {
            complain(&message);
            FAILURE.into()
        }
    }
}

/// Writes problems to standard error, one a line.
fn report(problems: &[Problem]) {
    for problem in problems {
        complain(&line(problem));
    }
}

/// `error: install.yml:3:5: …`.
fn line(problem: &Problem) -> String {
    match problem.severity {
        Severity::Error => format!("error: {problem}"),
        Severity::Warning => format!("warning: {problem}"),
    }
}

/// The answer of a command goes to standard output. Nobody is left to tell if that is closed.
pub(crate) fn show(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says `text` on standard error: there is no log yet when the command line is read.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
