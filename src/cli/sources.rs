//! Where the install configuration comes from: a file, else flags, else the environment. They are not merged.

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use portcullis_config::Problem;
use portcullis_config::problem::{Kind, Severity};
use portcullis_config::tree::Tree;

use super::Activation;
use super::environment::{self, Environment};
use super::files::{self, Disk};
use super::flags::{self, Flags};
use crate::install::Install;
use crate::install::schema::Shape;

/// An install configuration and how it came about.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub install: Install,
    /// What has no effect or is not as it should be; for the log.
    pub warnings: Vec<Problem>,
    /// Where it came from.
    pub source: Source,
    /// How many workers the operator wants; absent = as many as there are processors.
    pub workers: Option<NonZeroUsize>,
}

/// Where an install configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The command line.
    Flags,
    /// Environment variables.
    Environment,
    /// Nobody said anything.
    Defaults,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Flags => f.write_str("flags"),
            Self::Environment => f.write_str("environment variables"),
            Self::Defaults => f.write_str("defaults"),
        }
    }
}

/// Reads the install configuration from the first source that says anything: the file that `--configFile` or
/// `PORTCULLIS_CONFIGFILE` names, a default file, flags, environment variables.
///
/// `arguments` are flags only. Fails with every problem, warnings among them.
pub fn load(
    arguments: &[String],
    environment: &[(String, String)],
    disk: &Disk,
) -> Result<Loaded, Vec<Problem>> {
    let shape: LazyLock<Shape> = LazyLock::new(Shape::of_install);
    let flags = flags::read(arguments, &shape);
    if let Some(word) = flags.words.first() {
        let message = format!("`{word}` is not a flag; flags begin with `--`");
        return Err(vec![Problem::error(Kind::Install, "", message)]);
    }
    let variables = environment::read(environment, &shape);
    let mut problems = Vec::new();
    let workers = workers(&variables, &mut problems);
    let file = chosen_file(&flags, &variables, environment, disk);
    let (source, tree) = match source(file, &flags, &variables, &mut problems) {
        Ok(found) => found,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    let activated = activated(environment);
    let activated: Vec<&str> = activated.iter().map(String::as_str).collect();
    match Install::from_tree(&tree, &activated) {
        Ok((install, warnings)) => {
            problems.extend(warnings);
            if problems.iter().any(|problem| problem.severity == Severity::Error) {
                return Err(problems);
            }
            Ok(Loaded { install, warnings: problems, source, workers })
        }
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// The first source that says anything, with what it says. Reports what the others say in vain.
fn source(
    file: Option<PathBuf>,
    flags: &Flags,
    variables: &Environment,
    problems: &mut Vec<Problem>,
) -> Result<(Source, Tree), Problem> {
    let has_flags = !flags.options.is_empty() || !flags.problems.is_empty();
    if let Some(path) = file {
        let tree = files::read(&path)?;
        let source = Source::File(path);
        if has_flags {
            problems.push(ignored("flags other than --configFile", &source));
        }
        if !variables.options.is_empty() {
            problems.push(ignored(&names(variables), &source));
        }
        return Ok((source, tree));
    }
    if has_flags {
        problems.extend(flags.problems.iter().cloned());
        if !variables.options.is_empty() {
            problems.push(ignored(&names(variables), &Source::Flags));
        }
        return Ok((Source::Flags, flags.tree()?));
    }
    problems.extend(variables.warnings.iter().cloned());
    if variables.options.is_empty() {
        return Ok((Source::Defaults, Tree::default()));
    }
    Ok((Source::Environment, variables.tree()?))
}

/// The file that was asked for, or a default one.
fn chosen_file(
    flags: &Flags,
    variables: &Environment,
    environment: &[(String, String)],
    disk: &Disk,
) -> Option<PathBuf> {
    let asked = flags.config_file.as_ref().or(variables.config_file.as_ref());
    match asked.filter(|path| !path.is_empty()) {
        Some(path) => Some(disk.working_directory.join(path)),
        None => files::default_file(disk, environment),
    }
}

fn ignored(what: &str, source: &Source) -> Problem {
    let message = format!("{what} have no effect: the configuration comes from {source} alone");
    Problem::warning(Kind::Install, "", message)
}

fn names(variables: &Environment) -> String {
    let names: Vec<&str> = variables.options.values().map(|(name, _)| name.as_str()).collect();
    format!("environment variables ({})", names.join(", "))
}

fn workers(variables: &Environment, problems: &mut Vec<Problem>) -> Option<NonZeroUsize> {
    let text = variables.workers.as_deref().filter(|text| !text.is_empty())?;
    let count = text.parse().ok();
    if count.is_none() {
        let message = format!("expected a number of workers from 1, found `{text}`");
        let at = environment::place("PORTCULLIS_WORKERS");
        problems.push(Problem::error(Kind::Install, "", message).at(Some(at)));
    }
    count
}

/// The names of the sockets that systemd hands over, or handed to the gateway that this one follows.
fn activated(environment: &[(String, String)]) -> Vec<String> {
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    Activation::read(variable).activated
}
