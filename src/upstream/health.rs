//! Health of servers: probed by ourselves (active) and seen in the answers to real requests (passive).

pub mod active;
pub mod outlier;
pub mod passive;
pub mod probe;
