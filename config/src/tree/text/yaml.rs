//! YAML text as a tree: composes the events of the YAML parser.
//!
//! The parser resolves syntax; what is added here is what events leave open: anchors, merge keys, duplicate keys, null,
//! and bounds for all of them, since text may come from elsewhere.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use indexmap::IndexMap;

use super::{Mismatch, Places, entry, message, mismatch};
use crate::problem::At;
use crate::tree::{Node, Tree};

pub(super) fn parse(text: &str, places: &Places<'_>) -> Result<Tree, Mismatch> {
    let mut composer = Composer::default();
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            mismatch(message("YAML", &error.info()), at(*error.marker(), places))
        })?;
        let place = at(span.start, places);
        composer
            .event(event, span, places)
            .map_err(|reason| mismatch(message("YAML", &reason), place))?;
    }
    Ok(composer.root.flatten().unwrap_or_default())
}

/// A node; `None` is null. Traefik: a key without a value is as good as absent, so `tls:` is not `tls: {}`.
type Value = Option<Tree>;

/// The tree while it grows.
#[derive(Default)]
struct Composer {
    /// Lists and maps that are not closed yet, the innermost last.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    /// How many nodes anchors and aliases copied.
    copied: usize,
    /// The document, once it is complete.
    root: Option<Value>,
    documents: usize,
}

/// A list or map that is not closed yet.
struct Open {
    form: Form,
    anchor: usize,
    at: Option<At>,
}

enum Form {
    List(Vec<Tree>),
    Map(Entries),
}

#[derive(Default)]
struct Entries {
    own: IndexMap<String, Value>,
    /// What `<<` brings in, the earlier before the later.
    merged: Vec<Tree>,
    /// The key whose value comes next.
    key: Option<Key>,
}

enum Key {
    Name(String, Option<At>),
    /// `<<`.
    Merge,
}

/// A node that aliases may refer to.
struct Anchor {
    value: Value,
    nodes: usize,
    depth: usize,
}

impl Composer {
    fn event(&mut self, event: Event<'_>, span: Span, places: &Places<'_>) -> Result<(), String> {
        let place = at(span.start, places);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("there is more than one document".to_owned());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().and_then(Tag::core_suffix);
                if style == ScalarStyle::Plain && text == "<<" && self.expect_merge() {
                    return Ok(());
                }
                let is_null = tag == Some("null")
                    || (tag != Some("str") && style == ScalarStyle::Plain && null(&text));
                let scalar = || Tree { at: place, ..Tree::scalar(text) };
                return self.complete((!is_null).then(scalar), anchor);
            }
            Event::SequenceStart(_, anchor, _) => {
                return self.open(Form::List(Vec::new()), anchor, place);
            }
            Event::MappingStart(_, anchor, _) => {
                return self.open(Form::Map(Entries::default()), anchor, place);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(anchor) => return self.alias(anchor),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, form: Form, anchor: usize, at: Option<At>) -> Result<(), String> {
        if self.open.len() == DEPTH_LIMIT {
            return Err(TOO_DEEP.to_owned());
        }
        self.open.push(Open { form, anchor, at });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { form, anchor, at }) = self.open.pop() else { return Ok(()) };
        let node = match form {
            Form::List(elements) => Node::List(elements),
            Form::Map(entries) => Node::Map(entries.close()),
        };
        self.complete(Some(Tree { node, at }), anchor)
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let (nodes, depth) = value.as_ref().map_or((0, 0), extent);
            self.copy(nodes)?;
            self.anchors.insert(anchor, Anchor { value: value.clone(), nodes, depth });
        }
        match self.open.last_mut().map(|open| &mut open.form) {
            None => self.root = Some(value),
            // An element cannot be absent; null is empty text, which fits nothing but text.
            Some(Form::List(elements)) => elements.push(value.unwrap_or_else(|| Tree::scalar(""))),
            Some(Form::Map(entries)) => entries.add(value)?,
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let Some(Anchor { value, nodes, depth }) = self.anchors.get(&anchor) else {
            return Err("an alias stands within what it refers to".to_owned());
        };
        if self.open.len() + depth > DEPTH_LIMIT {
            return Err(TOO_DEEP.to_owned());
        }
        let (value, nodes) = (value.clone(), *nodes);
        self.copy(nodes)?;
        self.complete(value, 0)
    }

    fn copy(&mut self, nodes: usize) -> Result<(), String> {
        self.copied += nodes;
        if self.copied > COPY_LIMIT {
            return Err(format!("anchors and aliases make more than {COPY_LIMIT} nodes"));
        }
        Ok(())
    }

    /// Takes `<<` as a merge key if a key is due.
    fn expect_merge(&mut self) -> bool {
        match self.open.last_mut().map(|open| &mut open.form) {
            Some(Form::Map(entries)) if entries.key.is_none() => {
                entries.key = Some(Key::Merge);
                true
            }
            _ => false,
        }
    }
}

impl Entries {
    /// Takes a key or, behind a key, its value.
    fn add(&mut self, value: Value) -> Result<(), String> {
        match self.key.take() {
            None => {
                let Some(Tree { node: Node::Scalar(name), at }) = value else {
                    return Err("a key must be text".to_owned());
                };
                if self.own.contains_key(&name) {
                    return Err(format!("duplicate key `{name}`"));
                }
                self.key = Some(Key::Name(name, at));
                Ok(())
            }
            Some(Key::Name(name, at)) => {
                self.own.insert(name, value.map(|tree| entry(tree, at)));
                Ok(())
            }
            Some(Key::Merge) => self.merge(value),
        }
    }

    fn merge(&mut self, value: Value) -> Result<(), String> {
        let maps = match value {
            Some(Tree { node: Node::List(trees), .. }) => trees,
            value => value.into_iter().collect(),
        };
        if maps.iter().any(|tree| tree.as_map().is_none()) {
            return Err("`<<` expects a map or a list of maps".to_owned());
        }
        self.merged.extend(maps);
        Ok(())
    }

    /// The own entries and those of merged maps that are not among them.
    fn close(mut self) -> IndexMap<String, Tree> {
        for tree in self.merged {
            let Node::Map(map) = tree.node else { continue };
            for (key, value) in map {
                self.own.entry(key).or_insert(Some(value));
            }
        }
        self.own.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

fn at(marker: Marker, places: &Places<'_>) -> Option<At> {
    Some(places.place(marker.line(), marker.col() + 1))
}

/// The spellings of null.
fn null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// How many nodes a tree has and how deep it is.
fn extent(tree: &Tree) -> (usize, usize) {
    let children: &mut dyn Iterator<Item = &Tree> = match &tree.node {
        Node::Scalar(_) => return (1, 0),
        Node::List(trees) => &mut trees.iter(),
        Node::Map(map) => &mut map.values(),
    };
    let (nodes, depth) = children
        .map(extent)
        .fold((0, 0), |(nodes, deepest), (count, depth)| (nodes + count, deepest.max(depth)));
    (nodes + 1, depth + 1)
}

/// The deepest nesting that is read.
const DEPTH_LIMIT: usize = 64;

const TOO_DEEP: &str = "nested too deeply";

/// The most nodes that anchors and aliases may make, so that a few lines do not become gigabytes.
const COPY_LIMIT: usize = 200_000;
