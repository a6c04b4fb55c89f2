//! Branches by path: exact paths and prefixes in one sorted list, found by one binary search.
//!
//! Every prefix of a path sorts before it, and what sorts between a prefix and the path begins
//! with that prefix. So the last entry not after the path, together with the entries that are prefixes
//! of that entry, holds all that can match.

use std::cmp::Ordering;

use super::key::{Key, PathKey};
use super::regexes::{RegexIndex, RegexIndexBuilder};
use super::{Visitor, push};
use crate::http::matcher::Subject;

/// A finished index. There is one for each host, so it is kept small.
#[derive(Debug)]
pub(super) struct PathIndex {
    /// The first branch of all.
    first: u32,
    /// How many branches ask for no path; they stand first in `branches`.
    any: u32,
    /// Sorted by text.
    nodes: Box<[Node]>,
    /// The lists of all nodes, one after another.
    branches: Box<[u32]>,
    regexes: Option<Box<RegexIndex>>,
}

#[derive(Debug)]
struct Node {
    /// See [`head`].
    head: u64,
    text: Box<str>,
    /// The place of the longest other text that is a prefix of this one, or [`NONE`].
    parent: u32,
    /// Where the branches begin that ask for the text as the whole path, …
    exact: u32,
    /// … where those that ask for it as the beginning, …
    prefix: u32,
    /// … and where they end.
    end: u32,
}

/// The place of no node.
const NONE: u32 = u32::MAX;

impl PathIndex {
    pub(super) fn search(&self, subject: &impl Subject, visitor: &mut impl Visitor) {
        if !visitor.can_win(self.first) {
            return;
        }
        visitor.visit(self.list(0, self.any));
        let path = subject.path();
        let begins = head(path);
        let after = self.nodes.partition_point(|node| match node.head.cmp(&begins) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => *node.text <= *path,
        });
        let mut next = after.checked_sub(1).and_then(|at| self.nodes.get(at));
        let shared = next.map_or(0, |node| shared_prefix(&node.text, path));
        while let Some(node) = next {
            if node.text.len() <= shared {
                if node.text.len() == path.len() {
                    visitor.visit(self.list(node.exact, node.prefix));
                }
                visitor.visit(self.list(node.prefix, node.end));
            }
            next = self.nodes.get(node.parent as usize);
        }
        if let Some(regexes) = &self.regexes {
            regexes.search(path, visitor);
        }
    }

    fn list(&self, from: u32, to: u32) -> &[u32] {
        self.branches.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// An index that grows. Branches come in ascending order.
#[derive(Debug, Default)]
pub(super) struct PathIndexBuilder {
    first: Option<u32>,
    any: Vec<u32>,
    texts: Vec<Text>,
    regexes: Option<Box<RegexIndexBuilder>>,
}

/// A branch that asks for a text.
#[derive(Debug)]
struct Text {
    text: Box<str>,
    wanted: Wanted,
    branch: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Exact,
    Prefix,
}

impl PathIndexBuilder {
    pub(super) fn insert(&mut self, branch: u32, key: &Key<'_>) {
        self.first.get_or_insert(branch);
        let (text, wanted) = match key.path {
            PathKey::Any => return push(&mut self.any, branch),
            PathKey::Regex(regex) => {
                return self.regexes.get_or_insert_default().insert(branch, regex);
            }
            PathKey::Prefix(prefix) => (prefix, Wanted::Prefix),
            PathKey::Exact(path) => (path, Wanted::Exact),
        };
        self.texts.push(Text { text: text.into(), wanted, branch });
    }

    pub(super) fn build(self) -> PathIndex {
        let Self { first, any, mut texts, regexes } = self;
        let place = |text: &Text| (text.wanted, text.branch);
        texts.sort_unstable_by(|a, b| a.text.cmp(&b.text).then_with(|| place(a).cmp(&place(b))));
        texts.dedup_by(|a, b| a.text == b.text && place(a) == place(b));
        let (any_count, mut branches) = (any.len() as u32, any);
        let mut nodes: Vec<Node> = Vec::with_capacity(texts.len());
        for Text { text, wanted, branch } in texts {
            let at = branches.len() as u32;
            if nodes.last().is_none_or(|node| node.text != text) {
                let (head, parent) = (head(&text), parent(&nodes, &text));
                nodes.push(Node { head, text, parent, exact: at, prefix: at, end: at });
            }
            branches.push(branch);
            if let Some(node) = nodes.last_mut() {
                node.end = at + 1;
                if wanted == Wanted::Exact {
                    node.prefix = at + 1;
                }
            }
        }
        PathIndex {
            first: first.unwrap_or(u32::MAX),
            any: any_count,
            nodes: nodes.into_boxed_slice(),
            branches: branches.into_boxed_slice(),
            regexes: regexes.map(|regexes| Box::new(regexes.build())),
        }
    }
}

/// The place of the longest text before `text` that is a prefix of it.
fn parent(nodes: &[Node], text: &str) -> u32 {
    let mut place = (nodes.len() as u32).checked_sub(1).unwrap_or(NONE);
    while let Some(node) = nodes.get(place as usize) {
        if text.starts_with(&*node.text) {
            break;
        }
        place = node.parent;
    }
    place
}

/// The first eight bytes of a text as a number. Where two numbers differ, the texts sort as they do: most comparisons
/// of a search end here, next to each other in memory.
fn head(text: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    u64::from_be_bytes(bytes)
}

fn shared_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_sort_as_texts_do_or_are_equal() {
        let texts = ["", "\0", "/", "/a", "/a\0", "/abcdefg", "/abcdefgh", "/abcdefgi", "/b", "/é"];
        for (one, other) in texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b))) {
            let order = head(one).cmp(&head(other));
            assert!(order.is_eq() || order == one.cmp(other), "{one:?} {other:?}");
        }
    }
}
