//! From the text of a template to its nodes.

mod token;

use self::token::Token;
use super::functions::{Function, find};
use super::operand::Operand;

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Literal text.
    Text(String),
    /// `{{ … }}`: the value is written.
    Output(Expression),
    /// `{{ $x := … }}`.
    Declare(String, Expression),
    /// `{{ $x = … }}`.
    Assign(String, Expression),
    /// `{{ if … }}`, each condition with its nodes, and what follows `{{ else }}`.
    If(Vec<(Expression, Vec<Node>)>, Vec<Node>),
}

/// What has a value; a pipeline is the call at its end.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Constant(Operand),
    /// `.Name`, `.Labels.x`.
    Field(String, Vec<String>),
    /// `$x`, `$x.y`.
    Variable(String, Vec<String>),
    /// `(…).x`.
    Member(Box<Expression>, Vec<String>),
    Call(&'static Function, Vec<Expression>),
}

/// Parses a whole template.
pub(super) fn template(source: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { rest: source, trim: false, variables: Vec::new(), depth: 0 };
    match parser.nodes()? {
        (nodes, Stop::Source) => Ok(nodes),
        (_, Stop::Else(_)) => Err("`else` without `if`".to_owned()),
        (_, Stop::End) => Err("`end` without `if`".to_owned()),
    }
}

/// What a run of nodes ends with.
enum Stop {
    Source,
    /// `else`, with the tokens behind it.
    Else(Vec<Token>),
    End,
}

struct Parser<'a> {
    rest: &'a str,
    /// Whether the last action takes the white space behind it away.
    trim: bool,
    /// The variables in scope.
    variables: Vec<String>,
    depth: usize,
}

