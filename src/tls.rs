//! TLS: certificates, options, handshakes.

pub mod client;
