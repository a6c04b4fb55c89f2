//! The process that takes over: started with all sockets, waited for, ended if it does not become ready.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use crate::cli::activation::{ACTIVATED, PREDECESSOR};
use crate::cli::predecessor::{ERROR, READY};

/// A process that is to take over. Dropped before it is ready, it is killed.
pub(super) struct Successor {
    child: Option<Child>,
    words: UnixStream,
}

/// Longest word of a successor that counts.
const LONGEST: u64 = 4096;

/// Starts `program` with the arguments and environment of this process and `sockets`, of which systemd chose the addresses
/// of those in `activated`.
pub(super) fn start(
    program: &OsStr,
    sockets: Vec<(String, OwnedFd)>,
    activated: &[String],
) -> Result<Successor, String> {
    if let Some((name, _)) = sockets.iter().find(|(name, _)| name.contains(':')) {
        return Err(format!("entry point `{name}`: a name with a colon cannot be handed over"));
    }
    let spawn = || -> io::Result<Successor> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let words = UnixStream::from_std(ours)?;
        let (names, sockets): (Vec<String>, Vec<OwnedFd>) = sockets.into_iter().unzip();
        let mapping = |(parent_fd, child_fd)| FdMapping { parent_fd, child_fd };
        let mappings = sockets.into_iter().zip(3..).map(mapping).collect();
        let mut command = Command::new(program);
        command
            .args(std::env::args_os().skip(1))
            .env_remove("LISTEN_PID")
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .env(PREDECESSOR, std::process::id().to_string())
            .env(ACTIVATED, activated.join(":"))
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Ok(Successor { child: Some(command.spawn()?), words })
    };
    spawn().map_err(|error| format!("cannot start {}: {error}", program.display()))
}

impl Successor {
    /// Waits for its word; gives its process id, or why it does not take over.
    pub(super) async fn ready_within(mut self, patience: Duration) -> Result<u32, String> {
        let mut said = Vec::new();
        let word = async {
            let mut words = (&mut self.words).take(LONGEST);
            while !said.contains(&b'\n') && words.read_buf(&mut said).await? > 0 {}
            io::Result::Ok(())
        };
        let waited = tokio::time::timeout(patience, word).await;
        let said = String::from_utf8_lossy(&said);
        let said = said.trim_end();
        match waited {
            Err(_) => Err(format!("it was not ready within {patience:?}, and is ended")),
            Ok(Err(error)) => Err(format!("it cannot be heard: {error}")),
            Ok(Ok(())) if said == READY => {
                let child = self.child.take().ok_or("it has ended")?;
                Ok(child.id())
            }
            Ok(Ok(())) => Err(match said.strip_prefix(ERROR) {
                Some(reason) => reason.to_owned(),
                None => format!("it ended before it was ready ({})", self.end()),
            }),
        }
    }

    /// Ends it, if it has not ended, and tells how.
    fn end(&mut self) -> String {
        let Some(mut child) = self.child.take() else { return String::new() };
        // It has closed its end, so it is about to be gone by itself or it is not this program.
        let begun = std::time::Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if begun.elapsed() < Duration::from_millis(500) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(None) | Err(_) => break,
            }
        }
        let _ = child.kill();
        child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
