//! Typing a tree: a serde `Deserializer` over [`Tree`] with Traefik's leniency and better messages.
//!
//! Field names match in any case; text turns into numbers, booleans and durations as the field asks; `a,b` is a
//! list; `true` on a structure means "present with defaults" and `false` "absent"; an unknown field is an error
//! that names the nearest real one.
//!
//! Deliberate difference: an empty structure (`headers: {}`) is "present with defaults" everywhere, where Traefik
//! refuses it for most fields; what must not be empty is said by the validation of the object itself.

mod access;
mod fault;
mod reader;
mod scalar;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::DeserializeOwned;

use self::fault::Fault;
use self::reader::{Context, Reader, address};
use super::Tree;
use crate::problem::At;

pub use self::fault::nearest;

/// Why a tree does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Mismatch {
    /// The path below the decoded object, `loadBalancer.servers[0].url`; empty for the object itself.
    pub path: String,
    /// The whole message: the field, what was expected, and the nearest real name if the field is unknown.
    pub message: String,
    /// Where it stands.
    pub at: Option<At>,
}

/// Types `tree`.
pub fn decode<T: DeserializeOwned>(tree: &Tree) -> Result<T, Mismatch> {
    attempt(tree, &mut HashSet::new()).map_err(Fault::into_mismatch)
}

/// Types `tree` and goes on behind each mismatch, as if the field in question were not there.
///
/// The value is `None` if what remains cannot be typed (the object is of the wrong shape, or a field without a
/// default is missing) or if there are more than [`MISMATCH_LIMIT`] mismatches.
pub fn decode_collect<T: DeserializeOwned>(tree: &Tree) -> (Option<T>, Vec<Mismatch>) {
    let mut skipped = HashSet::new();
    let mut mismatches = Vec::new();
    loop {
        let fault = match attempt(tree, &mut skipped) {
            Ok(value) => return (Some(value), mismatches),
            Err(fault) => fault,
        };
        let culprit = fault.node;
        mismatches.push(fault.into_mismatch());
        let progress = culprit.is_some_and(|node| node != address(tree) && skipped.insert(node));
        if !progress || mismatches.len() == MISMATCH_LIMIT {
            return (None, mismatches);
        }
    }
}

/// The elements of a tree that stands where a list is expected: a list, a map of indexes or a single element.
pub(crate) fn elements(tree: &Tree) -> Result<Vec<&Tree>, Mismatch> {
    reader::elements(tree).map_err(Fault::into_mismatch)
}

/// One typing of the tree without the `skipped` nodes. A structure that is `false` is only known once its type is
/// asked for, so the first pass notes these and a second pass leaves them out.
fn attempt<T: DeserializeOwned>(tree: &Tree, skipped: &mut HashSet<usize>) -> Result<T, Fault> {
    let root = address(tree);
    let context = Context { root, skipped, absent: RefCell::default() };
    let result = T::deserialize(Reader::new(tree, &context));
    let absent = context.absent.into_inner();
    if absent.is_empty() {
        return result;
    }
    skipped.extend(absent);
    T::deserialize(Reader::new(tree, &Context { root, skipped, absent: RefCell::default() }))
}

/// The most mismatches that are reported for one object.
pub const MISMATCH_LIMIT: usize = 32;
