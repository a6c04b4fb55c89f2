//! HTTP/1.0 and 1.1 on a byte stream: heads, the framing of bodies, and the two ends of a connection.
//!
//! `httparse` reads heads and chunk sizes. What is ours is everything around it, for three reasons: an idle connection
//! keeps no buffer, a message that is at hand whole passes without a task, a channel or a second read, and a refusal has
//! the words that clients know from Traefik. Nothing here knows routes or servers.

pub mod client;
mod decoder;
mod encoder;
mod error;
mod head;
mod output;
pub mod server;
pub mod switch;
mod wire;

pub use self::error::{Error, Refusal};
pub use self::head::{digits, has_token};

/// Bounds of what a peer may send before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, first line included.
    pub head: usize,
    /// Fields of a head.
    pub fields: usize,
}
