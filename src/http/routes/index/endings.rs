//! Regexes of hosts by the ending that they demand: a host meets those only whose ending it has.

use memchr::memrchr_iter;

use super::regexes::{RegexIndex, RegexIndexBuilder};
use super::{Map, Visitor};

/// A finished index.
#[derive(Debug)]
pub(super) struct Endings {
    /// By ending, with the dot that it begins with.
    known: Map<RegexIndex>,
    /// The most labels of an ending. A host may have thousands.
    labels: usize,
    /// Those that demand none.
    others: Option<RegexIndex>,
}

impl Endings {
    /// Sorts by ending; the empty one is none.
    pub(super) fn build(builders: Map<RegexIndexBuilder>) -> Self {
        let mut known: Map<RegexIndex> =
            builders.into_iter().map(|(ending, regexes)| (ending, regexes.build())).collect();
        let others = known.remove("");
        let labels = known.keys().map(|ending| ending.matches('.').count()).max().unwrap_or(0);
        Self { known, labels, others }
    }

    pub(super) fn search(&self, host: &str, visitor: &mut impl Visitor) {
        for dot in memrchr_iter(b'.', host.as_bytes()).take(self.labels) {
            if let Some(regexes) = host.get(dot..).and_then(|ending| self.known.get(ending)) {
                regexes.search(host, visitor);
            }
        }
        if let Some(regexes) = &self.others {
            regexes.search(host, visitor);
        }
    }
}
