//! `Operand`: what an expression of a template is worth.

use std::collections::BTreeMap;
use std::fmt;

use super::Value;

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Nil,
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl Operand {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Go's truth: whatever is not the zero value of its type.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Flag(flag) => *flag,
            Self::Number(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(texts) => !texts.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// The noun for messages.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Flag(_) => "a switch",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The value under `key`; a map has empty text under every other key.
    pub(super) fn member(&self, key: &str) -> Result<Self, String> {
        match self {
            Self::Map(map) => Ok(Self::text(map.get(key).cloned().unwrap_or_default())),
            other => Err(format!("`{key}` is asked of {}", other.noun())),
        }
    }
}

impl From<&Value> for Operand {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone()),
            Value::Map(map) => Self::Map(map.clone()),
        }
    }
}

/// As Go prints it.
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<no value>"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(texts) => write!(f, "[{}]", texts.join(" ")),
            Self::Map(map) => {
                let entries: Vec<String> =
                    map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                write!(f, "map[{}]", entries.join(" "))
            }
        }
    }
}
