//! Rendering the nodes of a template.

use std::collections::BTreeMap;

use super::operand::Operand;
use super::parse::{Expression, Node};
use super::{TEXT_LIMIT, Value};

/// Renders `nodes` with `data`.
pub(super) fn render(nodes: &[Node], data: &BTreeMap<&str, Value>) -> Result<String, String> {
    let mut run = Run { data, variables: Vec::new(), out: String::new() };
    run.nodes(nodes)?;
    Ok(run.out)
}

struct Run<'a> {
    data: &'a BTreeMap<&'a str, Value>,
    /// The variables in scope, the innermost last.
    variables: Vec<(&'a str, Operand)>,
    out: String,
}

impl<'a> Run<'a> {
    fn nodes(&mut self, nodes: &'a [Node]) -> Result<(), String> {
        let scope = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Output(expression) => {
                    let text = self.value(expression)?.to_string();
                    self.write(&text)?;
                }
                Node::Declare(name, expression) => {
                    let value = self.value(expression)?;
                    self.variables.push((name, value));
                }
                Node::Assign(name, expression) => {
                    let value = self.value(expression)?;
                    let variable = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                    if let Some((_, old)) = variable {
                        *old = value;
                    }
                }
                Node::If(branches, otherwise) => self.condition(branches, otherwise)?,
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn condition(
        &mut self,
        branches: &'a [(Expression, Vec<Node>)],
        otherwise: &'a [Node],
    ) -> Result<(), String> {
        for (condition, nodes) in branches {
            if self.value(condition)?.is_true() {
                return self.nodes(nodes);
            }
        }
        self.nodes(otherwise)
    }

    fn value(&self, expression: &Expression) -> Result<Operand, String> {
        let (value, path) = match expression {
            Expression::Constant(value) => return Ok(value.clone()),
            Expression::Call(function, arguments) => {
                let arguments: Result<Vec<Operand>, String> =
                    arguments.iter().map(|argument| self.value(argument)).collect();
                return function.call(arguments?);
            }
            Expression::Member(inner, path) => (self.value(inner)?, path),
            Expression::Field(name, path) => {
                let value = self.data.get(name.as_str());
                let value = value.ok_or_else(|| format!("there is no field `.{name}`"))?;
                (Operand::from(value), path)
            }
            Expression::Variable(name, path) => {
                let variable = self.variables.iter().rev().find(|(known, _)| known == name);
                (variable.map_or(Operand::Nil, |(_, value)| value.clone()), path)
            }
        };
        path.iter().try_fold(value, |value, step| value.member(step))
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > TEXT_LIMIT {
            return Err(format!("the result is longer than {TEXT_LIMIT} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }
}
