//! UDP: datagrams of one client address and port are a session, which goes to one server until it is idle.

pub mod relay;
pub mod route;
pub mod service;
mod sessions;
pub mod socket;
