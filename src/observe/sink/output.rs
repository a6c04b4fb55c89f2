//! Where a sink writes: standard output, or a file that may be moved away or rotated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, appended to; it is made if it does not exist. A named pipe may have no reader yet.
    File(PathBuf, Rotation),
}

/// When a file is put aside and how long the old ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes after which a new file is begun; `None` = never.
    pub size: Option<u64>,
    /// Old files that are kept; `None` = all.
    pub backups: Option<usize>,
    /// How long old files are kept; `None` = for ever.
    pub age: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    File { file: File, path: PathBuf, rotation: Rotation, size: u64 },
}

impl Output {
    pub(super) fn open(target: Target) -> io::Result<Self> {
        match target {
            Target::Stdout => Ok(Self::Stdout),
            Target::File(path, rotation) => {
                let (file, size) = open(&path)?;
                Ok(Self::File { file, path, rotation, size })
            }
        }
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File { file, path, rotation, size } => {
                let full = rotation.size.is_some_and(|limit| *size + lines.len() as u64 > limit);
                if full && *size > 0 && put_aside(path, rotation).is_ok() {
                    (*file, *size) = open(path)?;
                }
                *size += lines.len() as u64;
                file.write_all(lines)
            }
        }
    }

    /// Opens the file by its name again; the old one stays in use if that fails.
    pub(super) fn reopen(&mut self) {
        if let Self::File { file, path, size, .. } = self
            && let Ok(opened) = open(path)
        {
            (*file, *size) = opened;
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let metadata = std::fs::metadata(path);
    let is_pipe = metadata.as_ref().is_ok_and(|it| it.file_type().is_fifo());
    if let Some(directory) = path.parent().filter(|_| metadata.is_err()) {
        std::fs::create_dir_all(directory)?;
    }
    // A pipe that is open for reading, too, does not have to wait for its reader.
    let file = OpenOptions::new().read(is_pipe).append(true).create(!is_pipe).open(path)?;
    let size = if is_pipe { 0 } else { file.metadata()?.len() };
    Ok((file, size))
}

/// Renames the file to `name-2006-01-02T15-04-05.000.log` and removes those that are not to be kept.
fn put_aside(path: &Path, rotation: &Rotation) -> io::Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.3f").to_string();
    let (stem, extension) = (text(path.file_stem()), text(path.extension()));
    let extension = if extension.is_empty() { extension } else { format!(".{extension}") };
    std::fs::rename(path, path.with_file_name(format!("{stem}-{now}{extension}")))?;
    let mut old = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap_or(Path::new(".")))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let middle =
            name.strip_prefix(&format!("{stem}-")).and_then(|it| it.strip_suffix(&extension));
        if middle.is_some_and(|time| {
            time.len() == now.len() && time.starts_with(|c: char| c.is_ascii_digit())
        }) {
            let changed =
                entry.metadata().and_then(|it| it.modified()).unwrap_or(SystemTime::now());
            old.push((name, changed, entry.path()));
        }
    }
    old.sort_by(|a, b| b.0.cmp(&a.0));
    for (index, (_, changed, path)) in old.iter().enumerate() {
        let many = rotation.backups.is_some_and(|kept| index >= kept);
        let aged = rotation.age.is_some_and(|age| changed.elapsed().is_ok_and(|it| it > age));
        if many || aged {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn text(name: Option<&std::ffi::OsStr>) -> String {
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
