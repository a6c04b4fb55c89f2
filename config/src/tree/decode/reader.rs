//! `Reader`: the serde `Deserializer` itself, at one node of the tree.

use std::cell::RefCell;
use std::collections::HashSet;

use indexmap::IndexMap;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Visitor};

use super::access::{Elements, Entries};
use super::fault::{Fault, Step, quoted};
use super::scalar;
use crate::tree::{Node, Tree, verbatim};

/// What one pass over a tree knows and notes.
pub(super) struct Context<'a> {
    /// The address of the root.
    pub(super) root: usize,
    /// Addresses of nodes to pass over.
    pub(super) skipped: &'a HashSet<usize>,
    /// Addresses of nodes that say `false` where a structure is expected.
    pub(super) absent: RefCell<Vec<usize>>,
}

/// Stands at one node, or at one part of a comma-separated scalar.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    tree: &'a Tree,
    /// The part, if not the whole node is meant.
    part: Option<&'a str>,
    context: &'a Context<'a>,
}

/// What a reader sees.
enum View<'a> {
    Text(&'a str),
    List(&'a [Tree]),
    Map(&'a IndexMap<String, Tree>),
}

/// The identity of a node during one decoding; the tree is borrowed, so it does not move.
pub(super) fn address(tree: &Tree) -> usize {
    std::ptr::from_ref(tree).addr()
}

/// The elements of a list, of a map of indexes, or a lone structure.
pub(super) fn elements(tree: &Tree) -> Result<Vec<&Tree>, Fault> {
    match &tree.node {
        Node::List(trees) => Ok(trees.iter().collect()),
        Node::Map(map) => indexed(map)
            .map(|entries| entries.into_iter().map(|(_, element)| element).collect())
            .ok_or_else(|| Fault::new("expected a list, found a map").within(tree)),
        Node::Scalar(text) if text.trim().is_empty() => Ok(Vec::new()),
        Node::Scalar(_) => Ok(vec![tree]),
    }
}

/// The entries of a map whose keys are all indexes, in their order. Gaps are closed.
fn indexed(map: &IndexMap<String, Tree>) -> Option<Vec<(usize, &Tree)>> {
    let mut entries = Vec::with_capacity(map.len());
    for (key, tree) in map {
        let digits = key.bytes().all(|byte| byte.is_ascii_digit());
        entries.push((key.parse().ok().filter(|_| digits)?, tree));
    }
    entries.sort_by_key(|(index, _)| *index);
    Some(entries)
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Tree, context: &'a Context<'a>) -> Self {
        Self { tree, part: None, context }
    }

    pub(super) fn at(self, tree: &'a Tree) -> Self {
        Self { tree, part: None, ..self }
    }

    pub(super) fn part(self, text: &'a str) -> Self {
        Self { part: Some(text), ..self }
    }

    fn view(self) -> View<'a> {
        match (self.part, &self.tree.node) {
            (Some(text), _) => View::Text(text),
            (None, Node::Scalar(text)) => View::Text(text),
            (None, Node::List(trees)) => View::List(trees),
            (None, Node::Map(map)) => View::Map(map),
        }
    }

    fn is_skipped(self, tree: &Tree) -> bool {
        self.context.skipped.contains(&address(tree))
    }

    fn expected<T>(self, what: &str) -> Result<T, Fault> {
        Err(match self.view() {
            View::Text(text) => scalar::expected(what, text),
            View::List(_) => Fault::new(format!("expected {what}, found a list")),
            View::Map(_) => Fault::new(format!("expected {what}, found a map")),
        })
    }

    fn text(self, what: &str) -> Result<&'a str, Fault> {
        match self.view() {
            View::Text(text) => Ok(text),
            View::List(_) | View::Map(_) => self.expected(what),
        }
    }

    /// Says of every fault on its way up that it happened here or within.
    fn place<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.within(self.tree))
    }

    fn signed<V: Visitor<'a>>(self, visitor: V, least: i64, most: i64) -> Result<V::Value, Fault> {
        let number = self
            .text("an integer")
            .and_then(|text| scalar::integer(text, least.into(), most.into()));
        self.place(number.and_then(|number| visitor.visit_i64(number as i64)))
    }

    fn unsigned<V: Visitor<'a>>(self, visitor: V, most: u64) -> Result<V::Value, Fault> {
        let number = self.text("an integer").and_then(|text| scalar::integer(text, 0, most.into()));
        self.place(number.and_then(|number| visitor.visit_u64(number as u64)))
    }

    /// The readers of the elements, with their indexes.
    fn elements(self) -> Result<Vec<(usize, Self)>, Fault> {
        let trees: Vec<(usize, &Tree)> = match self.view() {
            View::Text(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                return Ok(parts.map(|part| self.part(part)).enumerate().collect());
            }
            View::List(trees) => trees.iter().enumerate().collect(),
            View::Map(map) => match indexed(map) {
                Some(entries) => entries,
                None => return self.expected("a list"),
            },
        };
        let kept = trees.into_iter().filter(|(_, tree)| !self.is_skipped(tree));
        Ok(kept.map(|(index, tree)| (index, self.at(tree))).collect())
    }

    /// The entries of a structure under the exact names of its fields.
    fn fields(
        self,
        map: &'a IndexMap<String, Tree>,
        fields: &'static [&'static str],
    ) -> Result<Vec<(&'a str, &'a Tree)>, Fault> {
        let mut entries: Vec<(&str, &Tree)> = Vec::with_capacity(map.len());
        for (key, tree) in map.iter().filter(|(_, tree)| !self.is_skipped(tree)) {
            let Some(field) = fields.iter().find(|field| field.eq_ignore_ascii_case(key)) else {
                return Err(Fault::unknown_field(key, fields).within(tree));
            };
            if entries.iter().any(|(known, _)| known == field) {
                let reason = "given twice, in two spellings";
                return Err(Fault::new(reason).below(Step::Key(key.clone())).within(tree));
            }
            entries.push((field, tree));
        }
        Ok(entries)
    }

    fn entries(self, entries: Vec<(&'a str, &'a Tree)>) -> Entries<'a> {
        Entries { reader: self, entries: entries.into_iter(), value: None }
    }
}

