//! Rule text to rule.
//!
//! The grammar is that of Go expressions, cut down to calls, `&&`, `||`, `!` and parentheses.
//! Traefik: a line may not begin with an operator there; here it may.

use super::check::{check, resolve};
use super::literal;
use super::{Matcher, Protocol, Rule};

/// Parentheses and negations may be nested this deep; what walks a rule recurses.
const DEEPEST: usize = 128;

/// Matcher calls in one rule.
const MOST_CALLS: usize = 10_000;

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
    let mut parser = Parser { text, offset: 0, protocol, depth: 0, calls: 0, mark: (0, 1) };
    let rule = parser.alternatives()?;
    match parser.peek() {
        None => Ok(rule),
        Some(')') => Err(parser.error("`)` without `(`")),
        Some(found) => {
            Err(parser
                .error(format!("expected `&&`, `||` or the end of the rule, found `{found}`")))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of what comes next; always on a character boundary.
    offset: usize,
    protocol: Protocol,
    depth: usize,
    calls: usize,
    /// An offset and its column, so that columns are counted from there on and not from the start.
    mark: (usize, usize),
}

impl<'a> Parser<'a> {
    fn alternatives(&mut self) -> Result<Rule, RuleError> {
        let mut rules = vec![self.conjunction()?];
        while self.eat("||") {
            rules.push(self.conjunction()?);
        }
        Rule::any(rules).ok_or_else(|| self.error("empty rule"))
    }

    fn conjunction(&mut self) -> Result<Rule, RuleError> {
        let mut rules = vec![self.operand()?];
        while self.eat("&&") {
            rules.push(self.operand()?);
        }
        Rule::all(rules).ok_or_else(|| self.error("empty rule"))
    }

    fn operand(&mut self) -> Result<Rule, RuleError> {
        match self.peek() {
            Some('!') => {
                self.offset += 1;
                self.enter()?;
                let inner = self.operand()?;
                self.depth -= 1;
                Ok(Rule::Not(Box::new(inner)))
            }
            Some('(') => {
                self.offset += 1;
                self.enter()?;
                let inner = self.alternatives()?;
                self.depth -= 1;
                if !self.eat(")") {
                    return Err(self.expected("`)`"));
                }
                Ok(inner)
            }
            Some(first) if first.is_alphabetic() || first == '_' => self.call(),
            _ => Err(self.expected("a matcher such as Host(`example.com`)")),
        }
    }

    fn call(&mut self) -> Result<Rule, RuleError> {
        let column = self.column();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (written, _) = rest.split_at(end);
        let at = |message| RuleError { message, column };
        let definition = resolve(written, self.protocol).map_err(at)?;
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(at(format!("more than {MOST_CALLS} matchers in one rule")));
        }
        self.offset += end;
        if !self.eat("(") {
            return Err(self.expected(format!("`(` after {}", definition.name)));
        }
        let matcher = Matcher { name: definition.name, arguments: self.arguments()?, column };
        check(definition, &matcher.arguments).map_err(at)?;
        Ok(Rule::Call(matcher))
    }

    /// The arguments and the closing parenthesis; a comma may stand before it, as in Go.
    fn arguments(&mut self) -> Result<Vec<String>, RuleError> {
        let mut arguments = Vec::new();
        while !self.eat(")") {
            let start = self.peek().filter(|c| matches!(c, '`' | '"'));
            if start.is_none() {
                return Err(self.expected("an argument in backquotes or double quotes"));
            }
            let (argument, length) = literal::read(self.rest()).map_err(|(message, length)| {
                self.offset += length;
                self.error(message)
            })?;
            self.offset += length;
            arguments.push(argument);
            if !self.eat(",") && self.peek() != Some(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(arguments)
    }

    fn enter(&mut self) -> Result<(), RuleError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(format!("nested deeper than {DEEPEST} levels")));
        }
        Ok(())
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_blank();
        let found = self.rest().starts_with(token);
        if found {
            self.offset += token.len();
        }
        found
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blank();
        self.rest().chars().next()
    }

    /// Skips white space and Go comments.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest().trim_start_matches([' ', '\t', '\n', '\r']);
            let after = if rest.starts_with("//") {
                rest.split_once('\n').map_or("", |(_, after)| after)
            } else if let Some((_, after)) =
                rest.strip_prefix("/*").and_then(|comment| comment.split_once("*/"))
            {
                after
            } else {
                self.offset = self.text.len() - rest.len();
                return;
            };
            self.offset = self.text.len() - after.len();
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn expected(&mut self, what: impl std::fmt::Display) -> RuleError {
        let found = match self.peek() {
            None => "the end of the rule".to_owned(),
            Some(found) => format!("`{found}`"),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    fn error(&mut self, message: impl Into<String>) -> RuleError {
        RuleError { message: message.into(), column: self.column() }
    }

    fn column(&mut self) -> usize {
        let (offset, column) = self.mark;
        let between = self.text.get(offset..self.offset).unwrap_or_default();
        self.mark = (self.offset, column + between.chars().count());
        self.mark.1
    }
}
