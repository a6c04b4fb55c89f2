//! `file` reads routing configuration from a file or a folder and follows its changes.
//!
//! Three parts: `walk` finds the files, `store` reads them and keeps the last good content of each, `watch` says
//! when to look again. A file counts only once nobody is writing to it, so a half-written one is never applied.

mod join;
mod named;
mod store;
mod walk;
mod watch;

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Built, Failure, Later, Options, Provider, Publisher, Weight};
use store::{Found, Rest, Store};
use watch::{Dirty, Watcher};

/// Reads routing configuration from a file, or from every TOML and YAML file of a folder and its sub-folders.
///
/// Files of a folder are read in the order of their names; where two define the same object, the first wins and the
/// second is reported. A file that cannot be read or parsed keeps what it last said, while the other files go on. What a
/// deleted file of a folder said goes with it. Files that the configuration names (certificates, keys, authorities) are
/// followed as well. Go templates (`{{ … }}`), which Traefik allows in these files, are
/// not served yet: a file that holds one is refused.
///
/// ```yaml
/// providers:
///   file:
///     directory: /etc/portcullis/routing
/// ```
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct File {
    /// The file to read; its ending says how: `.toml`, `.yaml`, `.yml` or `.json`. Excludes `directory`.
    pub filename: String,
    /// The folder to read. Names that begin with `..` or `.#` are passed over. Excludes `filename`.
    pub directory: String,
    /// Whether changes are followed. Otherwise files are read once, and again on the signal HUP.
    pub watch: bool,
    /// Accepted for Traefik's sake; has no effect, since there are no templates to log.
    pub debug_log_generated_template: bool,
}

impl Default for File {
    fn default() -> Self {
        Self {
            filename: String::new(),
            directory: String::new(),
            watch: true,
            debug_log_generated_template: false,
        }
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    File(PathBuf),
    Folder(PathBuf),
}

/// A burst of changes is over when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(15);

/// An endless burst is looked at after this long; files that somebody writes to are passed over then.
const PATIENCE: Duration = Duration::from_millis(100);

/// News is said after this long even if files still change.
const HOLD: Duration = Duration::from_millis(250);

/// How often files are looked at without any event: some mounts (of single files, over the network) tell of none.
const POLL: Duration = Duration::from_secs(5);

/// The same where nothing can be watched.
const BLIND_POLL: Duration = Duration::from_secs(1);

impl Options for File {
    fn build(self) -> Built {
        let root = match (self.filename.as_str(), self.directory.as_str()) {
            ("", "") => Err("expected `filename` or `directory`"),
            ("", folder) => Ok(Root::Folder(folder.into())),
            (file, "") => Ok(Root::File(file.into())),
            _ => Err("`filename` and `directory` exclude each other; keep one"),
        };
        let root =
            root.map_err(|message| vec![Problem::error(Kind::Install, "providers.file", message)])?;
        Ok(Box::new(Watch { store: Some(Store::new(root)), follow: self.watch }))
    }
}

/// The running provider.
struct Watch {
    /// Away only while files are being read, which may block and is done on a thread for that.
    store: Option<Store>,
    follow: bool,
}

impl Provider for Watch {
    fn name(&self) -> &'static str {
        "file"
    }

    fn run<'a>(&'a mut self, out: &'a Publisher) -> Later<'a, Result<Infallible, Failure>> {
        Box::pin(self.follow(out))
    }
}

impl Watch {
    async fn follow(&mut self, out: &Publisher) -> Result<Infallible, Failure> {
        let mut watcher = if self.follow { Some(Watcher::new()) } else { None };
        let mut dirty = Dirty::all();
        let mut held = Some(Instant::now());
        let mut weight = Weight::IfDifferent;
        let mut contact = None;
        loop {
            let asked = dirty.asked;
            let found = self.look(&mut watcher, dirty).await?;
            if asked || found.named {
                weight = Weight::Always;
            }
            if found.news || weight == Weight::Always {
                held.get_or_insert_with(Instant::now);
            }
            // Files that change together are applied together if they come to rest soon.
            let moving =
                found.rest == Rest::Unsettled || watcher.as_ref().is_some_and(Watcher::is_dirty);
            if held.is_some_and(|since| !moving || since.elapsed() > HOLD) {
                held = None;
                let (routing, mut problems) = self.store_mut()?.routing();
                problems.extend(watcher.as_ref().and_then(Watcher::problem));
                match weight {
                    Weight::IfDifferent => out.publish(routing, problems),
                    Weight::Always => out.publish_again(routing, problems),
                }
                weight = Weight::IfDifferent;
            }
            if contact != Some(found.contact) {
                contact = Some(found.contact);
                out.contact(found.contact);
            }
            dirty = match &watcher {
                Some(watcher) => wait(watcher, found.rest, out).await,
                None if found.rest == Rest::Unsettled => {
                    tokio::time::sleep(QUIET).await;
                    Dirty::default()
                }
                None => {
                    out.asked_again().await;
                    Dirty::asked()
                }
            };
        }
    }

    /// Reads what changed, on a thread that may block.
    async fn look(
        &mut self,
        watcher: &mut Option<Watcher>,
        dirty: Dirty,
    ) -> Result<Found, Failure> {
        let lost = || Failure::new("the files were not read: the reader ended early");
        let mut store = self.store.take().ok_or_else(lost)?;
        let mut watching = watcher.take();
        let reading = tokio::task::spawn_blocking(move || {
            let found = store.look(&dirty);
            if let Some(watcher) = &mut watching {
                watcher.watch(store.places());
            }
            (store, watching, found)
        });
        let (store, watching, found) =
            reading.await.map_err(|error| Failure::caused("the files were not read", error))?;
        self.store = Some(store);
        *watcher = watching;
        Ok(found)
    }

    fn store_mut(&mut self) -> Result<&mut Store, Failure> {
        self.store.as_mut().ok_or_else(|| Failure::new("the files were not read"))
    }
}

/// Waits until there is something to look at, and until the burst of changes is over.
async fn wait(watcher: &Watcher, rest: Rest, out: &Publisher) -> Dirty {
    let pause = match rest {
        Rest::Unsettled => QUIET,
        Rest::Settled if watcher.problem().is_some() => BLIND_POLL,
        Rest::Settled => POLL,
    };
    tokio::select! {
        () = watcher.changed() => {}
        () = tokio::time::sleep(pause) => return watcher.take(),
        () = out.asked_again() => return Dirty::asked(),
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        tokio::select! {
            () = watcher.changed() => {}
            () = tokio::time::sleep(QUIET) => break,
            () = tokio::time::sleep_until(deadline) => break,
        }
    }
    watcher.take()
}

#[cfg(test)]
mod tests;
