//! `Office`: what all orders of one resolver share.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::account::Known;
use super::challenges::Challenges;
use super::settings::Settings;
use super::storage::Storage;

/// What all orders of one resolver share.
pub(super) struct Office {
    /// The resolver's name.
    pub(super) name: Arc<str>,
    pub(super) settings: Settings,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) challenges: Arc<Challenges>,
    /// This process among those that share the storage.
    pub(super) holder: Arc<str>,
    pub(super) account: Known,
    /// One at a time opens the account.
    pub(super) opening: Mutex<()>,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").field("name", &self.name).finish_non_exhaustive()
    }
}
