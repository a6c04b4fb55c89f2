//! `exec`: a program of the user's puts records in place.
//!
//! `EXEC_PATH` is called as `<program> present|cleanup -- <name> <value>`, or, with `EXEC_MODE=RAW`, as
//! `<program> present|cleanup -- <domain> <token> <key authorization>`, of which the last is not known here and refused.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::super::environment::Environment;
use super::{Provider, Record, Tools};
use crate::tls::acme::failure::bounded;

/// How long the program may take.
const PATIENCE: Duration = Duration::from_mins(2);

struct Exec {
    program: String,
}

pub(super) fn build(environment: &Environment, _: &Tools) -> Result<Box<dyn Provider>, String> {
    let program = environment.required(&["EXEC_PATH"])?.0;
    if environment.text("EXEC_MODE", "")?.eq_ignore_ascii_case("raw") {
        return Err("EXEC_MODE: the mode `RAW` is not served; leave it out".to_owned());
    }
    Ok(Box::new(Exec { program }))
}

impl Exec {
    async fn call(&self, verb: &str, record: &Record) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("`{}`: {error}", self.program);
        let mut child = Command::new(&self.program)
            .args([verb, "--", &record.name, &record.value])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let complaint = async {
            let mut text = Vec::new();
            if let Some(errors) = child.stderr.take() {
                // The rest is not read: a program that goes on and on ends by that.
                let _ = errors.take(4096).read_to_end(&mut text).await;
            }
            (child.wait().await, text)
        };
        let ended = tokio::time::timeout(PATIENCE, complaint).await;
        let (status, text) =
            ended.map_err(|_| format!("`{}` did not end within {PATIENCE:?}", self.program))?;
        let status = status.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let text = bounded(String::from_utf8_lossy(&text).trim());
        Err(format!("`{} {verb}` ended with {status}: {text}", self.program))
    }
}

impl Provider for Exec {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.call("present", record).boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.call("cleanup", record).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{provider, record};
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn script(folder: &tempfile::TempDir, text: &str) -> String {
        let path = folder.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }

    #[tokio::test]
    async fn the_program_gets_verb_name_and_value() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let path = script(&folder, &format!("echo \"$@\" >> {}", seen.display()));
        let exec = provider(build, &[("EXEC_PATH", &path)]);
        exec.present(&record("a.test", "v")).await.unwrap();
        exec.clean_up(&record("a.test", "v")).await.unwrap();
        let expected =
            "present -- _acme-challenge.a.test. v\ncleanup -- _acme-challenge.a.test. v\n";
        assert_eq!(std::fs::read_to_string(seen).unwrap(), expected);
    }

    #[tokio::test]
    async fn what_the_program_complains_of_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(&folder, "echo no such zone >&2; exit 3");
        let exec = provider(build, &[("EXEC_PATH", &path)]);
        let error = exec.present(&record("a.test", "v")).await.unwrap_err();
        assert!(error.contains("no such zone") && error.contains('3'), "{error}");
        let missing = provider(build, &[("EXEC_PATH", "/no/such/hook")]);
        assert!(missing.present(&record("a.test", "v")).await.is_err());
    }
}
