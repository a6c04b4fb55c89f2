//! A rule made ready for evaluation: negations at the leaves, chains flat, cheap tests first.

use hashbrown::HashSet;
use portcullis_config::rule::Rule;

use crate::http::matcher::{Patterns, Subject, Test};

/// Rules deeper than this do not compile, since compiling recurses. Parsed rules stay below.
const DEEPEST: usize = 2_000;

/// From so many alternatives on, hosts are looked up and not compared one after another.
const MANY: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Is(Test),
    IsNot(Test),
    /// One of many exact hosts.
    HostIn(HashSet<Box<str>, ahash::RandomState>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Compiles a rule; the message says what is wrong with it.
    pub(super) fn compile(rule: &Rule, patterns: &mut Patterns) -> Result<Self, String> {
        let mut open = vec![(rule, 1)];
        while let Some((rule, depth)) = open.pop() {
            if depth > DEEPEST {
                return Err(format!("the rule is nested deeper than {DEEPEST} levels"));
            }
            match rule {
                Rule::And(left, right) | Rule::Or(left, right) => {
                    open.extend([(&**left, depth + 1), (&**right, depth + 1)]);
                }
                Rule::Not(inner) => open.push((inner, depth + 1)),
                Rule::Call(_) => {}
            }
        }
        Ok(Self::lower(rule, Sense::Plain, patterns)?.ordered())
    }

    pub(super) fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Self::Is(test) => test.matches(subject),
            Self::IsNot(test) => !test.matches(subject),
            Self::HostIn(hosts) => hosts.contains(subject.host()),
            Self::All(parts) => parts.iter().all(|part| part.matches(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(subject)),
        }
    }

    /// The alternatives at its top.
    pub(super) fn into_branches(self) -> Vec<Self> {
        match self {
            Self::Any(parts) => parts,
            Self::HostIn(hosts) => {
                hosts.into_iter().map(|host| Self::Is(Test::Host(host))).collect()
            }
            whole => vec![whole],
        }
    }

    /// What must all hold.
    pub(super) fn conjuncts(&self) -> &[Self] {
        match self {
            Self::All(parts) => parts,
            whole => std::slice::from_ref(whole),
        }
    }

    /// The condition without the conjuncts that are known to hold, told one by one.
    pub(super) fn without(self, known: &[bool]) -> Self {
        let conjuncts = match self {
            Self::All(parts) => parts,
            whole => vec![whole],
        };
        let unknown = conjuncts.into_iter().zip(known).filter(|(_, known)| !**known);
        let mut unknown: Vec<_> = unknown.map(|(part, _)| part).collect();
        // The room of what is known would stay for as long as the table.
        unknown.shrink_to_fit();
        Self::All(unknown)
    }

    fn lower(rule: &Rule, sense: Sense, patterns: &mut Patterns) -> Result<Self, String> {
        Ok(match (rule, sense) {
            (Rule::Call(call), Sense::Plain) => Self::Is(Test::compile(call, patterns)?),
            (Rule::Call(call), Sense::Negated) => Self::IsNot(Test::compile(call, patterns)?),
            (Rule::Not(inner), Sense::Plain) => Self::lower(inner, Sense::Negated, patterns)?,
            (Rule::Not(inner), Sense::Negated) => Self::lower(inner, Sense::Plain, patterns)?,
            (Rule::And(left, right), Sense::Plain) | (Rule::Or(left, right), Sense::Negated) => {
                let mut parts = Vec::new();
                for side in [left, right] {
                    match Self::lower(side, sense, patterns)? {
                        Self::All(more) => parts.extend(more),
                        part => parts.push(part),
                    }
                }
                Self::All(parts)
            }
            (Rule::Or(left, right), Sense::Plain) | (Rule::And(left, right), Sense::Negated) => {
                let mut parts = Vec::new();
                for side in [left, right] {
                    match Self::lower(side, sense, patterns)? {
                        Self::Any(more) => parts.extend(more),
                        part => parts.push(part),
                    }
                }
                Self::Any(parts)
            }
        })
    }

    /// Cheap parts first, and many hosts as a set.
    fn ordered(self) -> Self {
        match self {
            Self::All(parts) => {
                let mut parts: Vec<_> = parts.into_iter().map(Self::ordered).collect();
                parts.sort_by_key(Self::cost);
                Self::All(parts)
            }
            Self::Any(parts) => {
                let (hosts, mut rest): (Vec<_>, Vec<_>) = parts
                    .into_iter()
                    .map(Self::ordered)
                    .partition(|part| matches!(part, Self::Is(Test::Host(_))));
                if hosts.len() < MANY {
                    rest.extend(hosts);
                } else {
                    let hosts: HashSet<_, _> = hosts.into_iter().filter_map(Self::host).collect();
                    if rest.is_empty() {
                        return Self::HostIn(hosts);
                    }
                    rest.push(Self::HostIn(hosts));
                }
                rest.sort_by_key(Self::cost);
                Self::Any(rest)
            }
            leaf => leaf,
        }
    }

    fn host(self) -> Option<Box<str>> {
        match self {
            Self::Is(Test::Host(host)) => Some(host),
            _ => None,
        }
    }

    fn cost(&self) -> u8 {
        match self {
            Self::Is(test) | Self::IsNot(test) => test.cost(),
            Self::HostIn(_) => 0,
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::cost).max().unwrap_or(0),
        }
    }
}

/// Whether a part of a rule stands under an even or an odd number of negations.
#[derive(Clone, Copy)]
enum Sense {
    Plain,
    Negated,
}
