//! The gateway that this one takes over from, and what it is told.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::Activation;

/// The gateway that started this one to take over from it. It waits for a word at the other end of standard input.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
}

/// The word of a successor that serves.
pub(crate) const READY: &str = "READY";
/// What a successor that cannot serve begins its reason with.
pub(crate) const ERROR: &str = "ERROR ";

impl Predecessor {
    /// The one that started this process, if one did.
    pub fn of_process() -> Option<Self> {
        let told = Activation::of_process();
        if told.predecessor.is_none() || !told.is_for_this_process() {
            return None;
        }
        let descriptor = io::stdin().as_fd().try_clone_to_owned().ok()?;
        Some(Self { stream: UnixStream::from(descriptor) })
    }

    /// Says that this gateway serves.
    pub fn ready(&self) {
        self.say(&format!("{READY}\n"));
    }

    /// Says why this gateway ends without having served.
    pub fn failed(&self, reason: &str) {
        self.say(&format!("{ERROR}{}\n", reason.replace('\n', " ")));
    }

    /// Nobody is left to tell if it has gone.
    fn say(&self, line: &str) {
        if let Err(error) = (&self.stream).write_all(line.as_bytes()) {
            tracing::debug!(%error, "the gateway before this one does not listen");
        }
    }
}