impl<'a> Deserializer<'a> for Reader<'a> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.view() {
            View::Text(text) => self.place(visitor.visit_borrowed_str(text)),
            View::List(_) => self.deserialize_seq(visitor),
            View::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let flag = self.text("`true` or `false`").and_then(scalar::boolean);
        self.place(flag.and_then(|flag| visitor.visit_bool(flag)))
    }

    fn deserialize_i8<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.signed(visitor, i8::MIN.into(), i8::MAX.into())
    }

    fn deserialize_i16<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.signed(visitor, i16::MIN.into(), i16::MAX.into())
    }

    fn deserialize_i32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.signed(visitor, i32::MIN.into(), i32::MAX.into())
    }

    fn deserialize_i64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.signed(visitor, i64::MIN, i64::MAX)
    }

    fn deserialize_u8<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.unsigned(visitor, u8::MAX.into())
    }

    fn deserialize_u16<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.unsigned(visitor, u16::MAX.into())
    }

    fn deserialize_u32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.unsigned(visitor, u32::MAX.into())
    }

    fn deserialize_u64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.unsigned(visitor, u64::MAX)
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = self.text("a number").and_then(scalar::float);
        self.place(number.and_then(|number| visitor.visit_f64(number)))
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let character = self.text("a single character").and_then(scalar::character);
        self.place(character.and_then(|character| visitor.visit_char(character)))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.place(self.text("text").and_then(|text| visitor.visit_borrowed_str(text)))
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.text("text");
        self.place(text.and_then(|text| visitor.visit_borrowed_bytes(text.as_bytes())))
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.place(visitor.visit_some(self))
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.place(visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != verbatim::NAME {
            return self.place(visitor.visit_newtype_struct(self));
        }
        let tree = match self.part {
            Some(text) => Tree { node: Node::Scalar(text.to_owned()), at: self.tree.at.clone() },
            None => self.tree.clone(),
        };
        self.place(verbatim::hand_over(tree, visitor))
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let elements = self.elements().map(|elements| Elements(elements.into_iter()));
        self.place(elements.and_then(|elements| visitor.visit_seq(elements)))
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let entries = match self.view() {
            View::Map(map) => map
                .iter()
                .filter(|(_, tree)| !self.is_skipped(tree))
                .map(|(key, tree)| (key.as_str(), tree))
                .collect(),
            View::Text(text) if text.is_empty() || scalar::is_true(text) => Vec::new(),
            View::Text(_) | View::List(_) => return self.place(self.expected("a map")),
        };
        self.place(visitor.visit_map(self.entries(entries)))
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries = match self.view() {
            View::Map(map) => self.fields(map, fields),
            View::Text(text) if scalar::is_true(text) => Ok(Vec::new()),
            View::Text(text)
                if scalar::is_false(text) && address(self.tree) != self.context.root =>
            {
                self.context.absent.borrow_mut().push(address(self.tree));
                Ok(Vec::new())
            }
            View::Text(_) | View::List(_) => self.expected("a map"),
        };
        self.place(entries.and_then(|entries| visitor.visit_map(self.entries(entries))))
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let known = self.text("text").and_then(|text| {
            let variant = variants.iter().find(|variant| variant.eq_ignore_ascii_case(text));
            variant.map_or_else(|| self.expected(&format!("one of {}", quoted(variants))), Ok)
        });
        self.place(known.and_then(|variant| visitor.visit_enum(StrDeserializer::new(variant))))
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}
