//! Noticing changes: the kernel's events for the folders that matter, gathered until somebody looks.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::tree::text::Format;
use tokio::sync::Notify;

use super::walk::{Names, Places};

/// What must be read again.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    all: bool,
    /// Somebody asked for it.
    pub(super) asked: bool,
    paths: BTreeSet<PathBuf>,
    /// Files that somebody writes to.
    open: BTreeSet<PathBuf>,
}

impl Dirty {
    /// Everything.
    pub(super) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Everything, since somebody asked for it.
    pub(super) fn asked() -> Self {
        Self { all: true, asked: true, ..Self::default() }
    }

    /// Whether the file at this real path must be read even if it looks as it did.
    pub(super) fn contains(&self, real: &Path) -> bool {
        self.all || self.paths.contains(real)
    }

    /// Whether somebody writes to the file at this real path.
    pub(super) fn is_open(&self, real: &Path) -> bool {
        self.open.contains(real)
    }
}

/// Watches folders.
pub(super) struct Watcher {
    kernel: Result<RecommendedWatcher, String>,
    /// What is watched, with device and inode: a folder may be replaced by another one of the same name.
    watched: HashMap<PathBuf, (u64, u64)>,
    refused: Option<String>,
    signals: Arc<Signals>,
}

/// Who wrote to a file and did not close it counts as writing for so long after the last write.
const WRITING: Duration = Duration::from_secs(2);

/// More changed paths than these mean: everything.
const PATHS: usize = 10_000;

impl Watcher {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let signals = Arc::new(Signals::default());
        let handler = Arc::clone(&signals);
        let kernel = notify::recommended_watcher(move |event| handler.take_in(event));
        Self {
            kernel: kernel.map_err(|error| error.to_string()),
            watched: HashMap::new(),
            refused: None,
            signals,
        }
    }

    /// Watches exactly these places from now on.
    pub(super) fn watch(&mut self, places: &Places) {
        let Ok(kernel) = &mut self.kernel else { return };
        self.signals.state.lock().places = places.clone();
        let identity = |folder: &Path| folder.metadata().ok().map(|it| (it.dev(), it.ino()));
        self.watched.retain(|folder, known| {
            let stays = places.0.contains_key(folder) && identity(folder) == Some(*known);
            if !stays {
                // It may be gone already, and the kernel's watch with it.
                let _ = kernel.unwatch(folder);
            }
            stays
        });
        self.refused = None;
        for folder in places.0.keys() {
            let Some(identity) = identity(folder).filter(|_| !self.watched.contains_key(folder))
            else {
                continue;
            };
            match kernel.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone(), identity);
                    // What happened between reading and watching went unseen.
                    self.signals.state.lock().look = true;
                    self.signals.changed.notify_one();
                }
                Err(error) => self.refused = Some(error.to_string()),
            }
        }
    }

    /// Waits for the next change.
    pub(super) async fn changed(&self) {
        self.signals.changed.notified().await;
    }

    /// Whether there was a change that nobody has looked at.
    pub(super) fn is_dirty(&self) -> bool {
        let state = self.signals.state.lock();
        state.all || state.look || !state.paths.is_empty()
    }

    /// What changed since the last call.
    pub(super) fn take(&self) -> Dirty {
        let mut state = self.signals.state.lock();
        state.look = false;
        state.open.retain(|_, last| last.elapsed() < WRITING);
        Dirty {
            asked: false,
            all: std::mem::take(&mut state.all),
            paths: std::mem::take(&mut state.paths),
            open: state.open.keys().cloned().collect(),
        }
    }

    /// What cannot be watched, if so.
    pub(super) fn problem(&self) -> Option<Problem> {
        let reason = self.refused.as_ref().or(self.kernel.as_ref().err())?;
        let message = format!(
            "changes are noticed only once a second, since the files cannot be watched: {reason}; \
             a higher `fs.inotify.max_user_watches` or `fs.inotify.max_user_instances` may help"
        );
        Some(Problem::warning(Kind::Provider, "file", message))
    }
}

/// Where the kernel's thread leaves word.
#[derive(Default)]
struct Signals {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    places: Places,
    /// Everything must be read again.
    all: bool,
    /// What looks different must be read again.
    look: bool,
    paths: BTreeSet<PathBuf>,
    /// Files written to and not closed, with the time of the last write.
    open: HashMap<PathBuf, Instant>,
}

impl Signals {
    fn mark_all(&self) {
        self.state.lock().all = true;
        self.changed.notify_one();
    }

    fn take_in(&self, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) if event.need_rescan() => return self.mark_all(),
            Ok(event) => event,
            Err(_) => return self.mark_all(),
        };
        let Some(touch) = Touch::of(event.kind) else { return };
        let mut state = self.state.lock();
        let mut news = false;
        for path in event.paths {
            news |= state.take_in(path, touch);
        }
        drop(state);
        if news {
            self.changed.notify_one();
        }
    }
}

impl State {
    /// Whether this change matters.
    fn take_in(&mut self, path: PathBuf, touch: Touch) -> bool {
        if !self.matters(&path, touch) {
            return false;
        }
        match touch {
            Touch::Written => drop(self.open.insert(path.clone(), Instant::now())),
            Touch::Closed | Touch::Other => drop(self.open.remove(&path)),
            Touch::Attributes => {}
        }
        if self.paths.len() >= PATHS {
            self.all = true;
            self.paths.clear();
        }
        self.paths.insert(path);
        true
    }

    fn matters(&self, path: &Path, touch: Touch) -> bool {
        // The folder itself was moved or removed.
        if self.places.0.contains_key(path) {
            return true;
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        match self.places.0.get(folder) {
            None => false,
            Some(Names::Only(names)) => names.contains(name),
            // Names may be links or folders; content matters only where we would read it.
            Some(Names::All) => touch == Touch::Other || Format::of(path).is_some(),
        }
    }
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Written,
    Closed,
    Attributes,
    /// It came, went or was renamed.
    Other,
}

impl Touch {
    fn of(kind: EventKind) -> Option<Self> {
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Self::Closed),
            EventKind::Access(_) => None,
            EventKind::Modify(ModifyKind::Data(_)) => Some(Self::Written),
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Self::Attributes),
            _ => Some(Self::Other),
        }
    }
}
