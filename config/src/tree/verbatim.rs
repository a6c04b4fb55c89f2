//! serde for [`Tree`] itself: as part of a typed value a tree arrives verbatim, with the places of its nodes.

use std::cell::Cell;
use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Node, Tree};

/// The name of the newtype by which a tree asks for itself.
pub(super) const NAME: &str = "$portcullis::tree::Tree";

thread_local! {
    /// A tree on its way from our deserializer to [`TreeVisitor`]; serde's data model has no word for places.
    static HANDED_OVER: Cell<Option<Tree>> = const { Cell::new(None) };
}

/// Gives `tree` to a visitor that asked for [`NAME`].
pub(super) fn hand_over<'de, V: Visitor<'de>, E: serde::de::Error>(
    tree: Tree,
    visitor: V,
) -> Result<V::Value, E> {
    HANDED_OVER.set(Some(tree));
    let result = visitor.visit_unit();
    HANDED_OVER.take();
    result
}

/// Scalars are written as text.
impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.node {
            Node::Scalar(text) => serializer.serialize_str(text),
            Node::List(trees) => serializer.collect_seq(trees),
            Node::Map(map) => serializer.collect_map(map),
        }
    }
}

/// From [`decode`](super::decode::decode) the tree itself; from other formats what they say, without places.
impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Tree, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Tree, E> {
        Ok(HANDED_OVER.take().unwrap_or_default())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::scalar(flag.to_string()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::scalar(number.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::scalar(number.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::scalar(number.to_string()))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::scalar(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut trees = Vec::new();
        while let Some(tree) = elements.next_element()? {
            trees.push(tree);
        }
        Ok(Tree::list(trees))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = IndexMap::new();
        while let Some((key, tree)) = entries.next_entry::<String, Tree>()? {
            map.insert(key, tree);
        }
        Ok(Tree { node: Node::Map(map), at: None })
    }
}
