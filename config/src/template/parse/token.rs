//! The words between `{{` and `}}`.

use super::SPACE;
use crate::rule::literal;

/// One word of an action. Paths stand directly behind what they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, a function or a constant.
    Word(String),
    /// `.Name.x`: the name and the path behind it.
    Field(String, Vec<String>),
    /// `$x.y`; the name is empty for `$` itself.
    Variable(String, Vec<String>),
    Text(String),
    Number(i64),
    Pipe,
    Open,
    /// `)` and the path behind it.
    Close(Vec<String>),
    Declare,
    Assign,
}

/// The tokens up to `}}`, what follows it, and whether white space in between is to go.
pub(super) fn action(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let word = rest.trim_start_matches(SPACE);
        if let Some(behind) = word.strip_prefix("}}") {
            return Ok((tokens, behind, false));
        }
        if let Some(behind) = word.strip_prefix("-}}").filter(|_| word.len() < rest.len()) {
            return Ok((tokens, behind, true));
        }
        let (token, behind) = token(word)?;
        tokens.push(token);
        rest = behind;
    }
}

fn token(text: &str) -> Result<(Token, &str), String> {
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return Err("an action is not closed by `}}`".to_owned());
    };
    let behind = characters.as_str();
    match first {
        '|' => Ok((Token::Pipe, behind)),
        '(' => Ok((Token::Open, behind)),
        ')' => path(behind).map(|(path, rest)| (Token::Close(path), rest)),
        '=' => Ok((Token::Assign, behind)),
        ':' if behind.starts_with('=') => Ok((Token::Declare, &behind[1..])),
        '"' | '`' => match literal::read(text) {
            Ok((value, length)) => Ok((Token::Text(value), &text[length..])),
            Err((message, _)) => Err(message),
        },
        '.' => field(text),
        '$' => {
            let (name, behind) = name(behind);
            path(behind).map(|(path, rest)| (Token::Variable(name.to_owned(), path), rest))
        }
        _ if first.is_ascii_digit() || (matches!(first, '-' | '+') && number(behind)) => {
            let end = behind
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .unwrap_or(behind.len());
            let (digits, rest) = text.split_at(first.len_utf8() + end);
            let value = digits.parse().map_err(|_| format!("`{digits}` is no whole number"))?;
            Ok((Token::Number(value), rest))
        }
        _ => match name(text) {
            ("", _) => Err(format!("`{first}` is not understood")),
            (word, rest) => Ok((Token::Word(word.to_owned()), rest)),
        },
    }
}

fn number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn field(text: &str) -> Result<(Token, &str), String> {
    let (mut steps, rest) = path(text)?;
    if steps.is_empty() {
        return Err("`.` is not supported without a field".to_owned());
    }
    let first = steps.remove(0);
    Ok((Token::Field(first, steps), rest))
}

/// The steps of `.a.b`, if there are any directly at the beginning of the text.
fn path(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(behind) = rest.strip_prefix('.') {
        let (step, behind) = name(behind);
        if step.is_empty() {
            if steps.is_empty() {
                return Ok((steps, rest));
            }
            return Err("a name is missing behind `.`".to_owned());
        }
        steps.push(step.to_owned());
        rest = behind;
    }
    Ok((steps, rest))
}

/// The name at the beginning of the text, which may be empty, and what follows it.
fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}
