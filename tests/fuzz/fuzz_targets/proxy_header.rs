//! See `targets/proxy_header.rs`.
#![no_main]

#[path = "../targets/all.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::proxy_header::run(data));
