//! `Places`: where objects stand in their source, for problems that show only once everything is put together.

use std::collections::HashMap;

use crate::problem::{About, At, Kind};

/// Where the objects of a routing configuration stand.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<About, At>);

/// What is configured does not depend on where it stands.
impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// Notes where an object stands; the first place of an object stays.
    pub fn add(&mut self, kind: Kind, name: &str, at: At) {
        self.0.entry(About { kind, name: name.to_owned() }).or_insert(at);
    }

    /// Adds the places of objects that have none yet.
    pub fn add_all(&mut self, others: &Self) {
        for (about, at) in &others.0 {
            self.add(about.kind, &about.name, at.clone());
        }
    }

    /// Where the object stands, by the name that its provider gives it.
    pub fn of(&self, kind: Kind, name: &str) -> Option<&At> {
        self.0.get(&About { kind, name: name.to_owned() })
    }
}
