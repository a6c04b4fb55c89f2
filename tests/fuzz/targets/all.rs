//! What is fuzzed: every parser that is written here. Each takes bytes, must not panic, and checks what holds of its result.

pub mod basic_auth;
pub mod compile;
pub mod constraints;
pub mod document;
pub mod duration;
pub mod flat;
pub mod middleware;
pub mod path;
pub mod pattern;
pub mod proxy_header;
pub mod rule;
pub mod template;

/// A target: its name, which is that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("basic_auth", basic_auth::run),
    ("compile", compile::run),
    ("constraints", constraints::run),
    ("document", document::run),
    ("duration", duration::run),
    ("flat", flat::run),
    ("middleware", middleware::run),
    ("path", path::run),
    ("pattern", pattern::run),
    ("proxy_header", proxy_header::run),
    ("rule", rule::run),
    ("template", template::run),
];
