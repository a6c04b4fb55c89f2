//! Forwarding and pools over real sockets.

mod connections;
