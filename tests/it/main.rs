//! Integration tests by feature: a real gateway process, real sockets, servers that note what they see.

mod harness;

mod advisories;
mod ending;
mod faults;
mod floods;
mod h2;
mod limits;
mod protocol;
mod reload;
mod smuggling;
mod tls;
