//! Identities of the mesh: an authority of our own, the tokens with which nodes join, and the renewal of what it issued.
//!
//! ```text
//! root (10 years) ─▶ intermediate (90 days, renewed here) ─▶ leaves (24 hours, renewed at half their life by those who hold them)
//! ```
//!
//! The root's key is needed only to make intermediates. A node proves once, by a token, who it is; from then on its own
//! certificate does. What it may ask for is a pattern that the token named, and what is placed on it.

mod audit;
mod ca;
mod cache;
mod client;
mod csr;
mod grant;
mod issuer;
mod keeper;
mod ledger;
mod message;
mod pattern;
pub mod rotation;
mod server;
mod start;
#[cfg(test)]
mod tests;
mod token;

pub use self::audit::{Refused, refusals};
pub use self::ca::{Ca, CaError, Lives};
pub use self::grant::{Anywhere, Placed, Placement};
pub use self::keeper::Keeper;
pub use self::ledger::Ledger;
pub use self::pattern::Pattern;
pub use self::start::{Settings, Source, start};
pub use self::token::{Invitation, Token};
