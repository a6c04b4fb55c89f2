//! Upgrades: a successor takes the listening sockets over, and this process ends once the successor serves.
//!
//! Wishes come by SIGUSR2 or by the control socket, and are met one after the other.

mod control;
mod successor;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::sockets::{Sockets, notify};
use crate::cli::Activation;
use crate::net::listen;
use control::Control;

/// How long a successor may take until it is ready, unless the wish says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody wants.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// The program to start; absent = as this one was started.
    program: Option<PathBuf>,
    patience: Duration,
}

/// Waits for wishes and meets them.
pub(super) struct Upgrades {
    signals: Signal,
    control: Option<Control>,
    sockets: Sockets,
    notify: Option<String>,
}

impl Upgrades {
    /// Listens for wishes. `sockets` are those of all entry points.
    pub(super) fn new(told: &Activation, mut sockets: Sockets) -> anyhow::Result<Self> {
        let signals = signal(SignalKind::user_defined2()).context("cannot wait for SIGUSR2")?;
        let control = Control::open(told.control.as_deref(), &mut sockets);
        sockets.close_unused();
        Ok(Self { signals, control, sockets, notify: told.notify.clone() })
    }

    /// Meets wishes until one succeeded: the successor serves, and this process has to drain. Dropped while a successor
    /// starts, it ends that. What fails is logged and told to whoever asked.
    pub(super) async fn until_handed_over(&mut self) {
        loop {
            let (wish, asker) = tokio::select! {
                _ = self.signals.recv() => (Wish { program: None, patience: PATIENCE }, None),
                (wish, asker) = control::next(self.control.as_ref()) => (wish, Some(asker)),
            };
            let outcome = self.meet(&wish).await;
            match &outcome {
                Ok(process) => tracing::info!("process {process} has taken over"),
                Err(reason) => tracing::error!("cannot upgrade, and serve on: {reason}"),
            }
            if let Some(asker) = asker {
                asker.answer(&outcome).await;
            }
            if outcome.is_ok() {
                return;
            }
        }
    }

    /// Gives the successor's process id.
    async fn meet(&mut self, wish: &Wish) -> Result<u32, String> {
        if std::process::id() == 1 {
            return Err(
                "this is process 1, and its container would end with it; replace the container"
                    .to_owned(),
            );
        }
        let started =
            wish.program.clone().map(OsString::from).or_else(|| std::env::args_os().next());
        let program = started.ok_or("nobody said how this program was started")?;
        let shown = PathBuf::from(&program);
        tracing::info!("upgrade: {} is started and takes over once it is ready", shown.display());
        let estate = self.sockets.estate();
        let mut estate = estate.map_err(|error| format!("sockets cannot be copied: {error}"))?;
        let sockets = std::mem::take(&mut estate.sockets);
        let successor = successor::start(&program, sockets, &self.sockets.activated)?;
        let process = successor.ready_within(wish.patience).await?;
        // Both accept now, from the same queues; this one stops without touching them. Datagrams have one reader at a
        // time: those of the successor begin when they are told.
        listen::hand_over();
        self.sockets.hand_over(estate);
        notify(self.notify.as_deref(), &format!("MAINPID={process}"));
        Ok(process)
    }

    /// The gateway ends without a successor: whatever it listens on can be closed.
    pub(super) fn close(self) {
        if let Some(control) = self.control {
            control.remove();
        }
    }
}
