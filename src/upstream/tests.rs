//! Forwarding and pools over real sockets.

mod connections;
mod http2;
mod limits;
