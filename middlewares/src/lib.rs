//! The middlewares of Portcullis.
//!
//! A middleware is one file: its settings (whose documentation is the user manual), its code and its
//! tests; and one line in the table below. What the user writes is a [`Settings`]; it compiles into
//! [`chain::Step`]s of two shapes: a [`chain::Filter`] looks at or edits heads and never waits, a
//! [`chain::Wrap`] holds the rest of the chain in its hand. Nothing else in the tree names a middleware.

pub mod build;
pub mod chain;
pub mod client_ip;
pub mod exchange;
pub mod message;
pub mod metric;
mod offload;
mod password;
pub mod path;
mod prefix;
mod redirect;
pub mod source;
pub mod tcp;
#[cfg(test)]
mod testing;
pub mod window;

pub use build::{Build, Defect, Kind, Settings, Side};
pub use chain::{Chain, Filter, Flow, Later, Next, Service, Step, Wrap};
pub use exchange::Exchange;
pub use message::{Body, Connection, Fault, Request, Response};

/// Declares the modules of all middlewares and collects them into [`KINDS`].
macro_rules! middlewares {
    ($($module:ident::$settings:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every middleware that Portcullis serves, in alphabetical order.
        pub static KINDS: &[Kind] = &[$(Kind::of::<$module::$settings>()),*];
    };
}

middlewares! {
    add_prefix::AddPrefix,
    basic_auth::BasicAuth,
    chain_of::ChainOf,
    circuit_breaker::CircuitBreaker,
    encoded_characters::EncodedCharacters,
    headers::Headers,
    in_flight_req::InFlightReq,
    ip_allow_list::IpAllowList,
    ip_white_list::IpWhiteList,
    rate_limit::RateLimit,
    redirect_regex::RedirectRegex,
    redirect_scheme::RedirectScheme,
    replace_path::ReplacePath,
    replace_path_regex::ReplacePathRegex,
    retry::Retry,
    strip_prefix::StripPrefix,
    strip_prefix_regex::StripPrefixRegex,
}

/// Kinds that Traefik has and this release does not serve; a router that uses one answers 404.
pub const NOT_SERVED: &[&str] = &[
    "buffering",
    "compress",
    "contentType",
    "digestAuth",
    "errors",
    "forwardAuth",
    "grpcWeb",
    "passTLSClientCert",
    "plugin",
];

/// The kind whose name equals `name` in any case.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
}
