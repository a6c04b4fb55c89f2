//! TOML, YAML and JSON text as trees, with line and column of every node where the format tells.
//!
//! A scalar or list element stands where its text begins; a map or list that has a key stands at that key, which is
//! what a message about the whole of it should point at. JSON tells no places but that of a syntax error. Templates
//! (`{{ … }}`) are text like any other here; who reads a file renders them before.
//!
//! Scalars keep their spelling, so that `1.10` stays a version where text is wanted. Where a number is wanted, leading
//! zeros mean nothing (Traefik reads an unquoted YAML `010` as octal).

mod json;
mod toml;
mod yaml;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::decode::Mismatch;
use super::{Node, Tree};
use crate::pieces::Pieces;
use crate::problem::At;

/// The formats of configuration text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.
    Toml,
    /// YAML 1.2 as Traefik users write it (merge keys, anchors). A key without a value is as good as absent.
    Yaml,
    /// JSON. A key whose value is `null` is as good as absent.
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let places = Places::new(text, source);
    if text.trim().is_empty() {
        return Ok(Tree::default());
    }
    let tree = match format {
        Format::Toml => toml::parse(text, &places),
        Format::Yaml => yaml::parse(text, &places),
        Format::Json => json::parse(text, &places),
    }?;
    match tree.node {
        Node::Map(_) => Ok(tree),
        Node::Scalar(_) => {
            Err(mismatch("expected a map at the top, found a single value", tree.at))
        }
        Node::List(_) => Err(mismatch("expected a map at the top, found a list", tree.at)),
    }
}

fn mismatch(message: impl Into<String>, at: Option<At>) -> Mismatch {
    Mismatch { path: String::new(), message: message.into(), at }
}

/// A parser's message in one line and without the place, which stands in front of ours.
fn message(format: &str, message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    format!("invalid {format}: {}", lines.join("; "))
}

/// Turns byte offsets into lines and columns.
struct Places<'a> {
    text: &'a str,
    source: Arc<str>,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    /// Every node asks for its place: that is a step.
    pieces: Pieces,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, source: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(offset, _)| offset + 1)).collect();
        Self { text, source: source.into(), lines, pieces: Pieces::begin() }
    }

    /// The place of the character at `offset`; columns count characters.
    fn at(&self, offset: usize) -> At {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index));
        let before = start.and_then(|start| self.text.get(*start..offset)).unwrap_or("");
        self.place(line, before.chars().count() + 1)
    }

    fn place(&self, line: usize, column: usize) -> At {
        self.pieces.step();
        let number = |value: usize| u32::try_from(value).unwrap_or(0);
        At { source: Arc::clone(&self.source), line: number(line), column: number(column) }
    }

    /// The source without a line.
    fn whole(&self) -> At {
        self.place(0, 0)
    }
}

/// The entry of a map: one that holds others stands at its key.
fn entry(mut tree: Tree, key: Option<At>) -> Tree {
    if !matches!(tree.node, Node::Scalar(_)) {
        tree.at = key;
    }
    tree
}
