//! The rule language: the syntax tree of rules.

pub mod parse;
pub mod print;

/// A parsed rule.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Canonical spelling, `PathPrefix`.
    pub name: &'static str,
    /// Arguments in order, unquoted.
    pub arguments: Vec<String>,
    /// Column of the call in the rule text, from 1.
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
