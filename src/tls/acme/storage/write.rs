//! Replacing a file that is never to be lost: by rename or, where that cannot be, in place.
//!
//! In place (a folder that cannot be written, a file mounted on its own) the new text is first written *behind* the old one,
//! beyond the length of either, and synced; then at the beginning, and synced; then the rest is cut off. Whenever that stops,
//! the old text or the new one stands whole at the beginning, or the new one stands whole at the end on lines of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Only the owner may read: the file holds keys.
const MODE: u32 = 0o600;

/// Replaces the content of `path`, which need not exist.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays one; what it names is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match by_rename(&path, text) {
        Err(error) if path.exists() && is_about_the_folder(&error) => in_place(&path, text),
        done => done,
    }
}

fn is_about_the_folder(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

fn by_rename(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let written = create(&temporary, path, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // The new name must survive a loss of power as well.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn create(temporary: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        // Whoever owns the file goes on owning it, if we may.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(text)?;
    file.sync_all()
}

/// A name in the same folder that nobody has.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{:08x}", std::process::id(), fastrand::u32(..)))
}

fn in_place(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let old = file.metadata()?.len();
    let length = text.len() as u64;
    if let Err(error) = behind(&mut file, old, text) {
        // No space: what stood there stays as it was.
        file.set_len(old)?;
        return Err(error);
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text)?;
    file.sync_all()?;
    file.set_len(length)?;
    file.sync_all()
}

fn behind(file: &mut File, old: u64, text: &[u8]) -> io::Result<()> {
    let gap = (text.len() as u64).saturating_sub(old);
    file.seek(SeekFrom::Start(old))?;
    // Blanks, so that nothing but white space stands between the two.
    io::copy(&mut io::Read::take(io::repeat(b' '), gap), file)?;
    file.write_all(b"\n")?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(path: &Path) -> Vec<u8> {
        fs::read(path).unwrap()
    }

    #[test]
    fn a_new_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.json");
        replace(&path, b"{}").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"{ }").unwrap();
        assert_eq!(read(&path), b"{ }");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.json"), folder.path().join("acme.json"));
        fs::write(&real, b"{}").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"{\"a\":1}").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&real), b"{\"a\":1}");
    }

    #[test]
    fn in_place_a_shorter_and_a_longer_text_replace_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.json");
        fs::write(&path, b"{\"long\": \"0123456789\"}\n").unwrap();
        for text in [&b"{}\n"[..], b"{\"longer\": \"01234567890123456789\"}\n", b"{\"a\": 1}\n"] {
            in_place(&path, text).unwrap();
            assert_eq!(read(&path), text);
        }
    }

    /// Every state that a stop in the middle of writing in place can leave.
    #[test]
    fn whenever_writing_in_place_stops_a_whole_text_can_be_read() {
        let small = b"{\n  \"a\": 1\n}\n".to_vec();
        let large = b"{\n  \"b\": { \"c\": [1, 2, 3, 4, 5, 6, 7, 8, 9] }\n}\n".to_vec();
        for (old, new) in [(&small, &large), (&large, &small)] {
            let mut states = Vec::new();
            let mut behind = old.clone();
            behind.extend(std::iter::repeat_n(b' ', new.len().saturating_sub(old.len())));
            behind.push(b'\n');
            behind.extend_from_slice(new);
            states.extend((old.len()..=behind.len()).map(|cut| behind[..cut].to_vec()));
            states.extend((0..=new.len()).map(|cut| {
                let mut state = behind.clone();
                state[..cut].copy_from_slice(&new[..cut]);
                state
            }));
            for state in states {
                let whole = Document::parse(&state).unwrap().text();
                let expected = [old, new].map(|text| Document::parse(text).unwrap().text());
                assert!(expected.contains(&whole), "{}", String::from_utf8_lossy(&state));
            }
        }
    }
}
