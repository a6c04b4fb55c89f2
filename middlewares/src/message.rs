//! Requests and responses as they travel through a chain.

pub mod between;
mod body;
mod connection;
mod fault;
mod request;
mod response;

pub use body::{Body, BodyError};
pub use connection::{Connection, Tls};
pub use fault::{Fault, Sent};
pub use request::{BadPath, Parts, Request, Target, WithoutForwardedFor};
pub use response::{Copied, Response};
