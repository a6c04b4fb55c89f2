//! Refusals, each of which is an event for the audit: a line in the log and a count by its reason.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::ca::CaError;

/// Why a node gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such token, or it lapsed long ago.
    #[error("the token is unknown")]
    UnknownToken,
    /// It was not made with the token's secret for this node and request.
    #[error("the proof does not fit the token")]
    WrongProof,
    /// Too late.
    #[error("the token has expired")]
    TokenExpired,
    /// Another key came first.
    #[error("the token has been used")]
    TokenUsed,
    /// The token is for another.
    #[error("the token is for node `{invited}`")]
    WrongNode {
        /// For whom it is.
        invited: String,
    },
    /// The peer shows no node's certificate.
    #[error("only a node may ask")]
    NotANode,
    /// The node was forgotten, or never joined.
    #[error("the node has not joined")]
    UnknownNode,
    /// What was granted does not cover it.
    #[error("the node was not granted `{0}`")]
    NotGranted(String),
    /// It runs somewhere else.
    #[error("`{0}` is not placed on this node")]
    NotPlaced(String),
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// It is our own fault.
    #[error(transparent)]
    Broken(#[from] CaError),
}

/// The reasons, in the order of their counters.
const REASONS: [&str; 11] = [
    "unknown_token",
    "wrong_proof",
    "token_expired",
    "token_used",
    "wrong_node",
    "not_a_node",
    "unknown_node",
    "not_granted",
    "not_placed",
    "bad_request",
    "broken",
];

static COUNTS: [AtomicU64; REASONS.len()] = [const { AtomicU64::new(0) }; REASONS.len()];

/// How often the authority of this process has refused something, by reason.
pub fn refusals() -> impl Iterator<Item = (&'static str, u64)> {
    REASONS.iter().zip(&COUNTS).map(|(reason, count)| (*reason, count.load(Relaxed)))
}

impl Refused {
    /// One word, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        REASONS[self.index()]
    }

    fn index(&self) -> usize {
        match self {
            Self::UnknownToken => 0,
            Self::WrongProof => 1,
            Self::TokenExpired => 2,
            Self::TokenUsed => 3,
            Self::WrongNode { .. } => 4,
            Self::NotANode => 5,
            Self::UnknownNode => 6,
            Self::NotGranted(_) => 7,
            Self::NotPlaced(_) => 8,
            Self::BadRequest(_) => 9,
            Self::Broken(_) => 10,
        }
    }

    /// Writes the event: who asked (`node`, as far as it is known, and its address) for what.
    pub(super) fn audit(&self, node: &str, peer: &str, wanted: &str) {
        COUNTS[self.index()].fetch_add(1, Relaxed);
        let reason = self.reason();
        tracing::warn!(audit = true, reason, node, peer, wanted, "refused: {self}");
    }
}
