//! The subset of Go templates that `defaultRule` needs: pipelines, `normalize`, `index`, `.Name`, `.Labels`, `if`, common text functions.

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    #[allow(dead_code, reason = "stub")]
    source: String,
}

/// What a template sees: a scalar or a map of texts.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// Text by key, such as labels.
    Map(std::collections::BTreeMap<String, String>),
}

/// Why a template does not parse or render.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// Parses `source`; unknown functions and unsupported actions are errors that name them.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let _ = source;
        todo!()
    }

    /// Renders with `data` (`Name`, `ContainerName`, `Labels`).
    pub fn render(
        &self,
        data: &std::collections::BTreeMap<&str, Value>,
    ) -> Result<String, TemplateError> {
        let _ = data;
        todo!()
    }
}
