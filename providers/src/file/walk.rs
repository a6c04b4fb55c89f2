//! Finding the files of a folder, and the places where a change to them would show.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use portcullis_config::tree::text::Format;

/// What stands in a folder and below it.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Files with routing configuration; in the order of their names, folders in their place among them.
    pub(super) files: BTreeSet<PathBuf>,
    /// Folders below, the top one included.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Folders that could not be read, and why.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    entered: BTreeSet<PathBuf>,
}

/// Folders below folders; deeper ones are surely a circle of links.
const DEPTH: usize = 16;

/// More folders than this are surely the wrong folder.
const FOLDERS: usize = 10_000;

/// Finds the files below `folder`.
pub(super) fn walk(folder: &Path) -> Walked {
    let mut walked = Walked::default();
    walked.enter(folder, 0);
    walked
}

impl Walked {
    fn enter(&mut self, folder: &Path, depth: usize) {
        if let Err(error) = self.read(folder, depth) {
            self.unreadable.push((folder.to_owned(), error));
        }
    }

    fn read(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let real = folder.canonicalize()?;
        if !self.entered.insert(real) || depth > DEPTH {
            return Ok(());
        }
        if self.entered.len() > FOLDERS {
            return Err(io::Error::other(format!(
                "more than {FOLDERS} folders; is this the right one?"
            )));
        }
        let entries = folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
        self.folders.insert(folder.to_owned());
        for entry in entries {
            if is_passed_over(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            // Links count as what they lead to, in contrast to Traefik, which does not enter linked folders.
            if path.is_dir() {
                self.enter(&path, depth + 1);
            } else if matches!(Format::of(&path), Some(Format::Toml | Format::Yaml)) {
                self.files.insert(path);
            }
        }
        Ok(())
    }
}

/// Kubernetes keeps the versions of a ConfigMap in `..`, editors their locks in `.#`.
fn is_passed_over(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("..") || name.starts_with(".#"))
}

/// Which changes in a folder matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// All.
    All,
    /// Those of these entries.
    Only(BTreeSet<OsString>),
}

/// Folders to watch, by their real path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(pub(super) BTreeMap<PathBuf, Names>);

impl Places {
    /// Adds a folder all of whose entries matter.
    pub(super) fn add_folder(&mut self, folder: &Path) {
        if let Ok(real) = folder.canonicalize() {
            self.0.insert(real, Names::All);
        }
    }

    /// Adds every folder in which a link on the way to `path`, or `path` itself, could be replaced.
    pub(super) fn add_way(&mut self, path: &Path) {
        let Ok(mut path) = std::path::absolute(path) else { return };
        // The kernel follows as many links before it gives up.
        for _ in 0..40 {
            let Some((link, rest)) = first_link(&path) else { break };
            self.add_entry(&link);
            let Ok(target) = link.read_link() else { break };
            let folder = link.parent().unwrap_or(Path::new("/"));
            path = folder.join(target).join(rest);
        }
        self.add_entry(&path);
    }

    fn add_entry(&mut self, path: &Path) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(real) = folder.canonicalize() else {
            // It may come to be.
            return self.add_entry(folder);
        };
        match self.0.entry(real).or_insert_with(|| Names::Only(BTreeSet::new())) {
            Names::All => {}
            Names::Only(names) => drop(names.insert(name.to_owned())),
        }
    }
}

/// The first link on the way to `path`, and what follows it; `..` is resolved only behind links, where it means the
/// parent of their target.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut so_far = PathBuf::new();
    let mut components = path.components();
    while let Some(component) = components.next() {
        match component {
            Component::ParentDir => drop(so_far.pop()),
            other => so_far.push(other),
        }
        if so_far.is_symlink() {
            return Some((so_far, components.as_path().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let walked = walk(folder);
        let relative = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
        walked.files.iter().map(relative).collect()
    }

    fn write(path: PathBuf) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn files_come_in_the_order_of_names_with_sub_folders_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["c.yml", "a.toml", "b/z.yaml", "b/deep/y.TOML", "note.txt", "x.json", ".hidden.yml"]
        {
            write(folder.path().join(name));
        }
        assert_eq!(
            names(folder.path()),
            [".hidden.yml", "a.toml", "b/deep/y.TOML", "b/z.yaml", "c.yml"]
        );
    }

    #[test]
    fn a_config_map_shows_each_file_once() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("..2024/web.yml"));
        symlink("..2024", folder.path().join("..data")).unwrap();
        symlink("..data/web.yml", folder.path().join("web.yml")).unwrap();
        assert_eq!(names(folder.path()), ["web.yml"]);
    }

    #[test]
    fn circles_of_links_end() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("sub/web.yml"));
        symlink("..", folder.path().join("sub/up")).unwrap();
        assert_eq!(names(folder.path()), ["sub/web.yml"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_still_is_a_file_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        symlink("gone.yml", folder.path().join("web.yml")).unwrap();
        assert_eq!(names(folder.path()), ["web.yml"]);
    }

    #[test]
    fn every_link_on_the_way_is_a_place_to_watch() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        write(real.join("versions/2/web.yml"));
        symlink("2", real.join("versions/now")).unwrap();
        symlink("versions/now/web.yml", real.join("web.yml")).unwrap();
        let mut places = Places::default();
        places.add_way(&real.join("web.yml"));
        let only = |names: &[&str]| Names::Only(names.iter().map(OsString::from).collect());
        assert_eq!(places.0.get(&real), Some(&only(&["web.yml"])));
        assert_eq!(places.0.get(&real.join("versions")), Some(&only(&["now"])));
        assert_eq!(places.0.get(&real.join("versions/2")), Some(&only(&["web.yml"])));
    }
}
