//! The options of the install configuration as data: names, shapes, defaults and manual, read off the types.
//!
//! Flags need it to know whether `--a.b` takes a value, environment variables to find `entryPoints` in
//! `ENTRYPOINTS`, and `help flags` to print the manual.

use std::fmt;

use portcullis_config::tree::decode::nearest;
use portcullis_providers::TABLE;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::Install;

/// What may stand at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Text or a number.
    Value,
    /// `true` or `false`.
    Switch,
    /// A list.
    List(Box<Shape>),
    /// Anything by name.
    Map(Box<Shape>),
    /// Options by name.
    Block(Vec<Field>),
    /// Whatever a part of its own says.
    Free,
}

/// An option or a block of options.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its key, `entryPoints`.
    pub name: String,
    /// Its manual.
    pub manual: String,
    /// Its value if it is not given; empty where there is none.
    pub default: String,
    /// What may stand there.
    pub shape: Shape,
}

/// A key that does not exist, and the nearest one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The path to the key as far as it exists, spelled properly, and the key itself.
    pub path: String,
    /// The nearest real key.
    pub nearest: Option<String>,
}

impl Shape {
    /// The shape of the whole install configuration.
    pub fn of_install() -> Self {
        let mut generator = SchemaGenerator::default();
        let install = generator.subschema_for::<Install>().to_value();
        let providers: Vec<(&str, Value)> = TABLE
            .iter()
            .map(|kind| (kind.name, (kind.schema)(&mut generator).to_value()))
            .collect();
        let definitions = generator.take_definitions(true);
        let reader = Reader { definitions: &definitions };
        let mut shape = reader.shape(&install);
        for (name, schema) in &providers {
            if let Some(field) =
                shape.field_mut("providers").and_then(|it| it.shape.field_mut(name))
            {
                field.shape = reader.shape(schema);
            }
        }
        shape
    }

    /// The properly spelled path of `steps` (keys in any case, indexes as numbers) and what may stand there.
    pub fn find<'a>(&'a self, steps: &[&str]) -> Result<(String, &'a Self), Unknown> {
        let (mut path, mut here) = (String::new(), self);
        for step in steps {
            here = match here {
                Self::Block(fields) => {
                    let Some(field) = fields.iter().find(|it| it.name.eq_ignore_ascii_case(step))
                    else {
                        let names: Vec<&str> = fields.iter().map(|it| it.name.as_str()).collect();
                        let nearest = nearest(step, &names).map(ToOwned::to_owned);
                        return Err(Unknown { path: join(&path, step), nearest });
                    };
                    path = join(&path, &field.name);
                    &field.shape
                }
                Self::Map(inner) => {
                    path = join(&path, step);
                    inner
                }
                Self::List(inner) if step.parse::<u16>().is_ok() => {
                    path = format!("{path}[{step}]");
                    inner
                }
                Self::Free => {
                    path = join(&path, step);
                    here
                }
                Self::Value | Self::Switch | Self::List(_) => {
                    return Err(Unknown { path: join(&path, step), nearest: None });
                }
            };
        }
        Ok((path, here))
    }

    /// Every option with its path, `entryPoints.<name>.address`, in the order of the types.
    pub fn options(&self) -> Vec<(String, &Field)> {
        let mut options = Vec::new();
        self.collect("", &mut options);
        options
    }

    fn collect<'a>(&'a self, path: &str, options: &mut Vec<(String, &'a Field)>) {
        match self {
            Self::Block(fields) => {
                for field in fields {
                    let path = join(path, &field.name);
                    options.push((path.clone(), field));
                    field.shape.collect(&path, options);
                }
            }
            Self::Map(inner) => inner.collect(&join(path, "<name>"), options),
            Self::List(inner) => inner.collect(&format!("{path}[n]"), options),
            Self::Value | Self::Switch | Self::Free => {}
        }
    }

    fn field_mut(&mut self, name: &str) -> Option<&mut Field> {
        match self {
            Self::Block(fields) => fields.iter_mut().find(|field| field.name == name),
            _ => None,
        }
    }
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// Reads JSON schemas as they are generated from our types.
struct Reader<'a> {
    definitions: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn shape(&self, schema: &Value) -> Shape {
        let Some(schema) = schema.as_object() else { return Shape::Free };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let name = target.rsplit('/').next().unwrap_or_default();
            return self.definitions.get(name).map_or(Shape::Free, |it| self.shape(it));
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            // `Option<T>`: the other choice is null.
            let some = choices.iter().find(|choice| choice["type"] != "null");
            return some.map_or(Shape::Free, |it| self.shape(it));
        }
        if schema.contains_key("enum") || schema.contains_key("oneOf") {
            return Shape::Value;
        }
        match schema.get("type").map(kind) {
            Some("boolean") => Shape::Switch,
            Some("array") => Shape::List(Box::new(self.inner(schema.get("items")))),
            Some("object") => match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => Shape::Map(Box::new(Shape::Free)),
                Some(Value::Bool(false)) | None => Shape::Block(self.fields(schema)),
                inner @ Some(_) => Shape::Map(Box::new(self.inner(inner))),
            },
            Some(_) => Shape::Value,
            None => Shape::Free,
        }
    }

    fn inner(&self, schema: Option<&Value>) -> Shape {
        schema.map_or(Shape::Free, |schema| self.shape(schema))
    }

    fn fields(&self, schema: &Map<String, Value>) -> Vec<Field> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Vec::new();
        };
        let fields = properties.iter().map(|(name, schema)| Field {
            name: name.clone(),
            manual: schema["description"].as_str().unwrap_or_default().replace('\n', " "),
            default: schema.get("default").map(Shown).map(|it| it.to_string()).unwrap_or_default(),
            shape: self.shape(schema),
        });
        fields.collect()
    }
}

