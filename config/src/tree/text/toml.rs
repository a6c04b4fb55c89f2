//! TOML text as a tree.

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Mismatch, Places, entry, message, mismatch};
use crate::tree::{Node, Tree};

pub(super) fn parse(text: &str, places: &Places<'_>) -> Result<Tree, Mismatch> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or_else(|| places.whole(), |span| places.at(span.start));
        mismatch(message("TOML", error.message()), Some(at))
    })?;
    Ok(Tree { node: map(table.get_ref(), places), at: Some(places.at(0)) })
}

/// The entries in the order of the text; the parser sorts them by name.
fn map(table: &DeTable<'_>, places: &Places<'_>) -> Node {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| {
        let tree = entry(tree(value, places), Some(places.at(key.span().start)));
        (key.get_ref().to_string(), tree)
    });
    Node::Map(entries.collect::<IndexMap<_, _>>())
}

fn tree(value: &Spanned<DeValue<'_>>, places: &Places<'_>) -> Tree {
    let span = value.span();
    // Numbers keep their spelling: `1.10` may be the version that a text field wants.
    let spelled = || places.text.get(span.clone()).unwrap_or_default().to_owned();
    let node = match value.get_ref() {
        DeValue::String(text) => Node::Scalar(text.to_string()),
        DeValue::Integer(_) | DeValue::Float(_) => Node::Scalar(spelled()),
        DeValue::Boolean(flag) => Node::Scalar(flag.to_string()),
        DeValue::Datetime(time) => Node::Scalar(time.to_string()),
        DeValue::Array(elements) => {
            Node::List(elements.iter().map(|element| tree(element, places)).collect())
        }
        DeValue::Table(table) => map(table, places),
    };
    Tree { node, at: Some(places.at(span.start)) }
}
