//! Tests of the whole module: certificates made on the spot, real sockets, rustls clients.

mod advisories;
mod certificates;
mod clients;
mod handshakes;
mod options;
mod policies;
mod rotation;
mod servers;
mod spiffe;
