//! What the user writes and how it becomes steps.

use std::fmt;

use portcullis_config::Name;
use portcullis_config::tree::{Tree, decode};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chain::Step;

/// The settings of one kind of middleware.
pub trait Settings: DeserializeOwned + Serialize + JsonSchema + 'static {
    /// The kind as Traefik spells it, `stripPrefix`.
    const KIND: &'static str;

    /// On which side of a mesh connection the middleware makes sense.
    const SIDE: Side = Side::Either;

    /// Whether steps may be kept over reloads while these settings stay equal. Not so where they depend on more: on a
    /// file or on other middlewares.
    fn keeps_steps(settings: &Tree) -> bool {
        let _ = settings;
        true
    }

    /// Checks the settings and makes the steps of one router. State that must live across reloads belongs to the
    /// steps: they are kept as long as router, middleware and settings stay equal.
    fn compile(self, build: &mut dyn Build) -> Result<Vec<Step>, Defect>;
}

/// On which side of a mesh connection a middleware makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the request is made.
    Client,
    /// Where it is served.
    Server,
    /// On both.
    Either,
}

/// What a middleware may ask for while it is compiled.
pub trait Build {
    /// The full name of the middleware that is compiled, `auth@file`.
    fn name(&self) -> &Name;

    /// The full name of the router or service that the steps are for; empty while they are only checked.
    #[allow(clippy::unnecessary_literal_bound, reason = "others have a name to give")]
    fn owner(&self) -> &str {
        ""
    }

    /// The steps of another middleware for the same router; `name` resolves in the provider of the asking one.
    fn middleware(&mut self, name: &str) -> Result<Vec<Step>, Defect>;
}

/// Why a middleware cannot be built: what is wrong with which field and what was expected, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Defect(pub String);

impl From<String> for Defect {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Defect {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

/// One line of the table: a kind of middleware as functions.
pub struct Kind {
    /// As Traefik spells it.
    pub name: &'static str,
    /// On which side of a mesh connection it makes sense.
    pub side: Side,
    /// Types the settings and makes the steps.
    pub compile: fn(&Tree, &mut dyn Build) -> Result<Vec<Step>, Defect>,
    /// Whether steps may be kept over reloads while the settings stay equal.
    pub keeps_steps: fn(&Tree) -> bool,
    /// The settings with their defaults as the API shows them.
    pub show: fn(&Tree) -> Result<serde_json::Value, Defect>,
    /// The JSON schema of the settings.
    pub schema: fn() -> schemars::Schema,
}

impl Kind {
    /// The line for `S`.
    pub const fn of<S: Settings>() -> Self {
        Self {
            name: S::KIND,
            side: S::SIDE,
            compile: |tree, build| typed::<S>(tree)?.compile(build),
            keeps_steps: S::keeps_steps,
            show: show::<S>,
            schema: || schemars::schema_for!(S),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

/// Settings as their type has them.
pub(crate) fn typed<S: DeserializeOwned>(tree: &Tree) -> Result<S, Defect> {
    decode::decode(tree).map_err(|mismatch| Defect(mismatch.to_string()))
}

/// Settings with their defaults, for the API.
pub(crate) fn show<S: DeserializeOwned + Serialize>(
    tree: &Tree,
) -> Result<serde_json::Value, Defect> {
    serde_json::to_value(typed::<S>(tree)?).map_err(|error| Defect(error.to_string()))
}

/// Whether a setting is at its default; such settings are not shown.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
