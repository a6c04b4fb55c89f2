//! Another root without a failed handshake: the new one is believed everywhere before it signs, and the old one until nothing
//! that it signed is left.
//!
//! ```text
//! idle ─ start ─▶ announced: both are believed, the old one signs
//!                 │ all nodes have said that they believe the new one
//!                 ▼
//!                 switched: both are believed, the new one signs
//!                 │ one leaf's life later
//!                 ▼
//! idle ◀───────── the old one is gone
//! ```

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::ca::{Ca, CaError, Files, Lives, certificates, make_root, write};
use super::ledger::{self, Ledger};

/// How far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// What holds now.
    pub phase: Phase,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// When the old root may go, in seconds since 1970; 0 before the switch.
    pub until: u64,
}

/// What holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Both roots are believed, the old one signs.
    Announced,
    /// Both roots are believed, the new one signs.
    Switched,
}

/// What a step of a rotation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// There is no rotation.
    Idle,
    /// The new root was announced.
    Announced,
    /// These nodes have not said that they believe the new root.
    Waits(Vec<String>),
    /// The new root signs from now on.
    Switched,
    /// The old root is believed so many seconds longer.
    Lingers(u64),
    /// The old root is gone.
    Done,
}

/// Whether nodes that are silent may be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// They may not.
    Waits,
    /// They may: what they hold fails from then on.
    Forces,
}

/// Begins a rotation: makes the next root, which is believed from now on.
pub fn begin(directory: &Path, lives: Lives) -> Result<Advance, CaError> {
    let files = Files::new(directory);
    let ca = Ca::open(directory)?;
    Ledger::change(directory, |ledger| {
        if ledger.rotation.is_some() {
            return Err(CaError::Make("a rotation is under way already".to_owned()));
        }
        make_root(&files.next, ca.trust_domain(), lives)?;
        ledger.bundle_version += 1;
        let since = ledger::now();
        ledger.rotation = Some(Rotation { phase: Phase::Announced, since, until: 0 });
        Ok(Advance::Announced)
    })
}

/// Goes on with the rotation, if the next step may be done now.
pub fn advance(directory: &Path, lives: Lives, patience: Patience) -> Result<Advance, CaError> {
    if Ledger::read(directory)?.rotation.is_none() {
        return Ok(Advance::Idle);
    }
    let files = Files::new(directory);
    Ledger::change(directory, |ledger| {
        let Some(rotation) = ledger.rotation.clone() else { return Ok(Advance::Idle) };
        match rotation.phase {
            Phase::Announced => {
                let behind: Vec<_> = ledger.behind().into_iter().map(str::to_owned).collect();
                if !behind.is_empty() && patience == Patience::Waits {
                    return Ok(Advance::Waits(behind));
                }
                switch(&files, lives)?;
                let since = ledger::now();
                let until = since + lives.leaf.as_secs() + super::ca::SKEW.as_secs();
                ledger.rotation = Some(Rotation { phase: Phase::Switched, since, until });
                Ok(Advance::Switched)
            }
            Phase::Switched => {
                let left = rotation.until.saturating_sub(ledger::now());
                if left > 0 && patience == Patience::Waits {
                    return Ok(Advance::Lingers(left));
                }
                remove(&files)?;
                ledger.bundle_version += 1;
                ledger.rotation = None;
                Ok(Advance::Done)
            }
        }
    })
}

/// The new root takes the place of the old one, which is kept as a certificate without its key.
fn switch(files: &Files, lives: Lives) -> Result<(), CaError> {
    // Whatever of it was done before a stop in the middle is not done twice.
    if files.next.certificate.exists() {
        let old = super::client::pem(&[files.root.certificate()?]);
        write(&files.retired, &old)?;
        files.next.rename_to(&files.root)?;
    }
    Ca::sign_intermediate(files, lives)
}

fn remove(files: &Files) -> Result<(), CaError> {
    match std::fs::remove_file(&files.retired) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CaError::File { path: files.retired.clone(), reason: error.to_string() })
        }
        _ => Ok(()),
    }
}

/// The roots that are believed now: the one that signs first.
pub(super) fn roots(directory: &Path) -> Result<Vec<CertificateDer<'static>>, CaError> {
    let files = Files::new(directory);
    let mut roots = vec![files.root.certificate()?];
    for other in [&files.next.certificate, &files.retired] {
        if other.exists() {
            roots.extend(certificates(other)?);
        }
    }
    roots.dedup();
    Ok(roots)
}

/// What an operator wants to know of a rotation.
pub fn status(directory: &Path) -> Result<String, CaError> {
    let ledger = Ledger::read(directory)?;
    let behind = ledger.behind().join(", ");
    let nodes = format!("bundle {}, {} nodes", ledger.bundle_version, ledger.nodes.len());
    let waiting = match behind.as_str() {
        "" => "all of them have it".to_owned(),
        names => format!("not acknowledged by: {names}"),
    };
    Ok(match &ledger.rotation {
        None => format!("no rotation is under way; {nodes}, {waiting}"),
        Some(rotation) => format!("{rotation}; {nodes}, {waiting}"),
    })
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.phase {
            Phase::Announced => f.write_str("the new root is announced, the old one signs"),
            Phase::Switched => {
                let left = Duration::from_secs(self.until.saturating_sub(ledger::now()));
                write!(f, "the new root signs, the old one is believed for another {left:?}")
            }
        }
    }
}
