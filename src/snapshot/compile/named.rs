//! Services by name while they are compiled: each once, children before parents, cycles refused.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::Kind;

use super::Compiling;

/// The compiled services of one protocol, and those that are being compiled.
pub(super) struct Named<S> {
    done: HashMap<Name, Result<Arc<S>, String>>,
    visiting: Vec<Name>,
}

impl<S> Default for Named<S> {
    fn default() -> Self {
        Self { done: HashMap::new(), visiting: Vec::new() }
    }
}

impl<S> Named<S> {
    /// What is known of `name`: what it came to, or that it is a part of itself. `None` = it is to be compiled.
    pub(super) fn known(&self, name: &Name) -> Option<Result<Arc<S>, String>> {
        if let Some(done) = self.done.get(name) {
            return Some(done.clone());
        }
        let cycle = || Err(format!("service `{name}` is part of a cycle of services"));
        self.visiting.contains(name).then(cycle)
    }

    /// `name` is being compiled.
    pub(super) fn begin(&mut self, name: &Name) {
        self.visiting.push(name.clone());
    }

    /// What the service begun last came to.
    pub(super) fn end(&mut self, result: &Result<Arc<S>, String>) {
        if let Some(name) = self.visiting.pop() {
            self.done.insert(name, result.clone());
        }
    }
}

impl Compiling<'_> {
    /// The configuration of a service as it was `found`, unless it has a defect or there is none.
    pub(super) fn configured<'c, T>(
        &self,
        kind: Kind,
        name: &Name,
        found: Option<&'c T>,
    ) -> Result<&'c T, String> {
        if let Some(error) = self.broken(kind, name.as_str()) {
            return Err(format!("service `{name}` is broken: {error}"));
        }
        found.ok_or_else(|| format!("service `{name}` does not exist"))
    }
}
