//! Entry points: sockets, and what comes in by them.

pub mod http;
#[cfg(feature = "http3")]
pub mod quic;
pub mod tcp;
