//! Flags: `--entryPoints.web.address=:80`, as Traefik reads them.
//!
//! A flag is one dash or two, a path in any case, and `=value`. Switches and blocks need no value (`--api.insecure`,
//! `--providers.docker`); others may have it as the next word. Of two equal flags the last one wins, lists included.

use std::sync::LazyLock;

use portcullis_config::Problem;
use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::{Tree, flat};

use crate::install::schema::{Shape, Unknown};

/// What the words of a command line say.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// The value of `--configFile`.
    pub(super) config_file: Option<String>,
    /// The options given: proper path and value.
    pub(super) options: Vec<(String, String)>,
    /// Flags that are none.
    pub(super) problems: Vec<Problem>,
    /// Words that belong to no flag.
    pub(super) words: Vec<String>,
}

/// Reads `arguments`; `shape` tells which flags take a value. Few programs are started with more than the name of a
/// file, and the shape costs milliseconds and memory: it is made when the first flag needs it.
pub(super) fn read(arguments: &[String], shape: &LazyLock<Shape>) -> Flags {
    let mut flags = Flags::default();
    let mut rest = arguments.iter().map(String::as_str).peekable();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            flags.words.extend(rest.by_ref().map(ToOwned::to_owned));
            break;
        }
        let Some(flag) = argument.strip_prefix('-').map(|it| it.strip_prefix('-').unwrap_or(it))
        else {
            flags.words.push(argument.to_owned());
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if name.eq_ignore_ascii_case("configFile") {
            flags.config_file = value.or_else(|| rest.next()).map(ToOwned::to_owned);
            continue;
        }
        match shape.find(&steps(name)) {
            Err(unknown) => flags.problems.push(unknown_flag(name, unknown)),
            Ok((path, found)) => {
                let follows = |it: &&str| takes(found, it);
                match value.or_else(|| rest.next_if(follows)).or_else(|| implied(found)) {
                    Some(value) => flags.options.push((path, value.to_owned())),
                    None => flags.problems.push(problem(name, "needs a value".to_owned())),
                }
            }
        }
    }
    flags
}

impl Flags {
    /// The options as a tree.
    pub(super) fn tree(&self) -> Result<Tree, Problem> {
        let pairs = self.options.iter().map(|(path, value)| (path.as_str(), value.as_str()));
        flat::fold(pairs, source)
            .map_err(|mismatch| Problem::error(Kind::Install, "", mismatch.message).at(mismatch.at))
    }
}

/// Whether the next word is the value of a flag of this shape.
fn takes(shape: &Shape, word: &str) -> bool {
    let flag = word.starts_with('-') && word.parse::<f64>().is_err();
    match shape {
        Shape::Switch | Shape::Block(_) | Shape::Map(_) => matches!(word, "true" | "false"),
        Shape::Value | Shape::List(_) | Shape::Free => !flag,
    }
}

/// The value of a flag that is given none.
fn implied(shape: &Shape) -> Option<&'static str> {
    match shape {
        Shape::Switch | Shape::Block(_) | Shape::Map(_) | Shape::Free => Some("true"),
        Shape::Value | Shape::List(_) => None,
    }
}

/// The keys and indexes of a path: `domains[0].main` has three.
pub(super) fn steps(path: &str) -> Vec<&str> {
    path.split(['.', '[']).map(|step| step.strip_suffix(']').unwrap_or(step)).collect()
}

fn source(path: &str) -> String {
    format!("flag --{path}")
}

fn unknown_flag(name: &str, unknown: Unknown) -> Problem {
    let hint = unknown.nearest.map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
    problem(name, format!("there is no option `{}`{hint}", unknown.path))
}

fn problem(name: &str, message: String) -> Problem {
    let at = At { source: source(name).into(), line: 0, column: 0 };
    Problem::error(Kind::Install, "", message).at(Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Flags {
        let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
        read(&arguments, &LazyLock::new(Shape::of_install))
    }

    fn options(arguments: &[&str]) -> Vec<String> {
        let flags = flags(arguments);
        assert_eq!(flags.problems, Vec::new());
        flags.options.iter().map(|(path, value)| format!("{path}={value}")).collect()
    }

    #[test]
    fn flags_have_one_dash_or_two_and_any_case() {
        let found = options(&["--ENTRYPOINTS.web.Address=:80", "-log.level=info"]);
        assert_eq!(found, ["entryPoints.web.address=:80", "log.level=info"]);
    }

    #[test]
    fn values_follow_as_the_next_word_where_one_is_needed() {
        let found = options(&["--log.level", "DEBUG", "--api.insecure", "--providers.docker"]);
        assert_eq!(found, ["log.level=DEBUG", "api.insecure=true", "providers.docker=true"]);
        assert_eq!(options(&["--api.insecure", "false"]), ["api.insecure=false"]);
        let found = options(&["--tcpServersTransport.terminationDelay", "-1"]);
        assert_eq!(found, ["tcpServersTransport.terminationDelay=-1"]);
        assert_eq!(flags(&["--log.level"]).problems.len(), 1);
    }

    #[test]
    fn words_that_belong_to_no_flag_are_left() {
        let found = flags(&["--ping", "routes.yml", "--", "--odd.yml"]);
        assert_eq!(found.words, ["routes.yml", "--odd.yml"]);
    }

    #[test]
    fn the_file_is_found_in_any_case_and_both_forms() {
        assert_eq!(flags(&["--configfile=a.yml"]).config_file.as_deref(), Some("a.yml"));
        assert_eq!(flags(&["--configFile", "a.yml"]).config_file.as_deref(), Some("a.yml"));
    }

    #[test]
    fn an_unknown_flag_comes_with_the_nearest_real_one() {
        let found = flags(&["--entrypoints.web.adress=:80"]).problems;
        let text = found[0].to_string();
        assert!(text.starts_with("flag --entrypoints.web.adress: "), "{text}");
        assert!(text.contains("did you mean `address`?"), "{text}");
    }
}
