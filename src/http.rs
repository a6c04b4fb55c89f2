//! HTTP on an entry point: connections, requests brought into form, forwarded headers, routes.

pub mod activity;
pub mod forwarded;
pub mod inbound;
pub mod matcher;
pub mod routes;
pub mod serve;
pub mod settings;
