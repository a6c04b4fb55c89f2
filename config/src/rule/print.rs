//! Rule to rule text; `parse(print(rule)) == rule`.

use std::fmt;

use super::{Matcher, Rule, literal};

/// The rule as text, on one line, with as few parentheses as give the same tree back.
pub fn print(rule: &Rule) -> String {
    let mut out = String::new();
    write_rule(rule, &mut out);
    out
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_call(self, &mut out);
        f.write_str(&out)
    }
}

fn write_rule(rule: &Rule, out: &mut String) {
    match rule {
        Rule::Call(call) => write_call(call, out),
        Rule::Not(inner) => {
            out.push('!');
            write_operand(inner, rule, out);
        }
        Rule::And(left, right) | Rule::Or(left, right) if leaves(rule, rule).is_none() => {
            write_operand(left, rule, out);
            out.push_str(operator(rule));
            write_operand(right, rule, out);
        }
        Rule::And(..) | Rule::Or(..) => write_chain(rule, rule, out),
    }
}

/// Writes the balanced tree of the operator of `top` without the parentheses of its shape.
fn write_chain(rule: &Rule, top: &Rule, out: &mut String) {
    match split(rule, top) {
        Some((left, right)) => {
            write_chain(left, top, out);
            out.push_str(operator(top));
            write_chain(right, top, out);
        }
        None => write_operand(rule, top, out),
    }
}

/// Writes an operand of `top`, in parentheses if it would fall apart or change its shape without.
fn write_operand(rule: &Rule, top: &Rule, out: &mut String) {
    let bare = match rule {
        Rule::Call(_) | Rule::Not(_) => true,
        Rule::And(..) => matches!(top, Rule::Or(..)),
        Rule::Or(..) => false,
    };
    if bare {
        return write_rule(rule, out);
    }
    out.push('(');
    write_rule(rule, out);
    out.push(')');
}

/// How many operands the chain has that `rule` would be within `top`, if it has the balanced shape
/// that the parser gives to chains.
fn leaves(rule: &Rule, top: &Rule) -> Option<usize> {
    let Some((left, right)) = split(rule, top) else { return Some(1) };
    let (left, right) = (leaves(left, top)?, leaves(right, top)?);
    let all = left + right;
    (left == all.div_ceil(2)).then_some(all)
}

/// The two sides of a rule with the same operator as `top`.
fn split<'a>(rule: &'a Rule, top: &Rule) -> Option<(&'a Rule, &'a Rule)> {
    match (rule, top) {
        (Rule::And(left, right), Rule::And(..)) | (Rule::Or(left, right), Rule::Or(..)) => {
            Some((left, right))
        }
        _ => None,
    }
}

fn operator(rule: &Rule) -> &'static str {
    match rule {
        Rule::Or(..) => " || ",
        _ => " && ",
    }
}

fn write_call(call: &Matcher, out: &mut String) {
    out.push_str(call.name);
    out.push('(');
    for (index, argument) in call.arguments.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        literal::write(argument, out);
    }
    out.push(')');
}
