//! PostgreSQL's prelude: only the request is one, and nobody waits for more than its length.

use portcullis::tcp::postgres::{REQUEST, Start, judge};

/// Takes the first bytes of a connection.
pub(crate) fn run(data: &[u8]) {
    match judge(data) {
        Start::Request => assert_eq!(data.get(..REQUEST.len()), Some(&REQUEST[..])),
        Start::Incomplete => assert!(data.len() < REQUEST.len() && REQUEST.starts_with(data)),
        Start::Other => assert!(!REQUEST.starts_with(data) && !data.starts_with(&REQUEST)),
    }
}
