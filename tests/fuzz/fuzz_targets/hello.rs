//! See `targets/hello.rs`.
#![no_main]

#[path = "../targets/all.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::hello::run(data));
