//! The folder of the demonstration: of this user alone, gone with the demonstration.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder that is removed with this value.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that did not exist: whatever waits under a name that could be guessed is not used.
    pub(super) fn new() -> io::Result<Self> {
        let place = std::env::temp_dir();
        for suffix in 0..=u16::MAX {
            let path = match suffix {
                0 => place.join(format!("portcullis-demo-{}", std::process::id())),
                more => place.join(format!("portcullis-demo-{}-{more}", std::process::id())),
            };
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left who could do anything about it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_new_and_private_and_goes_away() {
        let (first, second) = (Folder::new().unwrap(), Folder::new().unwrap());
        assert_ne!(first.path(), second.path());
        let mode = std::fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = first.path().to_owned();
        std::fs::write(path.join("a"), "b").unwrap();
        drop(first);
        assert!(!path.exists());
    }
}
