//! TCP: which router takes a connection, and the way to its server.
//!
//! [`table::Table`] says, for one entry point, who takes a connection by what the client says first: a
//! [`route::Route`] or HTTP. [`forward`] then passes the route's gates, ends TLS where the route says so, connects to a
//! server of the route's [`service::Service`] and copies bytes until one side has had enough.

pub mod balancer;
mod condition;
pub mod counts;
pub mod dial;
pub mod forward;
pub mod postgres;
pub mod probe;
pub mod route;
pub mod routes;
pub mod server;
pub mod service;
pub mod table;
pub mod transport;
pub mod weighted;
