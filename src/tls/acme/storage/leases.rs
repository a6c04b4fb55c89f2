//! What instances that share a file agree on: leases and proofs, in a second file beside the first.
//!
//! Every change reads, changes and replaces that file while it holds the system's lock on it, which the system takes back from
//! a process that dies. Leases lapse by their own time as well, for volumes whose locks do not.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Nobody needs more; a larger file is not ours.
const LARGEST: u64 = 1 << 20;

/// How long the lock of the system is waited for; it is held for moments only.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file beside the storage.
#[derive(Debug)]
pub(super) struct Shared(PathBuf);

#[derive(Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    leases: BTreeMap<String, Timed>,
    #[serde(default)]
    proofs: BTreeMap<String, Timed>,
}

/// A holder or a proof, good until a time in seconds since 1970.
#[derive(Serialize, Deserialize)]
struct Timed {
    value: String,
    until: u64,
}

impl Shared {
    /// The file that belongs to the storage `path`.
    pub(super) fn beside(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        Self(name.into())
    }

    /// Takes or prolongs a lease; whether `holder` has it now.
    pub(super) fn lease(&self, key: &str, holder: &str, duration: Duration) -> io::Result<bool> {
        self.change(|content| {
            let taken = content.leases.get(key).is_some_and(|lease| lease.value != holder);
            if !taken {
                content.leases.insert(key.to_owned(), timed(holder, duration));
            }
            !taken
        })
    }

    /// Gives a lease back.
    pub(super) fn release(&self, key: &str, holder: &str) -> io::Result<()> {
        self.change(|content| {
            content.leases.retain(|own, lease| own != key || lease.value != holder);
        })
    }

    /// Shows a proof.
    pub(super) fn announce(&self, key: &str, proof: &str, duration: Duration) -> io::Result<()> {
        self.change(|content| {
            content.proofs.insert(key.to_owned(), timed(proof, duration));
        })
    }

    /// Takes a proof back.
    pub(super) fn withdraw(&self, key: &str) -> io::Result<()> {
        self.change(|content| {
            content.proofs.remove(key);
        })
    }

    /// A proof, read without the lock: whoever reads in the middle of a change sees none.
    pub(super) fn proof(&self, key: &str) -> Option<String> {
        if fs::metadata(&self.0).ok()?.len() > LARGEST {
            return None;
        }
        let mut content: Content = serde_json::from_slice(&fs::read(&self.0).ok()?).ok()?;
        content.proofs.remove(key).filter(|proof| proof.until > now()).map(|proof| proof.value)
    }

    /// Keeps everybody else from a change, of this file and of the one that it belongs to, until the file is dropped.
    pub(super) fn hold(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.0)?;
        lock(&file)?;
        Ok(file)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Content) -> R) -> io::Result<R> {
        let mut file = self.hold()?;
        let mut text = Vec::new();
        (&file).take(LARGEST).read_to_end(&mut text)?;
        // What a dead instance left half written counts as nothing: leases lapse, proofs fail and are tried again.
        let mut content: Content = serde_json::from_slice(&text).unwrap_or_default();
        content.leases.retain(|_, lease| lease.until > now());
        content.proofs.retain(|_, proof| proof.until > now());
        let result = change(&mut content);
        let text = serde_json::to_vec(&content)?;
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&text)?;
        file.sync_data()?;
        Ok(result)
    }
}

/// Waits for the lock; it ends with the file.
fn lock(file: &File) -> io::Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "somebody else holds its lock",
                ));
            }
            // A volume without locks: leases alone must do.
            Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(());
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn timed(value: &str, duration: Duration) -> Timed {
    Timed { value: value.to_owned(), until: now() + duration.as_secs().max(1) }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn shared() -> (tempfile::TempDir, Shared) {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::beside(&folder.path().join("acme.json"));
        (folder, shared)
    }

    #[test]
    fn one_holder_at_a_time() {
        let (_folder, shared) = shared();
        assert!(shared.lease("a.test", "one", MINUTE).unwrap());
        assert!(!shared.lease("a.test", "two", MINUTE).unwrap());
        assert!(shared.lease("b.test", "two", MINUTE).unwrap());
        assert!(shared.lease("a.test", "one", MINUTE).unwrap(), "it may be prolonged");
        shared.release("a.test", "two").unwrap();
        assert!(!shared.lease("a.test", "two", MINUTE).unwrap(), "only the holder gives it back");
        shared.release("a.test", "one").unwrap();
        assert!(shared.lease("a.test", "two", MINUTE).unwrap());
    }

    #[test]
    fn the_lease_of_a_dead_holder_lapses() {
        let (_folder, shared) = shared();
        let text = format!(r#"{{"leases":{{"a.test":{{"value":"dead","until":{}}}}}}}"#, now() - 1);
        fs::write(&shared.0, text).unwrap();
        assert!(shared.lease("a.test", "two", MINUTE).unwrap());
    }

    #[test]
    fn a_hundred_contenders_have_one_winner() {
        let (_folder, shared) = shared();
        let shared = &shared;
        let wins = std::thread::scope(|scope| {
            let contend = |index: usize| {
                scope.spawn(move || shared.lease("a.test", &index.to_string(), MINUTE).unwrap())
            };
            let all: Vec<_> = (0..100).map(contend).collect();
            all.into_iter().filter_map(|one| one.join().unwrap().then_some(())).count()
        });
        assert_eq!(wins, 1);
    }

    #[test]
    fn proofs_are_shown_until_they_are_taken_back() {
        let (_folder, shared) = shared();
        assert_eq!(shared.proof("http/x"), None);
        shared.announce("http/x", "x.thumb", MINUTE).unwrap();
        assert_eq!(shared.proof("http/x").as_deref(), Some("x.thumb"));
        shared.withdraw("http/x").unwrap();
        assert_eq!(shared.proof("http/x"), None);
    }

    #[test]
    fn rubbish_counts_as_nothing() {
        let (_folder, shared) = shared();
        fs::write(&shared.0, "{\"leases\":{\"a.te").unwrap();
        assert_eq!(shared.proof("http/x"), None);
        assert!(shared.lease("a.test", "one", MINUTE).unwrap());
    }
}
