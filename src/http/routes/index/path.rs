//! Branches by path: exact paths and prefixes in one sorted list, found by one binary search.
//!
//! Every prefix of a path sorts before it, and what sorts between a prefix and the path begins
//! with that prefix. So the last entry not after the path, together with the entries that are prefixes
//! of that entry, holds all that can match.

use std::collections::BTreeMap;

use super::key::{Key, PathKey};
use super::regexes::{RegexIndex, RegexIndexBuilder};
use super::{Visitor, push};
use crate::http::matcher::Subject;

/// A finished index.
#[derive(Debug)]
pub(super) struct PathIndex {
    /// The first branch of all.
    first: u32,
    /// Branches that ask for no path.
    any: Vec<u32>,
    /// Sorted by text.
    nodes: Vec<Node>,
    regexes: Option<Box<RegexIndex>>,
}

#[derive(Debug)]
struct Node {
    text: Box<str>,
    /// The place of the longest other text that is a prefix of this one.
    parent: Option<u32>,
    lists: Lists,
}

/// Branches that ask for a text as the whole path, and as its beginning.
#[derive(Debug, Default)]
struct Lists {
    exact: Vec<u32>,
    prefix: Vec<u32>,
}

impl PathIndex {
    pub(super) fn search(&self, subject: &impl Subject, visitor: &mut impl Visitor) {
        if !visitor.can_win(self.first) {
            return;
        }
        visitor.visit(&self.any);
        let path = subject.path();
        let after = self.nodes.partition_point(|node| *node.text <= *path);
        let mut next = after.checked_sub(1).and_then(|at| self.nodes.get(at));
        let shared = next.map_or(0, |node| shared_prefix(&node.text, path));
        while let Some(node) = next {
            if node.text.len() <= shared {
                if node.text.len() == path.len() {
                    visitor.visit(&node.lists.exact);
                }
                visitor.visit(&node.lists.prefix);
            }
            next = node.parent.and_then(|at| self.nodes.get(at as usize));
        }
        if let Some(regexes) = &self.regexes {
            regexes.search(path, visitor);
        }
    }
}

/// An index that grows. Branches come in ascending order.
#[derive(Debug, Default)]
pub(super) struct PathIndexBuilder {
    first: Option<u32>,
    any: Vec<u32>,
    texts: BTreeMap<Box<str>, Lists>,
    regexes: RegexIndexBuilder,
}

impl PathIndexBuilder {
    pub(super) fn insert(&mut self, branch: u32, key: &Key<'_>) {
        self.first.get_or_insert(branch);
        match key.path {
            PathKey::Any => push(&mut self.any, branch),
            PathKey::Regex(regex) => self.regexes.insert(branch, regex),
            PathKey::Prefix(prefix) => push(&mut self.lists(prefix).prefix, branch),
            PathKey::Exact(path) => push(&mut self.lists(path).exact, branch),
        }
    }

    fn lists(&mut self, text: &str) -> &mut Lists {
        self.texts.entry(text.into()).or_default()
    }

    pub(super) fn build(self) -> PathIndex {
        let mut nodes: Vec<Node> = Vec::with_capacity(self.texts.len());
        for (text, lists) in self.texts {
            let mut parent = nodes.len().checked_sub(1);
            while let Some(node) = parent.and_then(|at| nodes.get(at)) {
                if text.starts_with(&*node.text) {
                    break;
                }
                parent = node.parent.map(|at| at as usize);
            }
            nodes.push(Node { text, parent: parent.map(|at| at as u32), lists });
        }
        let regexes = self.regexes.build();
        PathIndex {
            first: self.first.unwrap_or(u32::MAX),
            any: self.any,
            nodes,
            regexes: (!regexes.is_empty()).then(|| Box::new(regexes)),
        }
    }
}

fn shared_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}