impl Parser<'_> {
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), String> {
        let scope = self.variables.len();
        let mut nodes = Vec::new();
        let end = loop {
            let (text, action) = self.text_before_action();
            if !text.is_empty() {
                nodes.push(Node::Text(text));
            }
            if !action {
                break Stop::Source;
            }
            if self.comment()? {
                continue;
            }
            let (tokens, rest, trim) = token::action(self.rest)?;
            (self.rest, self.trim) = (rest, trim);
            match tokens.first() {
                Some(Token::Word(word)) if word == "end" => break Stop::End,
                Some(Token::Word(word)) if word == "else" => {
                    break Stop::Else(tokens.into_iter().skip(1).collect());
                }
                Some(Token::Word(word)) if word == "if" => {
                    nodes.push(self.condition(tokens.into_iter().skip(1).collect())?);
                }
                Some(Token::Word(word)) if UNSUPPORTED.contains(&word.as_str()) => {
                    return Err(format!("`{word}` is not supported"));
                }
                _ => nodes.push(self.statement(tokens)?),
            }
        };
        self.variables.truncate(scope);
        Ok((nodes, end))
    }

    /// The text up to the next `{{`, trimmed as asked for, and whether there is one.
    fn text_before_action(&mut self) -> (String, bool) {
        let (mut text, rest, action) = match self.rest.split_once("{{") {
            Some((text, rest)) => (text, rest, true),
            None => (self.rest, "", false),
        };
        if std::mem::take(&mut self.trim) {
            text = text.trim_start_matches(SPACE);
        }
        self.rest = rest;
        if let Some(trimmed) = rest.strip_prefix('-').filter(|rest| rest.starts_with(SPACE)) {
            text = text.trim_end_matches(SPACE);
            self.rest = trimmed;
        }
        (text.to_owned(), action)
    }

    /// Passes over a comment, if the action is one.
    fn comment(&mut self) -> Result<bool, String> {
        let Some(body) = self.rest.trim_start_matches(SPACE).strip_prefix("/*") else {
            return Ok(false);
        };
        let (_, behind) = body.split_once("*/").ok_or("a comment is not closed")?;
        let (tokens, rest, trim) = token::action(behind)?;
        if !tokens.is_empty() {
            return Err("a comment must fill its braces".to_owned());
        }
        (self.rest, self.trim) = (rest, trim);
        Ok(true)
    }

    fn condition(&mut self, tokens: Vec<Token>) -> Result<Node, String> {
        self.descend()?;
        let mut branches = Vec::new();
        let mut tokens = tokens;
        let otherwise = loop {
            let condition = self.expression(tokens)?;
            let (nodes, end) = self.nodes()?;
            branches.push((condition, nodes));
            match end {
                Stop::Source => return Err("`if` without `end`".to_owned()),
                Stop::End => break Vec::new(),
                Stop::Else(rest) if rest.is_empty() => break self.otherwise()?,
                Stop::Else(rest) => match rest.split_first() {
                    Some((Token::Word(word), condition)) if word == "if" => {
                        tokens = condition.to_vec();
                    }
                    _ => return Err("`else` is followed by something other than `if`".to_owned()),
                },
            }
        };
        self.depth -= 1;
        Ok(Node::If(branches, otherwise))
    }

    fn otherwise(&mut self) -> Result<Vec<Node>, String> {
        match self.nodes()? {
            (nodes, Stop::End) => Ok(nodes),
            (_, Stop::Else(_)) => Err("`else` follows `else`".to_owned()),
            (_, Stop::Source) => Err("`if` without `end`".to_owned()),
        }
    }

    /// An output, a declaration or an assignment.
    fn statement(&mut self, tokens: Vec<Token>) -> Result<Node, String> {
        let (name, sign) = match tokens.get(..2) {
            Some([Token::Variable(name, path), sign]) if path.is_empty() => (name.clone(), sign),
            _ => return self.expression(tokens).map(Node::Output),
        };
        match sign {
            Token::Declare => {
                let value = self.expression(tokens.into_iter().skip(2).collect())?;
                self.variables.push(name.clone());
                Ok(Node::Declare(name, value))
            }
            Token::Assign => {
                self.known(&name)?;
                let value = self.expression(tokens.into_iter().skip(2).collect())?;
                Ok(Node::Assign(name, value))
            }
            _ => self.expression(tokens).map(Node::Output),
        }
    }

    fn expression(&mut self, tokens: Vec<Token>) -> Result<Expression, String> {
        let mut tokens = tokens.into_iter();
        let (value, close) = self.pipeline(&mut tokens)?;
        match close {
            None => Ok(value),
            Some(_) => Err("a closing parenthesis has no opening one".to_owned()),
        }
    }

    /// A pipeline up to its closing parenthesis (with the path behind it) or the end of the tokens.
    fn pipeline(
        &mut self,
        tokens: &mut std::vec::IntoIter<Token>,
    ) -> Result<(Expression, Option<Vec<String>>), String> {
        self.descend()?;
        let mut piped = None;
        let mut command = Command::default();
        let close = loop {
            match tokens.next() {
                None => break None,
                Some(Token::Close(path)) => break Some(path),
                Some(Token::Pipe) => {
                    piped = Some(std::mem::take(&mut command).finish(piped)?);
                }
                Some(Token::Open) => {
                    let (inner, close) = self.pipeline(tokens)?;
                    let path = close.ok_or("a parenthesis is not closed")?;
                    command.push(if path.is_empty() {
                        inner
                    } else {
                        Expression::Member(Box::new(inner), path)
                    })?;
                }
                Some(token) => self.word(token, &mut command)?,
            }
        };
        self.depth -= 1;
        Ok((command.finish(piped)?, close))
    }

    /// One token that is a value or the name of a function.
    fn word(&self, token: Token, command: &mut Command) -> Result<(), String> {
        let constant = match token {
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Flag(true),
                "false" => Operand::Flag(false),
                "nil" => Operand::Nil,
                _ => return command.call(&word),
            },
            Token::Text(text) => Operand::Text(text),
            Token::Number(number) => Operand::Number(number),
            Token::Field(field, path) => return command.push(Expression::Field(field, path)),
            Token::Variable(name, path) if name.is_empty() => {
                let Some((field, path)) = path.split_first() else {
                    return Err("`$` is not supported without a field".to_owned());
                };
                return command.push(Expression::Field(field.clone(), path.to_vec()));
            }
            Token::Variable(name, path) => {
                self.known(&name)?;
                return command.push(Expression::Variable(name, path));
            }
            Token::Declare | Token::Assign => {
                return Err("only a variable can be given a value".to_owned());
            }
            Token::Pipe | Token::Open | Token::Close(_) => return Ok(()),
        };
        command.push(Expression::Constant(constant))
    }

    fn known(&self, name: &str) -> Result<(), String> {
        if self.variables.iter().any(|variable| variable == name) {
            return Ok(());
        }
        Err(format!("variable `${name}` is not declared"))
    }

    fn descend(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT { Err("nested too deeply".to_owned()) } else { Ok(()) }
    }
}

/// One part of a pipeline: a value, or a function and its arguments.
#[derive(Default)]
struct Command {
    function: Option<&'static Function>,
    arguments: Vec<Expression>,
}

impl Command {
    fn call(&mut self, name: &str) -> Result<(), String> {
        let function = find(name).ok_or_else(|| format!("unknown function `{name}`"))?;
        if self.function.is_some() || !self.arguments.is_empty() {
            return Err(format!("put the call of `{name}` in parentheses"));
        }
        self.function = Some(function);
        Ok(())
    }

    fn push(&mut self, argument: Expression) -> Result<(), String> {
        if self.function.is_none() && !self.arguments.is_empty() {
            return Err("only a function takes arguments".to_owned());
        }
        self.arguments.push(argument);
        Ok(())
    }

    /// The value of the command, with what was piped into it as its last argument.
    fn finish(mut self, piped: Option<Expression>) -> Result<Expression, String> {
        let Some(function) = self.function else {
            return match (self.arguments.pop(), piped) {
                (Some(value), None) => Ok(value),
                (Some(_), Some(_)) => {
                    Err("a value is piped into something that is no function".to_owned())
                }
                (None, _) => Err("a value is missing".to_owned()),
            };
        };
        self.arguments.extend(piped);
        function.accepts(self.arguments.len())?;
        Ok(Expression::Call(function, self.arguments))
    }
}

/// Go's white space.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// The deepest nesting of conditions and parentheses.
const DEPTH_LIMIT: usize = 64;

/// Actions of Go that are no functions and that we do not have.
const UNSUPPORTED: &[&str] = &["range", "with", "define", "template", "block", "break", "continue"];
