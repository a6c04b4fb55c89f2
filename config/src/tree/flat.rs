//! Flat pairs and trees: `http.routers.x.rule=…` as labels, flags, environment and key-value stores write it.
//!
//! Keys meet in any case, as in Traefik: `http.routers.Web` and `HTTP.routers.web` are one router, named as the first
//! key spells it. `tls=true` beside `tls.options=x` only repeats that `tls` is there; `tls=false` takes precedence
//! over everything below it.

use indexmap::IndexMap;

use super::decode::Mismatch;
use super::{Node, Tree};
use crate::problem::At;

#[cfg(test)]
mod tests;

/// Folds dotted pairs into a tree. `a.b[0].c=x` and `a.b.0.c=x` index lists; keys keep the case they have.
/// `source` names a pair for messages (`label traefik.http…`). Of two equal keys the last one wins.
pub fn fold<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    source: impl Fn(&str) -> String,
) -> Result<Tree, Mismatch> {
    let mut root = Branch::default();
    for (key, value) in pairs {
        let at = At { source: source(key).into(), line: 0, column: 0 };
        let mismatch = |reason: String| Mismatch {
            path: key.to_owned(),
            message: format!("`{key}`: {reason}"),
            at: Some(at.clone()),
        };
        let steps = steps(key).map_err(mismatch)?;
        root.insert(&steps, value, key, &at).map_err(mismatch)?;
    }
    Ok(root.into_tree())
}

/// The pairs that [`fold`] makes a tree of that is decoded alike: lists as `a[0]`, an empty map as `true`, an empty
/// list as empty text.
pub fn unfold(tree: &Tree) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    unfold_below(tree, String::new(), &mut pairs);
    pairs
}

fn unfold_below(tree: &Tree, path: String, pairs: &mut Vec<(String, String)>) {
    match &tree.node {
        Node::Scalar(text) => pairs.push((path, text.clone())),
        Node::List(trees) if trees.is_empty() => pairs.push((path, String::new())),
        Node::Map(map) if map.is_empty() && !path.is_empty() => {
            pairs.push((path, "true".to_owned()));
        }
        Node::List(trees) => {
            for (index, element) in trees.iter().enumerate() {
                unfold_below(element, format!("{path}[{index}]"), pairs);
            }
        }
        Node::Map(map) => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                unfold_below(value, format!("{path}{dot}{key}"), pairs);
            }
        }
    }
}

/// A node that is still growing.
#[derive(Default)]
struct Branch<'a> {
    /// The value given for this very key, with the key.
    value: Option<(&'a str, &'a str)>,
    /// Children under their lower-case names, each with its first spelling.
    children: IndexMap<String, (&'a str, Branch<'a>)>,
    form: Form,
    at: Option<At>,
}

/// How the children of a branch are written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// `.a`, or `.0`, which may be a name or an index.
    #[default]
    Names,
    /// At least one as `[0]`.
    Indexes,
}

/// One step of a key.
struct Step<'a> {
    name: &'a str,
    form: Form,
}

impl<'a> Branch<'a> {
    fn insert(
        &mut self,
        steps: &[Step<'a>],
        value: &'a str,
        key: &'a str,
        at: &At,
    ) -> Result<(), String> {
        if self.at.is_none() {
            self.at = Some(at.clone());
        }
        let Some((step, rest)) = steps.split_first() else {
            return self.set(value, key, at);
        };
        if let Some((other, _)) = self.value.filter(|(_, value)| !is_switch(value)) {
            return Err(format!("`{other}` is a value already and cannot have fields"));
        }
        if self.children.is_empty() {
            self.form = step.form;
        } else if self.form != step.form {
            let mut names = self.children.keys().map(String::as_str).chain([step.name]);
            if !names.all(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err("indexes and names are mixed".to_owned());
            }
            self.form = Form::Indexes;
        }
        let child = self.children.entry(step.name.to_ascii_lowercase());
        let (_, branch) = child.or_insert_with(|| (step.name, Branch::default()));
        branch.insert(rest, value, key, at)
    }

    fn set(&mut self, value: &'a str, key: &'a str, at: &At) -> Result<(), String> {
        match self.value {
            Some((other, known)) if other != key && known != value => {
                return Err(format!("`{other}` is the same key with another value"));
            }
            _ if !self.children.is_empty() && !is_switch(value) => {
                return Err("a value is given here although there are fields below".to_owned());
            }
            _ => {}
        }
        self.value = Some((key, value));
        self.at = Some(at.clone());
        Ok(())
    }

    fn into_tree(self) -> Tree {
        let node = match self.value {
            Some((_, value)) if self.children.is_empty() || is_off(value) => {
                Node::Scalar(value.to_owned())
            }
            _ if self.form == Form::Indexes => {
                let mut elements: Vec<(usize, Branch<'_>)> = self
                    .children
                    .into_iter()
                    .map(|(index, (_, branch))| (index.parse().unwrap_or(usize::MAX), branch))
                    .collect();
                elements.sort_by_key(|(index, _)| *index);
                Node::List(elements.into_iter().map(|(_, branch)| branch.into_tree()).collect())
            }
            _ => Node::Map(
                self.children
                    .into_values()
                    .map(|(name, branch)| (name.to_owned(), branch.into_tree()))
                    .collect(),
            ),
        };
        Tree { node, at: self.at }
    }
}

/// Whether a value says nothing but whether the structure at its key is there.
fn is_switch(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || is_off(value)
}

fn is_off(value: &str) -> bool {
    value.eq_ignore_ascii_case("false")
}

/// The steps of a key. Keys come from outside, so their depth and indexes are bounded.
fn steps(key: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let (name, brackets) = match part.find('[') {
            Some(open) if part.ends_with(']') => part.split_at(open),
            _ => (part, ""),
        };
        if name.is_empty() {
            return Err("there is an empty name in the key".to_owned());
        }
        steps.push(Step { name, form: Form::Names });
        for index in brackets.split_inclusive(']') {
            steps.push(Step { name: bracketed(index)?, form: Form::Indexes });
        }
        if steps.len() > DEPTH_LIMIT {
            return Err(format!("the key has more than {DEPTH_LIMIT} parts"));
        }
    }
    Ok(steps)
}

/// The digits of `[12]`, without leading zeros.
fn bracketed(text: &str) -> Result<&str, String> {
    let digits = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("");
    let plain = match digits.trim_start_matches('0') {
        "" if !digits.is_empty() => "0",
        plain => plain,
    };
    match plain.parse::<usize>() {
        Ok(index) if index <= INDEX_LIMIT && !plain.starts_with('+') => Ok(plain),
        Ok(_) => Err(format!("`{text}` is no index up to {INDEX_LIMIT}")),
        Err(_) => Err(format!("`{text}` is no index such as [0]")),
    }
}

/// The most parts a key may have.
const DEPTH_LIMIT: usize = 64;

/// The highest index a key may name.
const INDEX_LIMIT: usize = 4096;
