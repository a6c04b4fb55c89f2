//! Rule text to rule.
use super::{Protocol, Rule};

/// Why a rule does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {column}")]
pub struct RuleError {
    /// What is wrong and what was expected.
    pub message: String,
    /// Column in the rule text, from 1, counted in characters.
    pub column: usize,
}

/// Parses rule text (syntax v3) and checks matcher names, argument counts and argument shapes (regexes compile, paths begin with `/`).
pub fn parse(text: &str, protocol: Protocol) -> Result<Rule, RuleError> {
    let _ = (text, protocol);
    todo!()
}
