//! `Fault`: a mismatch on its way up, before the path to it is known.

use std::fmt;

use super::Mismatch;
use super::reader::address;
use crate::problem::At;
use crate::tree::Tree;

/// A mismatch whose path grows while the error travels up to the root.
#[derive(Debug)]
pub(super) struct Fault {
    /// Steps of the path, innermost first.
    path: Vec<Step>,
    reason: Reason,
    at: Option<At>,
    /// The address of the innermost node concerned, so that a second pass can leave it out.
    pub(super) node: Option<usize>,
}

/// One step of a path.
#[derive(Debug)]
pub(super) enum Step {
    /// Into a field or an entry.
    Key(String),
    /// Into an element.
    Index(usize),
}

#[derive(Debug)]
enum Reason {
    /// The value does not fit.
    Value(String),
    /// The last step of the path is no field; what to say about real ones.
    UnknownField(String),
}

impl Fault {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { path: Vec::new(), reason: Reason::Value(reason.into()), at: None, node: None }
    }

    /// `field` of the structure in question is none of `fields`.
    pub(super) fn unknown_field(field: &str, fields: &[&str]) -> Self {
        let reason = Reason::UnknownField(hint(field, fields));
        Self { path: vec![Step::Key(field.to_owned())], reason, at: None, node: None }
    }

    /// The same fault below one more step.
    pub(super) fn below(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// The same fault, about `tree` unless it is about something within.
    pub(super) fn within(mut self, tree: &Tree) -> Self {
        if self.node.is_none() {
            self.node = Some(address(tree));
        }
        if self.at.is_none() {
            self.at.clone_from(&tree.at);
        }
        self
    }

    pub(super) fn into_mismatch(self) -> Mismatch {
        let path = self.path();
        let message = match &self.reason {
            Reason::Value(reason) if path.is_empty() => reason.clone(),
            Reason::Value(reason) => format!("`{path}`: {reason}"),
            Reason::UnknownField(hint) => format!("unknown field `{path}`{hint}"),
        };
        Mismatch { path, message, at: self.at }
    }

    fn path(&self) -> String {
        let mut text = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Value(reason) => f.write_str(reason),
            Reason::UnknownField(hint) => write!(f, "unknown field `{}`{hint}", self.path()),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("field `{field}` is required"))
    }
}

/// What follows "unknown field `x`": the nearest real name, or all of a few.
fn hint(field: &str, fields: &[&str]) -> String {
    if let Some(name) = nearest(field, fields) {
        return format!("; did you mean `{name}`?");
    }
    match fields {
        [] => "; no fields are expected here".to_owned(),
        [only] => format!("; the only field is `{only}`"),
        few if few.len() <= 12 => format!("; the fields are {}", quoted(few)),
        _ => String::new(),
    }
}

/// The names in backquotes, separated by commas.
pub(super) fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The one of `candidates` that `word` probably means, if any is near.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let allowed = word.chars().count().div_ceil(3).clamp(1, 4);
    candidates
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, removed, replaced or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let to: Vec<char> = to.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("rule", "rule"), 0);
        assert_eq!(distance("ruel", "rule"), 1);
        assert_eq!(distance("entrypoint", "entrypoints"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_name_is_suggested_only_if_it_is_near() {
        assert_eq!(nearest("entryPoint", &["rule", "entryPoints"]), Some("entryPoints"));
        assert_eq!(nearest("HTPP", &["http", "tcp"]), Some("http"));
        assert_eq!(nearest("banana", &["rule", "service"]), None);
    }
}
