//! OCSP stapling (RFC 6960, RFC 6066 section 8): the status of each certificate, shown in the handshake.
//!
//! ```text
//! store changes ─▶ rounds: subject ─▶ question ─▶ responder ─▶ answer, checked ─▶ certificate ─▶ handshakes
//! ```
//!
//! A certificate serves without an answer until there is one, and again once the last one has ended: an answer is never
//! waited for, and none is shown that a client would refuse. Nothing here runs on a worker.
//!
//! Traefik: it asks once for what there is, never again, and shows whatever was answered until the process ends.

mod answer;
mod board;
mod rounds;
mod schedule;
mod subject;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use indexmap::IndexMap;
use parking_lot::Mutex;

pub use self::board::{Counts, Standing, State};

use self::board::Board;
use self::rounds::Rounds;
use super::acme::https::{self, Clear, Https, System};
use super::offered::Offered;
use crate::install;
use crate::net::task;

/// How long a responder may take for an answer. Traefik: the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answers for the certificates of the store; nothing where the user does not want it.
pub struct Stapling {
    board: Arc<Board>,
    /// Taken by [`Stapling::start`].
    wish: Mutex<Option<Wish>>,
}

/// What the user wants.
struct Wish {
    overrides: IndexMap<String, String>,
    offered: Offered,
}

impl Stapling {
    /// Asks nobody before [`Stapling::start`], and nobody at all without `settings`.
    pub(super) fn new(settings: Option<&install::Ocsp>, offered: &Offered) -> Self {
        let wish = settings.map(|settings| Wish {
            overrides: settings.responder_overrides.clone(),
            offered: offered.clone(),
        });
        Self { board: Arc::default(), wish: Mutex::new(wish) }
    }

    /// Begins to ask responders, on the control runtime.
    pub fn start(&self) {
        let Some(Wish { overrides, offered }) = self.wish.lock().take() else { return };
        let settings = https::Settings {
            whole: PATIENCE,
            head: PATIENCE,
            server_name: None,
            // Answers are signed; certificates name their responders by `http:` (RFC 5280 section 4.2.2.1).
            clear: Clear::Allowed,
        };
        let https = https::roots(&[], System::Not).and_then(|roots| Https::new(roots, settings));
        let https = match https {
            Ok(https) => https,
            Err(error) => return tracing::error!("no certificate gets an OCSP answer: {error}"),
        };
        let rounds = Rounds::new(offered, https, overrides, Arc::clone(&self.board));
        task::spawn_control(async move {
            if AssertUnwindSafe(rounds.run()).catch_unwind().await.is_err() {
                tracing::error!("asking for OCSP answers panicked, and nobody is asked any more");
            }
        });
    }

    /// How the certificate with this fingerprint stands; `None` where nobody asks.
    pub fn standing(&self, fingerprint: &str) -> Option<Standing> {
        self.board.standing(fingerprint)
    }

    /// What was answered so far.
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }
}

impl fmt::Debug for Stapling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stapling").finish_non_exhaustive()
    }
}
