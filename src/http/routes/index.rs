//! Where branches are filed: by host, within that by path, and by regex where there is neither.

mod endings;
mod key;
mod path;
mod regexes;

use hashbrown::HashMap;
use portcullis_config::pieces::Pieces;

use super::condition::Condition;
use crate::http::matcher::{Subject, after_first_label};

use self::endings::Endings;
use self::key::HostKey;
use self::path::{PathIndex, PathIndexBuilder};
use self::regexes::RegexIndexBuilder;

type Map<V> = HashMap<String, V, ahash::RandomState>;

/// Who walks an index: it is shown lists of branches, each in ascending order.
pub(super) trait Visitor {
    /// Whether a list that begins with `first` is worth finding.
    fn can_win(&self, first: u32) -> bool;

    /// Looks through a list.
    fn visit(&mut self, branches: &[u32]);
}

/// A finished index.
#[derive(Debug)]
pub(super) struct Index {
    hosts: Map<PathIndex>,
    /// By what follows the first label.
    wildcards: Map<PathIndex>,
    host_regexes: Endings,
    any_host: PathIndex,
}

impl Index {
    pub(super) fn search(&self, subject: &impl Subject, visitor: &mut impl Visitor) {
        let host = subject.host();
        if !self.hosts.is_empty()
            && let Some(paths) = self.hosts.get(host)
        {
            paths.search(subject, visitor);
        }
        if !self.wildcards.is_empty()
            && let Some(paths) = after_first_label(host).and_then(|rest| self.wildcards.get(rest))
        {
            paths.search(subject, visitor);
        }
        self.any_host.search(subject, visitor);
        self.host_regexes.search(host, visitor);
    }
}

impl Index {
    pub(super) fn drop_in_pieces(self, pieces: &Pieces) {
        pieces.drop_each(self.hosts);
        pieces.drop_each(self.wildcards);
    }
}

/// An index that grows. Branches come in ascending order.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    hosts: Map<PathIndexBuilder>,
    wildcards: Map<PathIndexBuilder>,
    /// By the ending that they demand.
    host_regexes: Map<RegexIndexBuilder>,
    any_host: PathIndexBuilder,
}

impl IndexBuilder {
    /// Files a branch and gives back what must still be asked where it is found.
    pub(super) fn insert(&mut self, branch: u32, condition: Condition) -> Condition {
        let keys = key::keys(&condition);
        for key in &keys {
            match key.host {
                HostKey::Exact(host) => self.hosts.entry_ref(host).or_default().insert(branch, key),
                HostKey::Wildcard(suffix) => {
                    self.wildcards.entry_ref(suffix).or_default().insert(branch, key);
                }
                HostKey::Regex(regex, ending) => {
                    self.host_regexes.entry_ref(ending).or_default().insert(branch, regex);
                }
                HostKey::Any => self.any_host.insert(branch, key),
            }
        }
        let [only] = keys.as_slice() else { return condition };
        let known: Vec<bool> = condition
            .conjuncts()
            .iter()
            .map(|part| matches!(part, Condition::Is(test) if only.implies(test)))
            .collect();
        condition.without(&known)
    }

    pub(super) fn build(self) -> Index {
        let pieces = Pieces::begin();
        let paths = |map: Map<PathIndexBuilder>| {
            let built = map.into_iter().map(|(host, paths)| {
                pieces.step();
                (host, paths.build())
            });
            built.collect()
        };
        Index {
            hosts: paths(self.hosts),
            wildcards: paths(self.wildcards),
            host_regexes: Endings::build(self.host_regexes),
            any_host: self.any_host.build(),
        }
    }
}

/// Adds a branch to a list once.
fn push(list: &mut Vec<u32>, branch: u32) {
    if list.last() != Some(&branch) {
        list.push(branch);
    }
}
