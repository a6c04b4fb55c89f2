//! Integration tests by feature: a real gateway process, real sockets, servers that note what they see.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "shown with the failure of a test")]
#![allow(clippy::format_collect, reason = "configuration is put together once")]
#![allow(clippy::unnecessary_debug_formatting, reason = "quotes paths for TOML")]

mod harness;

mod acme;
mod advisories;
mod ending;
mod faults;
mod floods;
mod h2;
#[cfg(feature = "http3")]
mod http3;
mod limits;
mod memory;
mod mesh;
mod ocsp;
mod outages;
mod panics;
mod postgres;
mod pressure;
mod protocol;
mod proxy_protocol;
mod reload;
mod resumption;
mod smuggling;
mod tcp;
mod tls;
mod traffic;
mod udp;
mod upgrade;
mod workers;
