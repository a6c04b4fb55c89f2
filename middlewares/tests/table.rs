//! Walks the table of middlewares: whatever is in it has a manual, an example that decodes, and its place.

use portcullis_config::tree::Tree;
use portcullis_config::tree::text::{self, Format};
use portcullis_middlewares::{Defect, KINDS, NOT_SERVED, kind, tcp};
use serde_json::{Map, Value};

/// One line of one of the two tables.
struct Line {
    protocol: &'static str,
    name: &'static str,
    show: fn(&Tree) -> Result<Value, Defect>,
    schema: fn() -> schemars::Schema,
}

/// Every line of both tables.
fn lines() -> Vec<Line> {
    let http = KINDS.iter().map(|kind| Line {
        protocol: "http",
        name: kind.name,
        show: kind.show,
        schema: kind.schema,
    });
    let tcp = tcp::KINDS.iter().map(|kind| Line {
        protocol: "tcp",
        name: kind.name,
        show: kind.show,
        schema: kind.schema,
    });
    http.chain(tcp).collect()
}

fn schema(kind: &Line) -> Value {
    (kind.schema)().to_value()
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// The YAML examples in a manual.
fn examples(manual: &str) -> impl Iterator<Item = &str> {
    manual.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0))
}

/// Every object schema within a schema, with the path to it.
fn objects<'a>(at: &str, schema: &'a Value, found: &mut Vec<(String, &'a Map<String, Value>)>) {
    match schema {
        Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                found.push((at.to_owned(), properties));
            }
            map.iter().for_each(|(key, value)| objects(&format!("{at}.{key}"), value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(at, item, found)),
        _ => {}
    }
}

#[test]
fn names_are_unique_and_in_alphabetical_order() {
    let key = |line: &Line| (line.protocol, line.name.to_lowercase());
    let names: Vec<_> = lines().iter().map(key).collect();
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(names, sorted);
}

#[test]
fn names_are_found_in_any_case_and_not_listed_as_missing() {
    for known in KINDS {
        let found = kind(&known.name.to_uppercase()).unwrap();
        assert_eq!(found.name, known.name);
        assert!(!NOT_SERVED.contains(&known.name), "{} is served", known.name);
    }
    for known in tcp::KINDS {
        assert_eq!(tcp::kind(&known.name.to_uppercase()).unwrap().name, known.name);
    }
}

#[test]
fn every_middleware_and_every_field_has_a_manual() {
    for kind in &lines() {
        let schema = schema(kind);
        assert!(!description(&schema).is_empty(), "{} has no manual", kind.name);
        let mut found = Vec::new();
        objects(kind.name, &schema, &mut found);
        for (at, properties) in found {
            for (field, schema) in properties {
                let manual = description(schema);
                assert!(manual.ends_with('.'), "{at}.{field} has no full sentence: `{manual}`");
            }
        }
    }
}

#[test]
fn every_manual_has_an_example_that_decodes() {
    for kind in &lines() {
        let schema = schema(kind);
        let mut count = 0;
        for example in examples(description(&schema)) {
            let tree = text::parse(example, Format::Yaml, kind.name)
                .unwrap_or_else(|error| panic!("{}: {error}\n{example}", kind.name));
            let shown = settings(&tree, kind).map(kind.show);
            let shown = shown.unwrap_or_else(|| panic!("{}: not in\n{example}", kind.name));
            assert!(shown.is_ok(), "{}: {shown:?}", kind.name);
            count += 1;
        }
        assert!(count > 0, "{} shows no example", kind.name);
    }
}

/// The settings of the first middleware of `kind` in a whole configuration.
fn settings<'a>(tree: &'a Tree, kind: &Line) -> Option<&'a Tree> {
    let middlewares = tree.child(kind.protocol)?.child("middlewares")?.as_map()?;
    middlewares.values().find_map(|middleware| middleware.child(kind.name))
}

#[test]
fn defaults_are_shown_as_nothing() {
    for kind in &lines() {
        let shown = (kind.show)(&Tree::default());
        let nested = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        assert!(shown.as_ref().is_ok_and(Value::is_object), "{}: {shown:?}", kind.name);
        for (field, value) in shown.unwrap().as_object().unwrap() {
            assert!(!nested(value) && !value.is_null(), "{}.{field}: {value}", kind.name);
            assert!(*value != Value::Bool(false) && *value != "", "{}.{field}", kind.name);
            assert!(*value != Value::Array(Vec::new()), "{}.{field}: {value}", kind.name);
        }
    }
}

#[test]
fn unknown_fields_are_refused_by_name() {
    for kind in &lines() {
        let tree = Tree::map([("noSuchField".to_owned(), Tree::scalar("x"))]);
        let error = (kind.show)(&tree).unwrap_err().to_string();
        assert!(error.contains("noSuchField"), "{}: {error}", kind.name);
    }
}
