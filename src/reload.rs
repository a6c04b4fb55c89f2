//! From what providers say to the snapshot that serves: collect, wait for quiet, merge, compile, swap.

pub mod merge;
pub mod watch;
