//! The compiled table of rules: which route a request takes.
//!
//! The answer is that of the naive procedure: sort by priority, highest first, and take the first
//! rule that matches. To find it without asking every rule, each rule is filed under what it must
//! see (a host, a path, a regex), and a request only meets the rules filed under what it has. All
//! rules carry their place in the order, lists are in that order, and a list ends where it can no
//! longer beat what was found. Rules that name neither host nor path are asked one after another.

mod condition;
mod explain;
mod index;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;

use portcullis_config::pieces::Pieces;
use portcullis_config::rule::Rule;

use self::condition::Condition;
use self::index::{Index, IndexBuilder};
use crate::http::matcher::{Patterns, Subject};

pub use self::explain::Explained;

/// A rule of the table.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// When it matches.
    pub rule: Rule,
    /// Higher goes first; among equals the order of entries decides.
    pub priority: i64,
    /// What a match yields.
    pub target: T,
}

/// An entry that is not in the table. Rules that were parsed always are, except where they are nested
/// beyond reason.
#[derive(Clone, Debug)]
pub struct Refused<T> {
    /// The entry.
    pub entry: Entry<T>,
    /// What is wrong with its rule.
    pub reason: String,
}

/// A compiled table.
pub struct Routes<T> {
    /// In order of precedence.
    entries: Vec<Entry<T>>,
    /// The alternatives of all rules, in the order of their entries.
    branches: Vec<Branch>,
    index: Index,
}

/// One alternative of a rule: `a || b` are two that lead to the same entry.
#[derive(Debug)]
struct Branch {
    entry: u32,
    /// What remains to be asked of a request that was found by the index.
    remainder: Condition,
}

impl<T> Routes<T> {
    /// Compiles a table; entries whose rules do not compile are left out and handed back.
    pub fn compile(mut entries: Vec<Entry<T>>) -> (Self, Vec<Refused<T>>) {
        let mut patterns = Patterns::default();
        let mut builder = IndexBuilder::default();
        let (mut branches, mut refused) = (Vec::with_capacity(entries.len()), Vec::new());
        entries.sort_by_key(|entry| Reverse(entry.priority));
        let mut kept = Vec::with_capacity(entries.len());
        let pieces = Pieces::begin();
        for entry in entries {
            pieces.step();
            let condition = match Condition::compile(&entry.rule, &mut patterns) {
                Ok(condition) => condition,
                Err(reason) => {
                    refused.push(Refused { entry, reason });
                    continue;
                }
            };
            for branch in condition.into_branches() {
                let remainder = builder.insert(branches.len() as u32, branch);
                branches.push(Branch { entry: kept.len() as u32, remainder });
            }
            kept.push(entry);
        }
        (Self { entries: kept, branches, index: builder.build() }, refused)
    }

    /// The target of the first rule that matches.
    pub fn find(&self, subject: &impl Subject) -> Option<&T> {
        self.search(subject).found().map(|entry| &entry.target)
    }

    /// How many rules it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order of precedence.
    pub fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }

    /// Drops it entry by entry: see [`Pieces`].
    pub fn drop_in_pieces(self) {
        let Self { entries, branches, index } = self;
        let pieces = Pieces::begin();
        pieces.drop_each(entries);
        pieces.drop_each(branches);
        index.drop_in_pieces(&pieces);
    }

    fn search<'a, 's, S: Subject>(&'a self, subject: &'s S) -> Search<'a, 's, T, S> {
        let mut search = Search { routes: self, subject, best: NONE, asked: 0 };
        self.index.search(subject, &mut search);
        search
    }
}

impl<T> fmt::Debug for Routes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.rule.to_string())).finish()
    }
}

/// The place of a branch that no search found yet.
const NONE: u32 = u32::MAX;

/// A search under way.
struct Search<'a, 's, T, S> {
    routes: &'a Routes<T>,
    subject: &'s S,
    /// The first branch in order that is known to match.
    best: u32,
    /// How many branches were asked, for tests.
    asked: usize,
}

impl<'a, T, S: Subject> Search<'a, '_, T, S> {
    fn found(&self) -> Option<&'a Entry<T>> {
        let branch = self.routes.branches.get(self.best as usize)?;
        self.routes.entries.get(branch.entry as usize)
    }
}

impl<T, S: Subject> index::Visitor for Search<'_, '_, T, S> {
    fn can_win(&self, first: u32) -> bool {
        first < self.best
    }

    fn visit(&mut self, branches: &[u32]) {
        for &place in branches {
            if place >= self.best {
                return;
            }
            self.asked += 1;
            let branch = self.routes.branches.get(place as usize);
            if branch.is_some_and(|branch| branch.remainder.matches(self.subject)) {
                self.best = place;
                return;
            }
        }
    }
}
