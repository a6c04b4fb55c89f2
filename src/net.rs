//! The ground: tasks, slots per worker, the live snapshot, sockets.

pub mod copy;
pub mod date;
pub mod drain;
#[cfg(test)]
pub(crate) mod future_size;
pub mod handover;
pub mod listen;
pub mod live;
pub mod memory;
pub mod pace;
pub mod peek;
pub mod per_worker;
pub mod proxy_protocol;
pub mod rewound;
pub mod stage;
pub mod task;
