//! The subset of Go templates that `defaultRule` needs: pipelines, `normalize`, `index`, `.Name`, `.Labels`, `if`, common text functions.
//!
//! ```text
//! Host(`{{ normalize .Name }}.example.com`)
//! Host(`{{ index .Labels "com.example.host" | default (printf "%s.local" .Name) | lower }}`)
//! {{- if contains "api" .Name }}PathPrefix(`/api`){{ else }}Path(`/`){{ end -}}
//! ```
//!
//! `{{-` and `-}}` take the white space before and behind away, `{{/* … */}}` is a comment. A label that is not there
//! is empty text. Functions have the names and the order of arguments of Go and of sprig; all are listed in
//! `template/functions.rs`. `range`, `with` and nested templates are left out on purpose: what needs them belongs into
//! the file provider.

mod functions;
mod operand;
mod parse;
mod run;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<parse::Node>,
}

/// What a template sees: a scalar or a map of texts.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// Text by key, such as labels.
    Map(BTreeMap<String, String>),
}

/// Why a template does not parse or render.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// Parses `source`; unknown functions and unsupported actions are errors that name them.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        parse::template(source).map(|nodes| Self { nodes }).map_err(TemplateError)
    }

    /// Renders with `data` (`Name`, `ContainerName`, `Labels`). The result has at most 64 KiB.
    pub fn render(&self, data: &BTreeMap<&str, Value>) -> Result<String, TemplateError> {
        run::render(&self.nodes, data).map_err(TemplateError)
    }
}

/// The longest text that a template may make, in bytes; label values come from outside.
const TEXT_LIMIT: usize = 64 * 1024;
