//! The providers of Portcullis: sources of routing configuration, one file each.
//!
//! A provider watches something (a folder, a container engine) and says, whenever that changes, its *whole*
//! configuration. To add one, write its file (options with their manual, the watch, the translation, tests) and
//! add one line to [`TABLE`]; nothing else in the tree mentions it.

#[cfg(feature = "docker")]
mod constraints;
#[cfg(feature = "docker")]
pub mod docker;
pub mod file;
#[cfg(feature = "docker")]
mod labels;
mod publisher;

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;

use portcullis_config::Problem;
use portcullis_config::problem::Kind as About;
use portcullis_config::tree::{Tree, decode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

pub use publisher::{Contact, Published, Publisher, Receiver, State, Weight, channel};

/// A boxed future, for traits.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source of configuration. It publishes a *whole* configuration whenever its world changes.
pub trait Provider: Send {
    /// The part after `@` in the names of its objects.
    fn name(&self) -> &str;

    /// Watches until it fails or is dropped.
    ///
    /// After a failure the caller runs it again, with a growing pause of at most a second or so (an outage must be
    /// over two seconds after its cause is gone), and keeps what it last published meanwhile.
    fn run<'a>(&'a mut self, out: &'a Publisher) -> Later<'a, Result<Infallible, Failure>>;
}

/// Why a provider stopped watching. The message says what to do about it where we know.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that `message` explains alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// A failure with its cause; the message must make sense without it.
    pub fn caused(
        message: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source: Some(cause.into()) }
    }
}

/// A provider, or everything that is wrong with its options.
pub type Built = Result<Box<dyn Provider>, Vec<Problem>>;

/// What the options of a provider can do: the struct that stands below `providers.<name>`.
trait Options: DeserializeOwned + Default + JsonSchema {
    /// The provider itself, or everything that is wrong with the options.
    fn build(self) -> Built;
}

/// One line of [`TABLE`]: a sort of provider.
pub struct Kind {
    /// Its key below `providers` in the install configuration.
    pub name: &'static str,
    /// How the API and the dashboard write it.
    pub title: &'static str,
    /// Builds the provider from its options. Problems here stop the start: they are the operator's to mend.
    pub build: fn(&Tree) -> Built,
    /// The options with their manual, as a JSON schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// All providers, in alphabetical order.
pub static TABLE: &[Kind] = &[
    #[cfg(feature = "docker")]
    Kind::of::<docker::Docker>("docker", "Docker"),
    Kind::of::<file::File>("file", "File"),
];

impl Kind {
    /// The kind whose key is `name`, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    const fn of<T: Options>(name: &'static str, title: &'static str) -> Self {
        Self { name, title, build: build::<T>, schema: T::json_schema }
    }
}

/// `providers.file=true` means: with defaults.
fn build<T: Options>(tree: &Tree) -> Built {
    if tree.as_text().is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return T::default().build();
    }
    let options: T = decode::decode(tree).map_err(|mismatch| {
        let name = match mismatch.path.as_str() {
            "" => format!("providers.{}", T::schema_name().to_lowercase()),
            path => format!("providers.{}.{path}", T::schema_name().to_lowercase()),
        };
        let at = mismatch.at.clone().or_else(|| tree.at.clone());
        vec![Problem::error(About::Install, name, mismatch.message).at(at)]
    })?;
    options.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_alphabetical_order_and_found_in_any_case() {
        assert!(TABLE.is_sorted_by_key(|kind| kind.name));
        assert_eq!(Kind::find("FILE").unwrap().title, "File");
        assert!(Kind::find("fil").is_none());
    }

    #[test]
    fn every_option_has_its_manual() {
        for kind in TABLE {
            let mut generator = SchemaGenerator::default();
            let schema = (kind.schema)(&mut generator).to_value();
            let properties = schema["properties"].as_object().unwrap();
            for (option, schema) in properties {
                assert!(
                    schema["description"].as_str().is_some_and(|text| text.ends_with('.')),
                    "{}.{option} has no manual",
                    kind.name
                );
            }
        }
    }
}
