//! TOML, YAML and JSON text as trees, with line and column of every node where the format tells.

use super::Tree;
use super::decode::Mismatch;

/// The formats of configuration text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.
    Toml,
    /// YAML 1.2 as Traefik users write it (merge keys, anchors).
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The format that a file's ending tells, in any case; `None` for other files.
    pub fn of(path: &std::path::Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Parses `text`; `source` (a path) goes into the places. Empty text is an empty map.
pub fn parse(text: &str, format: Format, source: &str) -> Result<Tree, Mismatch> {
    let _ = (text, format, source);
    todo!()
}
