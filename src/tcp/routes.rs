//! `Routes`: the compiled table of TCP rules. Thousands of names cost a look-up, not a scan.

use hashbrown::HashMap;
use portcullis_config::rule::Rule;

pub use super::condition::Seen;
use super::condition::{Condition, Test, after_first_label};

/// A rule and what it leads to.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The rule.
    pub rule: Rule,
    /// Higher ones are asked first; equal ones in the order given.
    pub priority: i64,
    /// What it leads to.
    pub target: T,
}

/// The compiled table.
#[derive(Debug)]
pub struct Routes<T> {
    /// In the order in which they are asked.
    lines: Vec<Line<T>>,
    /// The lines that only a client asking for a name can match, by the name.
    names: Index,
    /// The same by wildcard: what follows the first label.
    wildcards: Index,
    /// All other lines.
    others: Vec<u32>,
}

type Index = HashMap<Box<str>, Vec<u32>, ahash::RandomState>;

#[derive(Debug)]
struct Line<T> {
    condition: Condition,
    reach: Reach,
    target: T,
}

/// Whether a rule is the bare ``HostSNI(`*`)``, which yields to HTTPS routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It says more than that.
    Specific,
    /// It is.
    CatchAll,
}

/// A rule that does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RoutesError {
    /// Its place in the list.
    pub entry: usize,
    /// Why.
    pub message: String,
}

impl<T> Routes<T> {
    /// Compiles the table.
    pub fn compile(entries: Vec<Entry<T>>) -> Result<Self, RoutesError> {
        let mut lines = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let condition = Condition::compile(&entry.rule)
                .map_err(|message| RoutesError { entry: index, message })?;
            let reach = if condition.is_any_name() { Reach::CatchAll } else { Reach::Specific };
            lines.push((entry.priority, Line { condition, reach, target: entry.target }));
        }
        lines.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        let lines: Vec<_> = lines.into_iter().map(|(_, line)| line).collect();
        let mut routes = Self::default();
        for (number, line) in (0..).zip(&lines) {
            routes.file(number, &line.condition);
        }
        routes.lines = lines;
        Ok(routes)
    }

    fn file(&mut self, number: u32, condition: &Condition) {
        let Some(names) = condition.names() else {
            self.others.push(number);
            return;
        };
        for name in names {
            let (index, name) = match name {
                Test::WildcardName(suffix) => (&mut self.wildcards, suffix),
                Test::Name(name) => (&mut self.names, name),
                _ => continue,
            };
            let numbers = index.entry(name.clone()).or_default();
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
        }
    }

    /// The first line that matches.
    pub fn find(&self, seen: &Seen<'_>) -> Option<(&T, Reach)> {
        let by_name = self.names.get(seen.server_name);
        let by_wildcard = after_first_label(seen.server_name).and_then(|it| self.wildcards.get(it));
        let mut lists = [
            by_name.map(Vec::as_slice).unwrap_or_default(),
            by_wildcard.map(Vec::as_slice).unwrap_or_default(),
            self.others.as_slice(),
        ];
        loop {
            let number = lists.iter().filter_map(|list| list.first()).min().copied()?;
            let line = self.lines.get(number as usize)?;
            if line.condition.matches(seen) {
                return Some((&line.target, line.reach));
            }
            // A line of several names may stand in two lists.
            for list in &mut lists {
                if let [first, rest @ ..] = list
                    && *first == number
                {
                    *list = rest;
                }
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            names: Index::default(),
            wildcards: Index::default(),
            others: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
