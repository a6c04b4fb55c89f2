//! `check`: every problem of install and routing configuration, without starting anything.

use std::path::PathBuf;

use portcullis_config::Problem;
use portcullis_config::problem::{Kind, Severity};
use portcullis_config::tree::Tree;

use super::files::Disk;
use super::{Source, line, load};
use crate::gateway::preview::{EntryPoints, preview};
use crate::install::Install;
use crate::snapshot::Snapshot;

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
    let (install, known, mut problems) = match load(flags, environment, disk) {
        Ok(loaded) if loaded.source == Source::Defaults => {
            (Some(loaded.install), EntryPoints::Assumed, loaded.warnings)
        }
        Ok(loaded) => (Some(loaded.install), EntryPoints::Known, loaded.warnings),
        // Files that are named are checked all the same.
        Err(problems) => {
            let install = Install::from_tree(&Tree::default(), &[]).ok().map(|(it, _)| it);
            let install = install.filter(|_| !files.is_empty());
            (install, EntryPoints::Assumed, problems)
        }
    };
    let mut routers = 0;
    if let Some(install) = &install {
        let (count, found) = problems_of(install, known, files);
        routers = count;
        problems.extend(found);
    }
    report(&problems, routers)
}

/// How many routers there are, and every problem of the routing configuration.
fn problems_of(install: &Install, known: EntryPoints, files: &[PathBuf]) -> (usize, Vec<Problem>) {
    match preview(install, known, files) {
        Ok(preview) => (configured(&preview.snapshot), preview.snapshot.report.problems),
        Err(error) => (0, vec![Problem::error(Kind::Install, "", format!("{error:#}"))]),
    }
}

/// How many routers the user configured; the gateway's own do not count.
fn configured(snapshot: &Snapshot) -> usize {
    let report = &snapshot.report;
    let names = report.routers.keys().chain(report.tcp.routers.keys());
    let names = names.chain(report.udp.routers.keys());
    names.filter(|name| name.provider() != "internal").count()
}

fn report(problems: &[Problem], routers: usize) -> Report {
    let errors = problems.iter().filter(|it| it.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let mut lines: Vec<String> = problems.iter().map(line).collect();
    lines.push(format!(
        "{}, {} in {} and the install configuration",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(routers, "router"),
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
        assert_eq!(report.text, "0 errors, 0 warnings in 1 router and the install configuration");
        assert_eq!(report.errors, 0);
    }

    #[test]
    fn every_problem_is_named_with_its_file() {
        let rule = "http: {routers: {a: {rule: 'Hots(`a`)', service: s@file}}}";
        let field = "http:\n  routers:\n    b:\n      rul: x\n";
        let lost = "http: {routers: {c: {rule: 'Host(`c`)', service: none, middlewares: [m]}}}";
        let files = [
            ("routes/a.yml", rule),
            ("routes/sub/b.yaml", field),
            ("routes/c.toml", "a = {{b}}"),
            ("routes/d.yml", lost),
            ("routes/note.txt", "?"),
        ];
        let report = check(&files, &["--tracing", "--pign"], &["routes"]);
        let lines: Vec<&str> = report.text.lines().collect();
        for parts in [
            ["error: flag --pign", "`ping`"],
            ["error: ", "http router `a@file`"],
            ["error: ", "sub/b.yaml:4"],
            ["error: ", "c.toml"],
            ["error: ", "d.yml:1:18: http router `c@file`: service `none@file`"],
            ["warning: flag --tracing", "not served"],
        ] {
            let said = |line: &&&str| line.starts_with(parts[0]) && line.contains(parts[1]);
            assert!(lines.iter().any(|line| said(&line)), "{parts:?}: {lines:#?}");
        }
    }

    #[test]
    fn what_compiling_finds_stands_where_its_object_stands() {
        let yaml = "http:\n  routers:\n    a:\n      rule: Host(`a`)\n      service: none\n\
                    \x20   b: {rule: 'Hots(`b`)', service: s}\n  middlewares:\n\
                    \x20   m:\n      stripPrefixRegex: {regex: ['(']}\n";
        let toml = "[http.services.s.loadBalancer]\nservers = []\n\n\
                    [http.services.t.loadBalancer]\nservers = [{ url = 'ftp://x' }]\n\
                    [http.routers.two]\nrule = 'Host(`two`)'\nservice = 'none'\n\
                    entryPoints = ['web', 'websecure']\n";
        let files = [("routes/a.yml", yaml), ("routes/b.toml", toml)];
        let flags = [
            "--entryPoints.web.address=:80",
            "--entryPoints.websecure.address=:443",
            "--entryPoints.websecure.http.tls",
        ];
        let report = check(&files, &flags, &["routes"]);
        for (place, object) in [
            ("a.yml:3", "http router `a@file`"),
            ("a.yml:3", "http router `websecure-a@file`"),
            ("a.yml:6", "http router `b@file`"),
            ("a.yml:8", "http middleware `m@file`"),
            ("b.toml:4", "http service `t@file`"),
            ("b.toml:6", "http router `two@file`"),
            ("b.toml:6", "http router `websecure-two@file`"),
        ] {
            let said = |line: &str| {
                let (at, what) = (line.find(place), line.find(object));
                at.is_some_and(|at| what.is_some_and(|what| at < what))
            };
            assert!(report.text.lines().any(said), "{place} {object}: {}", report.text);
        }
    }

    #[test]
    fn entry_points_are_assumed_unless_they_are_configured() {
        let routes = GOOD.replace("service: s", "service: s, entryPoints: [web]");
        let files = [("routes.yml", routes.as_str())];
        assert_eq!(check(&files, &[], &["routes.yml"]).errors, 0);
        let report = check(&files, &["--entrypoints.other.address=:80"], &["routes.yml"]);
        assert!(report.text.contains("`web`"), "{}", report.text);
    }

    #[test]
    fn the_files_of_the_provider_are_checked_and_those_of_others_trusted() {
        let routes = "http: {routers: {a: {rule: 'Host(`a`)', service: s@docker}}}";
        let files = [("routes.yml", routes)];
        let file = "--providers.file.filename=HERE/routes.yml";
        assert_eq!(check(&files, &[file], &[]).errors, 1);
        let report = check(&files, &[file, "--providers.docker"], &[]);
        assert_eq!(report.errors, 0, "{}", report.text);
        assert!(report.text.contains("provider `docker` was not asked"), "{}", report.text);
    }

    #[test]
    fn a_file_that_is_missing_is_an_error() {
        assert_eq!(check(&[], &[], &["none.yml"]).errors, 1);
    }
}
