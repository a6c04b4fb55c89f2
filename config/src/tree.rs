//! `Tree`: the one untyped form in which every source of configuration arrives.

pub mod decode;
pub mod flat;
pub mod text;
mod verbatim;

use indexmap::IndexMap;

use crate::pieces::Pieces;
use crate::problem::At;

/// A node of untyped configuration and the place it came from.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// What stands here.
    pub node: Node,
    /// Where it stands, if the source can tell.
    pub at: Option<At>,
}

/// What stands at one place of a [`Tree`].
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A single value as text; numbers and booleans keep the spelling of their source.
    Scalar(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Named values in the order of the source.
    Map(IndexMap<String, Tree>),
}

impl Default for Node {
    fn default() -> Self {
        Self::Map(IndexMap::new())
    }
}

/// Trees are equal when they say the same, wherever they stand.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Tree {
    /// A scalar without a place.
    pub fn scalar(text: impl Into<String>) -> Self {
        Self { node: Node::Scalar(text.into()), at: None }
    }

    /// A list without a place.
    pub fn list(items: Vec<Self>) -> Self {
        Self { node: Node::List(items), at: None }
    }

    /// A map without a place.
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self { node: Node::Map(entries.into_iter().collect()), at: None }
    }

    /// Drops a whole configuration, object by object: see [`Pieces`].
    pub fn drop_in_pieces(self) {
        let pieces = Pieces::begin();
        let children = |tree: Self| match tree.node {
            Node::Map(map) => map.into_values().collect(),
            Node::List(items) => items,
            Node::Scalar(_) => Vec::new(),
        };
        let sections = children(self).into_iter().flat_map(children);
        pieces.drop_each(sections.flat_map(children));
    }

    /// The entries, if this is a map.
    pub fn as_map(&self) -> Option<&IndexMap<String, Self>> {
        match &self.node {
            Node::Map(map) => Some(map),
            Node::Scalar(_) | Node::List(_) => None,
        }
    }

    /// The text, if this is a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.node {
            Node::Scalar(text) => Some(text),
            Node::Map(_) | Node::List(_) => None,
        }
    }

    /// The entry of a map whose key equals `key` in any case.
    pub fn child(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, tree)| tree)
    }
}
