//! See `targets/postgres.rs`.
#![no_main]

#[path = "../targets/all.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::postgres::run(data));
