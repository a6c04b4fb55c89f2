//! Nodes in one process, over real sockets.

mod calls;
mod lab;
mod refusals;
mod streams;
