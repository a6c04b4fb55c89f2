//! See `targets/template.rs`.
#![no_main]

#[path = "../targets/all.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::template::run(data));
