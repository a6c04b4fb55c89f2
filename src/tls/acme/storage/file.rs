//! Accounts and certificates in a file, which instances on a shared volume may share.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use portcullis_config::units::Secret;

use super::document::Document;
use super::leases::Shared;
use super::{Entry, Storage, StorageError, Stored, write};

/// A larger file is no `acme.json`.
const LARGEST: u64 = 64 << 20;

/// A file like Traefik's `acme.json`.
#[derive(Clone, Debug)]
pub(in super::super) struct FileStorage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    shared: Shared,
    /// Held while the file is read, changed and written.
    writing: Mutex<()>,
    /// Whether it was said that the second file cannot be written.
    told: AtomicBool,
}

impl FileStorage {
    /// The file at `path`; it is made when there is something to keep.
    pub(in super::super) fn new(path: &str) -> Self {
        let path = PathBuf::from(path);
        let (shared, told) = (Shared::beside(&path), AtomicBool::new(false));
        Self(Arc::new(Inner { path, shared, writing: Mutex::new(()), told }))
    }

    /// Runs `work` where waiting for a disk does no harm.
    fn aside<'a, R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> R + Send + 'static,
    ) -> BoxFuture<'a, Option<R>> {
        let inner = Arc::clone(&self.0);
        async move { tokio::task::spawn_blocking(move || work(&inner)).await.ok() }.boxed()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Document) + Send + 'static,
    ) -> BoxFuture<'_, Result<(), StorageError>> {
        let path = self.0.path.display().to_string();
        let done = self.aside(|inner| inner.change(change));
        let stopped = StorageError::Write { path, reason: "the gateway stops".to_owned() };
        async move { done.await.unwrap_or(Err(stopped)) }.boxed()
    }
}

impl Inner {
    fn unreadable(&self, error: &io::Error) -> StorageError {
        StorageError::Read { path: self.path.display().to_string(), reason: error.to_string() }
    }

