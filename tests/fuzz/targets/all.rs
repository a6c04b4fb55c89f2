//! What is fuzzed: every parser that is written here. Each takes bytes, must not panic, and checks what holds of its result.

pub(crate) mod basic_auth;
pub(crate) mod compile;
pub(crate) mod constraints;
pub(crate) mod document;
pub(crate) mod duration;
pub(crate) mod flat;
pub(crate) mod hello;
pub(crate) mod middleware;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod postgres;
pub(crate) mod proxy_header;
pub(crate) mod rule;
pub(crate) mod template;

/// A target: its name, which is that of its corpus, and its body.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    ("basic_auth", basic_auth::run),
    ("compile", compile::run),
    ("constraints", constraints::run),
    ("document", document::run),
    ("duration", duration::run),
    ("flat", flat::run),
    ("hello", hello::run),
    ("middleware", middleware::run),
    ("path", path::run),
    ("pattern", pattern::run),
    ("postgres", postgres::run),
    ("proxy_header", proxy_header::run),
    ("rule", rule::run),
    ("template", template::run),
];
