//! The rule language: the syntax tree of rules.
//!
//! Rules are data: a provider that makes a rule builds this tree and never pastes text together, so
//! that nothing a user writes in an object can break out of an argument.

pub mod parse;
pub mod print;

mod check;
pub(crate) mod literal;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};

/// A parsed rule.
///
/// [`parse::parse`] joins a chain `a && b && c` as a balanced tree, so that the depth of a parsed
/// rule grows with its nesting and not with its length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Both.
    And(Box<Rule>, Box<Rule>),
    /// Either.
    Or(Box<Rule>, Box<Rule>),
    /// Not.
    Not(Box<Rule>),
    /// A matcher call.
    Call(Matcher),
}

/// One matcher call: its canonical name and its arguments as data.
///
/// Two calls are equal when they match the same; where they stand in a text makes no difference.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Canonical spelling, `PathPrefix`.
    pub name: &'static str,
    /// Arguments in order, unquoted.
    pub arguments: Vec<String>,
    /// Column of the call in the rule text, from 1; 0 where there is no text.
    pub column: usize,
}

/// Which matchers a rule may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP routers.
    Http,
    /// TCP routers.
    Tcp,
}

impl Rule {
    /// A call built as data, for providers. The name is the canonical one.
    pub fn call(name: &'static str, arguments: impl IntoIterator<Item = String>) -> Self {
        Self::Call(Matcher { name, arguments: arguments.into_iter().collect(), column: 0 })
    }

    /// All of them, or nothing for an empty list.
    pub fn all(rules: Vec<Self>) -> Option<Self> {
        Self::balanced(rules, Self::And)
    }

    /// Any of them, or nothing for an empty list.
    pub fn any(rules: Vec<Self>) -> Option<Self> {
        Self::balanced(rules, Self::Or)
    }

    /// The priority of a router that names none: the length of its rule text in bytes. The bare
    /// catch-all of TCP, ``HostSNI(`*`)``, comes after everything and has -1.
    pub fn default_priority(&self, text: &str) -> i64 {
        match self {
            Self::Call(call) if call.name == "HostSNI" && call.arguments == ["*"] => -1,
            _ => i64::try_from(text.len()).unwrap_or(i64::MAX),
        }
    }

    /// The names that a certificate for this rule must hold: the arguments of `Host` and `HostSNI`
    /// in lower case without a final dot, each once, in order. What stands under a negation and the
    /// catch-all `*` give none.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        self.collect_hosts(Sense::Plain, &mut hosts);
        hosts
    }

    fn collect_hosts(&self, sense: Sense, hosts: &mut Vec<String>) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.collect_hosts(sense, hosts);
                right.collect_hosts(sense, hosts);
            }
            Self::Not(inner) => inner.collect_hosts(sense.negated(), hosts),
            Self::Call(call) if sense == Sense::Plain => {
                let Some(host) = call.host() else { return };
                if host != "*" && !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            Self::Call(_) => {}
        }
    }

    fn balanced(mut rules: Vec<Self>, join: fn(Box<Self>, Box<Self>) -> Self) -> Option<Self> {
        if rules.len() < 2 {
            return rules.pop();
        }
        let right = rules.split_off(rules.len().div_ceil(2));
        let left = Self::balanced(rules, join)?;
        Some(join(Box::new(left), Box::new(Self::balanced(right, join)?)))
    }
}

impl Matcher {
    fn host(&self) -> Option<String> {
        let host = match self.name {
            "Host" | "HostSNI" => self.arguments.first()?,
            _ => return None,
        };
        Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.arguments == other.arguments
    }
}

impl Eq for Matcher {}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.arguments.hash(state);
    }
}

/// Whether a part of a rule stands under an even or an odd number of negations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Plain,
    Negated,
}

impl Sense {
    fn negated(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }
}
