//! The way to servers: connections, pools, forwarding, balancing, health.

pub mod balance;
pub mod balancer;
pub mod buffer;
pub mod child;
pub mod dial;
pub mod endpoint;
pub mod failover;
pub mod fault;
pub mod forward;
pub mod health;
pub mod highest_random_weight;
pub mod hop;
pub mod mirroring;
pub mod pool;
pub mod resolve;
pub mod server;
pub mod service;
pub mod standing;
pub mod sticky;
pub mod transport;
pub mod upgrade;
pub mod weighted;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
