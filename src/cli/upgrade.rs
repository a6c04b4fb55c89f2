//! `upgrade`: asks a running gateway, by its control socket, to start its successor.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Activation, Upgrade};

/// How much longer than the successor may take the answer is waited for.
const MARGIN: Duration = Duration::from_secs(10);

/// Gives what to tell: the successor's process id, or why there is none.
pub(super) fn run(asked: &Upgrade) -> Result<String, String> {
    let path = asked.control.clone().or_else(|| Activation::of_process().control);
    let path = path.ok_or("PORTCULLIS_CONTROL is empty: name the socket with --control")?;
    let about = |error| format!("control socket {}: {error}", path.display());
    let stream = UnixStream::connect(&path)
        .map_err(|error| format!("{}; is the gateway running?", about(error)))?;
    let patience = Duration::from_secs(asked.seconds.into()) + MARGIN;
    stream.set_read_timeout(Some(patience)).map_err(about)?;
    let binary = asked.binary.as_deref().map(absolute).transpose()?.unwrap_or_default();
    let request = format!("upgrade {} {}\n", asked.seconds, binary.display());
    (&stream).write_all(request.as_bytes()).map_err(about)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(about)?;
    match answer.trim_end().split_once(' ') {
        Some(("ok", process)) => Ok(format!("OK: process {process} serves")),
        Some(("error", reason)) => Err(format!("not upgraded: {reason}")),
        _ => Err("not upgraded: the gateway ended without an answer".to_owned()),
    }
}

/// The gateway may have another working directory.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}
