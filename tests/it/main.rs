//! Integration tests by feature: a real gateway process, real sockets, servers that note what they see.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "shown with the failure of a test")]
#![allow(clippy::format_collect, reason = "configuration is put together once")]
#![allow(clippy::unnecessary_debug_formatting, reason = "quotes paths for TOML")]

mod harness;

mod advisories;
mod ending;
mod faults;
mod floods;
mod h2;
mod limits;
mod protocol;
mod reload;
mod resumption;
mod smuggling;
mod tls;
mod upgrade;
