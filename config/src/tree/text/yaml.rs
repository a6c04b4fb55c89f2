//! YAML text as a tree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error, Location, Spanned};

use super::{DEPTH_LIMIT, Mismatch, Places, entry, message, mismatch};
use crate::problem::At;
use crate::tree::{Node, Tree};

pub(super) fn parse(text: &str, places: &Places<'_>) -> Result<Tree, Mismatch> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_LIMIT },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let value: Spanned<Value> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| failure(&error, places))?;
    Ok(tree(value, places).unwrap_or_default())
}

/// `None` for null. Traefik: a key without a value is as good as absent, so `tls:` is not `tls: {}`.
fn tree(value: Spanned<Value>, places: &Places<'_>) -> Option<Tree> {
    let node = match value.value {
        Value::Null => return None,
        Value::Text(text) => Node::Scalar(text),
        // Numbers keep their spelling: `1.10` may be the version that a text field wants.
        Value::Number(number) => Node::Scalar(spelled(&value.defined, places).unwrap_or(number)),
        Value::List(elements) => {
            Node::List(elements.into_iter().map(|value| element(value, places)).collect())
        }
        Value::Map(entries) => Node::Map(
            entries
                .into_iter()
                .filter_map(|(key, value)| {
                    let at = at(&key.defined, places);
                    Some((key.value, entry(tree(value, places)?, at)))
                })
                .collect(),
        ),
    };
    Some(Tree { node, at: Some(at(&value.defined, places)) })
}

/// An element cannot be absent; null is empty text, which fits nothing but text.
fn element(value: Spanned<Value>, places: &Places<'_>) -> Tree {
    let at = at(&value.defined, places);
    tree(value, places).unwrap_or_else(|| Tree { at: Some(at), ..Tree::scalar("") })
}

fn at(location: &Location, places: &Places<'_>) -> At {
    places.place(location.line() as usize, location.column() as usize)
}

/// The text of a scalar as it stands in the source.
fn spelled(location: &Location, places: &Places<'_>) -> Option<String> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    let text = places.text.get(start..start.checked_add(length)?)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn failure(error: &Error, places: &Places<'_>) -> Mismatch {
    let at = error.location().map_or_else(|| places.whole(), |location| at(&location, places));
    mismatch(message("YAML", &error.to_string()), Some(at))
}

/// What stands at one place, before numbers have their spelling.
enum Value {
    Null,
    Text(String),
    /// A number or a switch; the text is a stand-in for its spelling.
    Number(String),
    List(Vec<Spanned<Value>>),
    Map(Vec<(Spanned<String>, Spanned<Value>)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Number(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            values.push(entry);
        }
        Ok(Value::Map(values))
    }
}
