//! The configuration vocabulary of Portcullis: what providers, middlewares and the gateway say to each other.
//!
//! Three forms carry a configuration: a [`tree::Tree`] (what a source said), typed values (what the
//! schema says, [`routing`]) and compiled parts, which live above this crate. Nothing here opens a
//! socket, starts a task or knows HTTP.

pub mod name;
pub mod pattern;
pub mod pieces;
pub mod problem;
pub mod routing;
pub mod rule;
pub mod template;
pub mod tree;
pub mod units;

pub use name::Name;
pub use problem::Problem;
pub use routing::Routing;
