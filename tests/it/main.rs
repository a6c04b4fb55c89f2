//! Integration tests by feature: a real gateway process, real sockets, servers that note what they see.

mod harness;

mod protocol;
mod reload;
