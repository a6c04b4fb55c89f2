//! Branches by regex: a few are tried one after another, many all at once.

use std::sync::Arc;

use hashbrown::HashMap;
use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::{Visitor, push};

/// Up to so many regexes are tried one by one, which can stop early and needs no memory.
const FEW: usize = 4;

/// Memory for all regexes of one set once compiled, in bytes.
const LARGEST: usize = 64 << 20;

/// Memory for the states of one set that a thread keeps, in bytes.
const LARGEST_CACHE: usize = 8 << 20;

/// A finished index.
#[derive(Debug)]
pub(super) struct RegexIndex {
    /// Regexes with their branches, by first branch.
    regexes: Vec<(Arc<Regex>, Vec<u32>)>,
    /// All regexes in that order, if there are many.
    set: Option<RegexSet>,
}

impl RegexIndex {
    pub(super) fn search(&self, text: &str, visitor: &mut impl Visitor) {
        let wins = |branches: &[u32], visitor: &mut _| {
            branches.first().is_some_and(|first| Visitor::can_win(visitor, *first))
        };
        if !self.regexes.first().is_some_and(|(_, branches)| wins(branches, visitor)) {
            return;
        }
        if let Some(set) = &self.set {
            let found = set.matches(text.as_bytes());
            for (_, branches) in found.iter().filter_map(|at| self.regexes.get(at)) {
                visitor.visit(branches);
            }
            return;
        }
        for (regex, branches) in &self.regexes {
            if !wins(branches, visitor) {
                return;
            }
            if regex.is_match(text.as_bytes()) {
                visitor.visit(branches);
            }
        }
    }
}

/// An index that grows. Branches come in ascending order.
#[derive(Debug, Default)]
pub(super) struct RegexIndexBuilder {
    places: HashMap<String, usize>,
    regexes: Vec<(Arc<Regex>, Vec<u32>)>,
}

impl RegexIndexBuilder {
    pub(super) fn insert(&mut self, branch: u32, regex: &Arc<Regex>) {
        let last = self.regexes.len();
        let place = *self.places.entry_ref(regex.as_str()).or_insert(last);
        if place == last {
            self.regexes.push((regex.clone(), Vec::new()));
        }
        if let Some((_, branches)) = self.regexes.get_mut(place) {
            push(branches, branch);
        }
    }

    pub(super) fn build(self) -> RegexIndex {
        let texts = self.regexes.iter().map(|(regex, _)| regex.as_str());
        let set = (self.regexes.len() > FEW).then(|| {
            RegexSetBuilder::new(texts)
                .size_limit(LARGEST)
                .dfa_size_limit(LARGEST_CACHE)
                .build()
                // Too large together; they are tried one by one.
                .ok()
        });
        RegexIndex { regexes: self.regexes, set: set.flatten() }
    }
}
