//! Where the identities of this process come from: begins whatever obtains and renews them.

mod control;
mod joining;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::ca::Lives;
use super::grant::Placement;
use super::keeper::Keeper;
use crate::tls::spiffe::Holder;

/// What [`start`] needs to know.
#[derive(Debug)]
pub struct Settings {
    /// Where the authority, and what was issued to this process, is kept.
    pub directory: PathBuf,
    /// The trust domain.
    pub trust_domain: String,
    /// The name of this node.
    pub node: String,
    /// Who signs.
    pub source: Source,
}

/// Who signs.
pub enum Source {
    /// This process, which has the authority in its folder.
    Control {
        /// Where nodes ask; nobody may if there is none.
        listener: Option<TcpListener>,
        /// How long certificates live.
        lives: Lives,
        /// Which accounts run where.
        placement: Arc<dyn Placement>,
    },
    /// An authority elsewhere, which this node joins.
    Join {
        /// Where it is, `host:port`; where the token says if this is empty.
        control: Vec<String>,
        /// The file with the token for the first time.
        token_file: Option<PathBuf>,
    },
}

/// Begins to obtain identities for `holder`, for as long as the keeper is there: at once that of the node itself, every other
/// when [`Keeper::want`] names it. What was kept from before is there when this returns.
///
/// An error says what cannot be used; where the authority is only away, this goes on asking.
pub fn start(settings: Settings, holder: &Arc<Holder>) -> Result<Arc<Keeper>, String> {
    match settings.source {
        Source::Control { listener, lives, placement } => {
            let about = (settings.directory, settings.node);
            control::start(about, &settings.trust_domain, (listener, lives, placement), holder)
        }
        Source::Join { control, token_file } => {
            let about = (settings.directory, settings.node);
            joining::start(about, &settings.trust_domain, (control, token_file), holder)
        }
    }
}

/// The name of the file with the identities of the process.
const CACHE: &str = "identities.json";

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Control { .. } => "Control",
            Self::Join { .. } => "Join",
        })
    }
}
