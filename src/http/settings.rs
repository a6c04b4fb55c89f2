//! How one entry point speaks HTTP, compiled from its install configuration.

use std::time::Duration;

use http::HeaderName;
use portcullis_config::units::IpRanges;
use portcullis_middlewares::path::{EncodedCharacters, Semicolons};

/// How one entry point speaks HTTP.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Head and body of a request must arrive within it, from the first byte.
    pub read_timeout: Option<Duration>,
    /// A response must be written within it.
    pub write_timeout: Option<Duration>,
    /// A connection without a request is closed after it.
    pub idle_timeout: Option<Duration>,
    /// After this many requests a connection is closed.
    pub keep_alive_requests: Option<u64>,
    /// After this age a connection is closed with its next response.
    pub keep_alive_time: Option<Duration>,
    /// Bytes of a request head.
    pub max_head: usize,
    /// Bytes of a request target.
    pub max_target: usize,
    /// Fields of a request head.
    pub max_fields: usize,
    /// Whether dot segments and double slashes are removed.
    pub sanitize: Sanitize,
    /// What becomes of `;` in queries.
    pub semicolons: Semicolons,
    /// Escapes that a path may not hold.
    pub denied_characters: EncodedCharacters,
    /// What becomes of header names with `_` and the like.
    pub aliases: Aliases,
    /// Whose forwarded headers are believed.
    pub forwarded: Forwarded,
    /// h2 settings.
    pub http2: Http2,
}

/// Whether paths are sanitised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitize {
    /// Dot segments and double slashes go.
    Yes,
    /// Paths stay as they are.
    No,
}

/// What becomes of header names that servers may mistake for others (`X_Real_Ip`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// They go on.
    Keep,
    /// They are removed.
    Delete,
    /// The request is answered 400.
    Reject,
}

/// Whose forwarded headers are believed, and what is added.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// Everybody's.
    pub insecure: bool,
    /// These peers'.
    pub trusted: IpRanges,
    /// Header names that a client's `Connection` may list and that still reach the middlewares.
    pub connection: Vec<HeaderName>,
    /// Whether the peer is appended to `X-Forwarded-For`.
    pub append: Append,
}

/// Whether the peer is appended to `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Append {
    /// It is.
    #[default]
    Peer,
    /// It is not.
    Nothing,
}

/// h2 settings.
#[derive(Clone, Copy, Debug)]
pub struct Http2 {
    /// Requests at one time on one connection.
    pub max_streams: u32,
    /// Bytes of the table that the client may fill.
    pub decoder_table: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_timeout: Some(Duration::from_secs(60)),
            write_timeout: None,
            idle_timeout: Some(Duration::from_secs(180)),
            keep_alive_requests: None,
            keep_alive_time: None,
            max_head: 64 * 1024,
            max_target: 16 * 1024,
            max_fields: 256,
            sanitize: Sanitize::Yes,
            semicolons: Semicolons::Separate,
            denied_characters: EncodedCharacters::default(),
            aliases: Aliases::Keep,
            forwarded: Forwarded::default(),
            http2: Http2 { max_streams: 250, decoder_table: 4096 },
        }
    }
}
