//! The ground: tasks, slots per worker, the live snapshot, sockets.

pub mod copy;
pub mod drain;
pub mod listen;
pub mod live;
pub mod pace;
pub mod peek;
pub mod per_worker;
pub mod proxy_protocol;
pub mod task;