/// The `type` of a schema; of `["string", "null"]` the first.
fn kind(value: &Value) -> &str {
    let first = value.as_array().and_then(|kinds| kinds.first()).unwrap_or(value);
    first.as_str().unwrap_or_default()
}

/// A default as one would write it after `=`; nothing for blocks.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null | Value::Object(_) => Ok(()),
            Value::String(text) => f.write_str(text),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|it| Shown(it).to_string()).collect();
                f.write_str(&items.join(","))
            }
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_any_case_and_spelled_properly() {
        let shape = Shape::of_install();
        let steps = ["ENTRYPOINTS", "web", "HTTP", "TLS", "DOMAINS", "0", "MAIN"];
        let (path, found) = shape.find(&steps).unwrap();
        assert_eq!(path, "entryPoints.web.http.tls.domains[0].main");
        assert_eq!(*found, Shape::Value);
        assert_eq!(*shape.find(&["api", "insecure"]).unwrap().1, Shape::Switch);
        assert!(matches!(shape.find(&["ping"]).unwrap().1, Shape::Block(_)));
        assert!(matches!(shape.find(&["providers", "file", "WATCH"]).unwrap().1, Shape::Switch));
    }

    #[test]
    fn a_key_that_does_not_exist_comes_with_the_nearest() {
        let unknown = Shape::of_install().find(&["entrypoints", "web", "adress"]).unwrap_err();
        assert_eq!(unknown.path, "entryPoints.web.adress");
        assert_eq!(unknown.nearest.as_deref(), Some("address"));
        let unknown = Shape::of_install().find(&["quite", "different"]).unwrap_err();
        assert_eq!((unknown.path.as_str(), unknown.nearest), ("quite", None));
    }

    #[test]
    fn every_option_has_a_manual() {
        let shape = Shape::of_install();
        let bare =
            |(path, field): &(String, &Field)| !field.manual.ends_with('.') && !path.is_empty();
        let silent: Vec<String> =
            shape.options().iter().filter(|it| bare(it)).map(|it| it.0.clone()).collect();
        assert_eq!(silent, Vec::<String>::new());
    }
}
