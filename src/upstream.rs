//! The way to servers: connections, pools, forwarding, balancing, health.

pub mod balancer;
pub mod dial;
pub mod endpoint;
pub mod fault;
pub mod forward;
pub mod hop;
pub mod pool;
pub mod resolve;
pub mod service;
pub mod transport;
pub mod upgrade;
