//! The mesh: one proxy for each node, mutual TLS between them.

pub mod authority;
