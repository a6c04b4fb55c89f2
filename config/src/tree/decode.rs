//! Typing a tree: a serde `Deserializer` over [`Tree`] with Traefik's leniency and better messages.
//!
//! Field names match in any case; text turns into numbers, booleans and durations as the field asks; `a,b` is a
//! list; `true` on a structure means "present with defaults" and `false` "absent"; an unknown field is an error
//! that names the nearest real one.

use serde::de::DeserializeOwned;

use super::Tree;
use crate::problem::At;

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
    let _ = tree;
    todo!()
}