    fn read(&self) -> Result<Document, StorageError> {
        let path = self.path.display().to_string();
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StorageError::Permissions { path, mode });
        }
        if metadata.len() > LARGEST {
            let reason = "it is larger than 64 MiB".to_owned();
            return Err(StorageError::Malformed { path, reason });
        }
        let bytes = fs::read(&self.path).map_err(|error| self.unreadable(&error))?;
        Document::parse(&bytes).map_err(|reason| StorageError::Malformed { path, reason })
    }

    fn change(&self, change: impl FnOnce(&mut Document)) -> Result<(), StorageError> {
        let _writing = self.writing.lock();
        // Others read the whole, change it and write it as well.
        let _shared = self.alone(self.shared.hold().map(Some), None);
        let mut document = self.read()?;
        change(&mut document);
        write::replace(&self.path, &document.text()).map_err(|error| StorageError::Write {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// Without the second file there is nobody to agree with: the folder cannot be written, so the file is not shared.
    fn alone<R>(&self, result: io::Result<R>, otherwise: R) -> R {
        result.unwrap_or_else(|error| {
            if !self.told.swap(true, Ordering::Relaxed) {
                let path = Path::new(&self.path).display();
                tracing::warn!("`{path}.lock` cannot be written ({error}): do not share `{path}`");
            }
            otherwise
        })
    }
}

impl Storage for FileStorage {
    fn version(&self) -> BoxFuture<'_, Result<Option<String>, StorageError>> {
        let seen = self.aside(|inner| {
            let metadata = match fs::metadata(&inner.path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(inner.unreadable(&error)),
            };
            let (second, nano) = (metadata.mtime(), metadata.mtime_nsec());
            // The mode: permissions that were mended count as well.
            let (inode, mode) = (metadata.ino(), metadata.mode());
            Ok(Some(format!("{inode}.{second}.{nano}.{}.{mode}", metadata.len())))
        });
        async move { seen.await.unwrap_or(Ok(None)) }.boxed()
    }

    fn load<'a>(&'a self, resolver: &'a str) -> BoxFuture<'a, Result<Stored, StorageError>> {
        async move {
            let read = self.aside(|inner| {
                let _writing = inner.writing.lock();
                inner.read()
            });
            let (stored, odd) = read.await.unwrap_or(Ok(Document::default()))?.stored(resolver);
            for remark in odd {
                tracing::warn!(resolver, "`{}`: {remark}", self.0.path.display());
            }
            Ok(stored)
        }
        .boxed()
    }

    fn put_certificate<'a>(
        &'a self,
        resolver: &'a str,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        let (resolver, entry) = (resolver.to_owned(), entry.clone());
        self.change(move |document| document.put_certificate(&resolver, &entry))
    }

    fn put_account<'a>(
        &'a self,
        resolver: &'a str,
        account: &'a Secret,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        let (resolver, account) = (resolver.to_owned(), account.clone());
        self.change(move |document| document.put_account(&resolver, &account))
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        let taken =
            self.aside(move |inner| inner.alone(inner.shared.lease(&key, &holder, duration), true));
        async move { Ok(taken.await.unwrap_or(false)) }.boxed()
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, ()> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        let released =
            self.aside(move |inner| inner.alone(inner.shared.release(&key, &holder), ()));
        async move { released.await.unwrap_or_default() }.boxed()
    }

    fn announce<'a>(
        &'a self,
        key: &'a str,
        proof: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        let (key, proof) = (key.to_owned(), proof.to_owned());
        let announced = self.aside(move |inner| {
            inner.alone(inner.shared.announce(&key, &proof, duration), ());
        });
        async move {
            announced.await.unwrap_or_default();
            Ok(())
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        let key = key.to_owned();
        let withdrawn = self.aside(move |inner| inner.alone(inner.shared.withdraw(&key), ()));
        async move { withdrawn.await.unwrap_or_default() }.boxed()
    }

    fn proof<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        let key = key.to_owned();
        let found = self.aside(move |inner| inner.shared.proof(&key));
        async move { found.await.flatten() }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::names::Names;
    use super::*;

    fn entry(name: &str) -> Entry {
        let (names, key) = (Names::new([name]).unwrap(), Secret("key".to_owned()));
        Entry { names, chain: "chain".to_owned(), key }
    }

    fn place() -> (tempfile::TempDir, PathBuf, FileStorage) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.json");
        let storage = FileStorage::new(path.to_str().unwrap());
        (folder, path, storage)
    }

    #[tokio::test]
    async fn what_is_kept_is_found_again_by_another_instance() {
        let (_folder, path, storage) = place();
        assert_eq!(storage.version().await.unwrap(), None);
        storage.put_certificate("le", &entry("a.test")).await.unwrap();
        let other = FileStorage::new(path.to_str().unwrap());
        let version = other.version().await.unwrap();
        other.put_certificate("le", &entry("b.test")).await.unwrap();
        assert_ne!(other.version().await.unwrap(), version);
        let stored = storage.load("le").await.unwrap();
        assert_eq!(stored.certificates, [entry("a.test"), entry("b.test")]);
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused_and_left_alone() {
        let (_folder, path, storage) = place();
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = storage.load("le").await.unwrap_err().to_string();
        assert!(error.contains("permissions 644") && error.contains("600"), "{error}");
        storage.put_certificate("le", &entry("a.test")).await.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
    }

    #[tokio::test]
    async fn a_file_that_is_not_understood_is_left_alone() {
        let (_folder, path, storage) = place();
        fs::write(&path, "not json").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        storage.put_certificate("le", &entry("a.test")).await.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"not json");
    }

    #[tokio::test]
    async fn without_a_folder_the_error_names_the_file() {
        let storage = FileStorage::new("/nowhere/at/all/acme.json");
        let error = storage.put_certificate("le", &entry("a.test")).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all/acme.json"), "{error}");
    }

    #[test]
    fn nothing_shows_a_key() {
        assert!(
            !format!("{:?}", Stored { certificates: vec![entry("a.test")], account: None })
                .contains("\"key\"")
        );
    }
}
