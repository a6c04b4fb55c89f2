//! JSON text as a tree.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Mismatch, Places, message, mismatch};
use crate::problem::At;
use crate::tree::{Node, Tree};

pub(super) fn parse(text: &str, places: &Places<'_>) -> Result<Tree, Mismatch> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let at = places.place(error.line(), error.column());
        mismatch(message("JSON", &error.to_string()), Some(at))
    })?;
    Ok(value.tree(&places.whole()).unwrap_or_default())
}

/// A node without places; `None` is null.
struct Value(Option<Form>);

enum Form {
    Scalar(String),
    List(Vec<Value>),
    Map(IndexMap<String, Value>),
}

impl Value {
    fn tree(self, at: &At) -> Option<Tree> {
        let node = match self.0? {
            Form::Scalar(text) => Node::Scalar(text),
            // An element cannot be absent; null is empty text, which fits nothing but text.
            Form::List(values) => Node::List(
                values
                    .into_iter()
                    .map(|value| value.tree(at).unwrap_or_else(|| Tree::scalar("")))
                    .collect(),
            ),
            Form::Map(entries) => Node::Map(
                entries
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value.tree(at)?)))
                    .collect(),
            ),
        };
        Some(Tree { node, at: Some(at.clone()) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl ValueVisitor {
    fn scalar<E>(text: impl ToString) -> Result<Value, E> {
        Ok(Value(Some(Form::Scalar(text.to_string()))))
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value(None))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Self::scalar(flag)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Self::scalar(number)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Self::scalar(number)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Self::scalar(number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Self::scalar(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value(Some(Form::List(values))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = IndexMap::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
            }
            values.insert(key, value);
        }
        Ok(Value(Some(Form::Map(values))))
    }
}
