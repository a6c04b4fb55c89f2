//! The install configuration as a file: where it is looked for and how it is read.

use std::path::{Path, PathBuf};

use portcullis_config::Problem;
use portcullis_config::problem::{At, Kind};
use portcullis_config::tree::Tree;
use portcullis_config::tree::text::{self, Format};

/// Where paths begin, so that tests have a disk of their own.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What `/etc` stands in.
    pub root: PathBuf,
    /// Where relative paths begin.
    pub working_directory: PathBuf,
}

impl Default for Disk {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), working_directory: PathBuf::from(".") }
    }
}

/// The first default file that exists. For each of the names `portcullis` and `traefik` it is looked for in
/// `/etc/<name>`, `$XDG_CONFIG_HOME`, `$HOME/.config` and the working directory, as `.toml`, `.yaml` and `.yml`.
pub(super) fn default_file(disk: &Disk, variables: &[(String, String)]) -> Option<PathBuf> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(it, value)| it == name && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    for name in ["portcullis", "traefik"] {
        let folders = [
            Some(disk.root.join("etc").join(name)),
            variable("XDG_CONFIG_HOME"),
            variable("HOME").map(|home| home.join(".config")),
            Some(disk.working_directory.clone()),
        ];
        for folder in folders.into_iter().flatten() {
            let endings = ["toml", "yaml", "yml"].iter();
            let mut files = endings.map(|ending| folder.join(format!("{name}.{ending}")));
            if let Some(file) = files.find(|file| file.is_file()) {
                return Some(file);
            }
        }
    }
    None
}

/// Reads the file at `path`. That it is missing or says nothing is an error: the operator asked for it.
pub(super) fn read(path: &Path) -> Result<Tree, Problem> {
    let source = path.display().to_string();
    let at = At { source: source.as_str().into(), line: 0, column: 0 };
    let problem = |message: String| Problem::error(Kind::Install, "", message).at(Some(at.clone()));
    let format = Format::of(path)
        .ok_or_else(|| problem("expected a file that ends in .toml, .yaml or .yml".to_owned()))?;
    let text = std::fs::read_to_string(path)
        .map_err(|cause| problem(format!("the configuration file cannot be read: {cause}")))?;
    let tree = text::parse(&text, format, &source).map_err(|mismatch| {
        let at = mismatch.at.or_else(|| Some(at.clone()));
        Problem::error(Kind::Install, "", mismatch.message).at(at)
    })?;
    if tree.as_map().is_some_and(indexmap::IndexMap::is_empty) {
        return Err(problem("the configuration file is empty".to_owned()));
    }
    Ok(tree)
}
