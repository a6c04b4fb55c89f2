//! HTTP on an entry point: connections, requests brought into form, forwarded headers.

pub mod activity;
pub mod forwarded;
pub mod inbound;
pub mod serve;
pub mod settings;
