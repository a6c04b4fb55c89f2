//! Entry points: sockets, and what comes in by them.

pub mod http;
pub mod tcp;
