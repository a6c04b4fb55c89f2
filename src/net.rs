//! The ground: tasks, slots per worker, the live snapshot, sockets.

#[cfg(feature = "http3")]
pub mod datagram;
pub mod drain;
pub mod listen;
pub mod live;
pub mod per_worker;
pub mod proxy_protocol;
pub mod task;
