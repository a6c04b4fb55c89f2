//! `check`: every problem of install and routing configuration, without starting anything.

use std::path::{Path, PathBuf};

use portcullis_config::problem::{At, Kind, Severity};
use portcullis_config::rule::Protocol;
use portcullis_config::rule::parse::parse;
use portcullis_config::tree::text::{self, Format};
use portcullis_config::{Problem, Routing};

use super::files::Disk;
use super::{line, load};
use crate::install::Install;

/// What a check found.
pub(super) struct Report {
    /// The problems, one a line, and a summary.
    pub(super) text: String,
    /// How many of them are errors.
    pub(super) errors: usize,
}

/// Checks the install configuration that `flags` and environment give, and routing configuration: `files`, or those
/// of the file provider.
pub(super) fn run(
    flags: &[String],
    files: &[PathBuf],
    environment: &[(String, String)],
    disk: &Disk,
) -> Report {
    let (install, mut problems) = match load(flags, environment, disk) {
        Ok(loaded) => (Some(loaded.install), loaded.warnings),
        Err(problems) => (None, problems),
    };
    let mut chosen = files.to_vec();
    if chosen.is_empty() {
        chosen = install.as_ref().map(provided).unwrap_or_default();
    }
    let mut count = 0;
    for path in chosen {
        for file in below(&path, &mut problems) {
            problems.extend(problems_of(&file));
            count += 1;
        }
    }
    report(&problems, count)
}

/// Every problem of one file with routing configuration.
pub(crate) fn problems_of(file: &Path) -> Vec<Problem> {
    let source = file.display().to_string();
    let problem = |message: String, at: Option<At>| {
        let at = at.or_else(|| Some(At { source: source.as_str().into(), line: 0, column: 0 }));
        vec![Problem::error(Kind::File, "", message).at(at)]
    };
    let Some(format) = Format::of(file) else {
        return problem("expected a file that ends in .toml, .yaml or .yml".to_owned(), None);
    };
    let content = match std::fs::read_to_string(file) {
        Ok(content) => content,
        Err(cause) => return problem(format!("cannot be read: {cause}"), None),
    };
    if content.contains("{{") {
        return problem("templates (`{{`) are not served yet".to_owned(), None);
    }
    match text::parse(&content, format, &source) {
        Ok(tree) => {
            let (routing, mut problems) = Routing::from_tree(&tree);
            problems.extend(rules(&routing, &source));
            for problem in &mut problems {
                if problem.at.is_none() {
                    problem.at = Some(At { source: source.as_str().into(), line: 0, column: 0 });
                }
            }
            problems
        }
        Err(mismatch) => problem(mismatch.message, mismatch.at),
    }
}

/// Rules that do not parse.
fn rules(routing: &Routing, source: &str) -> Vec<Problem> {
    let http = routing.http.routers.iter();
    let http = http.map(|(name, it)| (Kind::HttpRouter, name, &it.rule, Protocol::Http));
    let tcp = routing.tcp.routers.iter();
    let tcp = tcp.map(|(name, it)| (Kind::TcpRouter, name, &it.rule, Protocol::Tcp));
    let mut problems = Vec::new();
    for (kind, name, rule, protocol) in http.chain(tcp).filter(|(_, _, rule, _)| !rule.is_empty()) {
        if let Err(error) = parse(rule, protocol) {
            let message = format!("rule, column {}: {}", error.column, error.message);
            let at = At { source: source.into(), line: 0, column: 0 };
            problems.push(Problem::error(kind, name, message).at(Some(at)));
        }
    }
    problems
}

/// What the file provider reads.
fn provided(install: &Install) -> Vec<PathBuf> {
    let Some(file) = &install.providers.file else { return Vec::new() };
    let option = |name| file.child(name).and_then(|it| it.as_text()).filter(|it| !it.is_empty());
    ["filename", "directory"].into_iter().filter_map(option).map(PathBuf::from).collect()
}

/// The file itself, or the files in a folder and all folders below, in order.
fn below(path: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) => {
            let name = path.display().to_string();
            problems.push(Problem::error(Kind::File, name, format!("cannot be read: {cause}")));
            return Vec::new();
        }
    };
    let mut entries: Vec<PathBuf> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            files.extend(below(&entry, problems));
        } else if matches!(Format::of(&entry), Some(Format::Toml | Format::Yaml)) {
            files.push(entry);
        }
    }
    files
}

fn report(problems: &[Problem], files: usize) -> Report {
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let mut lines: Vec<String> = problems.iter().map(line).collect();
    lines.push(format!(
        "{}, {} (install configuration and {})",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(files, "routing file"),
    ));
    Report { text: lines.join("\n"), errors }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], flags: &[&str], chosen: &[&str]) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let here = |text: &str| text.replace("HERE", &root.display().to_string());
        let flags: Vec<String> = flags.iter().map(|it| here(it)).collect();
        let chosen: Vec<PathBuf> = chosen.iter().map(|it| root.join(it)).collect();
        run(
            &flags,
            &chosen,
            &[],
            &Disk { root: root.to_owned(), working_directory: root.to_owned() },
        )
    }

    const GOOD: &str = "http: {routers: {a: {rule: 'Host(`a.test`)', service: s}}, services: {s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}}}";

    #[test]
    fn what_is_right_has_no_problems() {
        let report = check(&[("routes/a.yml", GOOD)], &["--ping"], &["routes"]);
        assert_eq!(report.text, "0 errors, 0 warnings (install configuration and 1 routing file)");
        assert_eq!(report.errors, 0);
    }

    #[test]
    fn every_problem_is_named_with_its_file() {
        let rule = "http: {routers: {a: {rule: 'Hots(`a`)', service: s}}}";
        let field = "http:\n  routers:\n    b:\n      rul: x\n";
        let files = [
            ("routes/a.yml", rule),
            ("routes/sub/b.yaml", field),
            ("routes/c.toml", "a = {{b}}"),
            ("routes/note.txt", "?"),
        ];
        let report = check(&files, &["--tracing", "--pign"], &["routes"]);
        let lines: Vec<&str> = report.text.lines().collect();
        assert!(lines.iter().any(|it| it.contains("flag --pign")), "{lines:?}");
        assert!(
            lines.iter().any(|it| it.contains("a.yml") && it.contains("http router `a`")),
            "{lines:?}"
        );
        assert!(lines.iter().any(|it| it.contains("sub/b.yaml:4")), "{lines:?}");
        assert!(
            lines.iter().any(|it| it.contains("c.toml") && it.contains("templates")),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|it| it.starts_with("warning: ") && it.contains("`tracing`")),
            "{lines:?}"
        );
        assert_eq!(report.errors, 4, "{lines:?}");
    }

    #[test]
    fn a_file_that_is_missing_is_an_error() {
        assert_eq!(check(&[], &[], &["none.yml"]).errors, 1);
    }
}
