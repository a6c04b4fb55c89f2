//! Why a request takes a route and not another, for people; off the path of requests.

use portcullis_config::rule::Rule;

use super::Routes;
use crate::http::matcher::{Patterns, Subject, Test};

/// What one rule of a table says to a request.
#[derive(Debug)]
pub struct Explained<'a, T> {
    /// What its match would yield.
    pub target: &'a T,
    /// The rule.
    pub rule: &'a Rule,
    /// Its priority.
    pub priority: i64,
    /// The matcher calls that do not fit, as text with `!` before those that fit but must not.
    /// Empty if the rule matches.
    pub failed: Vec<String>,
}

impl<T> Explained<'_, T> {
    /// Whether the rule matches. The first of a table that does wins.
    pub fn matches(&self) -> bool {
        self.failed.is_empty()
    }
}

impl<T> Routes<T> {
    /// What every rule says to a request, in order of precedence. It asks the rules themselves and
    /// not the index.
    pub fn explain<'a>(&'a self, subject: &impl Subject) -> impl Iterator<Item = Explained<'a, T>> {
        self.entries.iter().map(move |entry| {
            let mut failed = Vec::new();
            blame(&entry.rule, subject, Wanted::Match, &mut failed);
            Explained { target: &entry.target, rule: &entry.rule, priority: entry.priority, failed }
        })
    }
}

/// What the place of a part in its rule wants of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Match,
    Miss,
}

/// Whether the part is as wanted; adds the calls that are not to `failed`.
fn blame(rule: &Rule, subject: &impl Subject, wanted: Wanted, failed: &mut Vec<String>) -> bool {
    match (rule, wanted) {
        (Rule::Call(call), _) => {
            let test = Test::compile(call, &mut Patterns::default());
            let matched = test.is_ok_and(|test| test.matches(subject));
            let fits = matched == (wanted == Wanted::Match);
            match (fits, wanted) {
                (true, _) => {}
                (false, Wanted::Match) => failed.push(call.to_string()),
                (false, Wanted::Miss) => failed.push(format!("!{call}")),
            }
            fits
        }
        (Rule::Not(inner), Wanted::Match) => blame(inner, subject, Wanted::Miss, failed),
        (Rule::Not(inner), Wanted::Miss) => blame(inner, subject, Wanted::Match, failed),
        (Rule::And(left, right), Wanted::Match) | (Rule::Or(left, right), Wanted::Miss) => {
            let left = blame(left, subject, wanted, failed);
            blame(right, subject, wanted, failed) && left
        }
        (Rule::Or(left, right), Wanted::Match) | (Rule::And(left, right), Wanted::Miss) => {
            let before = failed.len();
            let fits =
                blame(left, subject, wanted, failed) || blame(right, subject, wanted, failed);
            if fits {
                failed.truncate(before);
            }
            fits
        }
    }
}
