//! The way to servers: connections, pools, forwarding, balancing, health.

pub mod dial;
pub mod endpoint;
pub mod fault;
pub mod forward;
pub mod hop;
pub mod pool;
pub mod resolve;
pub mod transport;
pub mod upgrade;
