//! Constraints: expressions that choose which containers count, such as ``Label(`tier`, `edge`) && !Label(`x`, `y`)``.

use std::collections::BTreeMap;

use regex::Regex;

/// A parsed expression; the empty one allows everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constraints(Option<Expression>);

/// Why an expression does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at column {column}")]
pub(crate) struct ConstraintError {
    message: String,
    column: usize,
}

#[derive(Clone, Debug)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Label(String, String),
    LabelRegex(String, Regex),
}

/// Parentheses and negations may nest this deep; deeper text is surely a mistake and would eat the stack.
const DEPTH: usize = 64;

impl Constraints {
    /// Parses `Label(name, value)` and `LabelRegex(name, regex)` joined with `&&`, `||`, `!` and parentheses.
    pub(crate) fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut parser = Parser { text, at: 0 };
        let expression = parser.either(0)?;
        parser.skip_space();
        match parser.rest().chars().next() {
            None => Ok(Self(Some(expression))),
            Some(odd) => {
                Err(parser.error(format!("expected `&&`, `||` or the end, found `{odd}`")))
            }
        }
    }

    /// Whether a thing with these labels counts. A missing label is the empty text.
    pub(crate) fn allow(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.as_ref().is_none_or(|expression| expression.holds(labels))
    }
}

impl Expression {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = |name: &String| labels.get(name).map_or("", String::as_str);
        match self {
            Self::And(left, right) => left.holds(labels) && right.holds(labels),
            Self::Or(left, right) => left.holds(labels) || right.holds(labels),
            Self::Not(inner) => !inner.holds(labels),
            Self::Label(name, expected) => value(name) == expected,
            Self::LabelRegex(name, regex) => regex.is_match(value(name)),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Offset of the next byte; always on the border of a character.
    at: usize,
}

impl<'a> Parser<'a> {
    fn either(&mut self, depth: usize) -> Result<Expression, ConstraintError> {
        let mut left = self.both(depth)?;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Expression, ConstraintError> {
        let mut left = self.one(depth)?;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Expression, ConstraintError> {
        if depth > DEPTH {
            return Err(self.error(format!("nested deeper than {DEPTH}")));
        }
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(") {
            let inner = self.either(depth + 1)?;
            return self.expect(")").map(|()| inner);
        }
        self.call()
    }

    fn call(&mut self) -> Result<Expression, ConstraintError> {
        self.skip_space();
        let start = self.at;
        let name = self.word();
        if name != "Label" && name != "LabelRegex" {
            self.at = start;
            let found = if name.is_empty() {
                self.rest().chars().take(1).collect()
            } else {
                name.to_owned()
            };
            let found = if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") };
            return Err(self.error(format!("expected `Label` or `LabelRegex`, found {found}")));
        }
        self.expect("(")?;
        let label = self.quoted()?;
        self.expect(",")?;
        self.skip_space();
        let value_at = self.at;
        let value = self.quoted()?;
        self.expect(")")?;
        if name == "Label" {
            return Ok(Expression::Label(label, value));
        }
        let regex = Regex::new(&value).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Self { text: self.text, at: value_at }
                .error(format!("bad regular expression: {reason}"))
        })?;
        Ok(Expression::LabelRegex(label, regex))
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Text between back quotes (as it stands) or double quotes (`\"` and `\\` are escapes).
    fn quoted(&mut self) -> Result<String, ConstraintError> {
        self.skip_space();
        let quote = self.rest().chars().next();
        let Some(quote @ ('`' | '"')) = quote else {
            return Err(self.error("expected text in back quotes or double quotes".to_owned()));
        };
        let opening = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut escaped = false;
        for c in self.rest().chars() {
            self.at += c.len_utf8();
            match c {
                c if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' if quote == '"' => escaped = true,
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
        self.at = opening;
        Err(self.error("no closing quote for the text that begins".to_owned()))
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ConstraintError> {
        if self.take(token) { Ok(()) } else { Err(self.error(format!("expected `{token}`"))) }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, message: String) -> ConstraintError {
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        ConstraintError { message, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Constraints::parse(text).unwrap().allow(&labels)
    }

    fn error(text: &str) -> String {
        Constraints::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_allows_everything() {
        assert!(allows("", &[]));
        assert!(allows("  ", &[("a", "b")]));
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        let text = "Label(`a`,`1`) || Label(`b`,`1`) && !Label(\"c\", \"1\")";
        assert!(allows(text, &[("a", "1"), ("c", "1")]));
        assert!(allows(text, &[("b", "1")]));
        assert!(!allows(text, &[("b", "1"), ("c", "1")]));
        let text = "(Label(`a`,`1`) || Label(`b`,`1`)) && !Label(`c`,`1`)";
        assert!(!allows(text, &[("a", "1"), ("c", "1")]));
    }

    #[test]
    fn a_missing_label_is_the_empty_text() {
        assert!(allows("Label(`a`, ``)", &[]));
        assert!(allows("LabelRegex(`a`, `^$`)", &[]));
    }

    #[test]
    fn regular_expressions_match_anywhere() {
        assert!(allows("LabelRegex(`a`, `b+`)", &[("a", "xbbx")]));
        assert!(!allows("LabelRegex(`a`, `^b+$`)", &[("a", "xbbx")]));
    }

    #[test]
    fn double_quotes_escape_and_back_quotes_do_not() {
        assert!(allows(r#"Label("a", "x\"\\y")"#, &[("a", r#"x"\y"#)]));
        assert!(allows(r"Label(`a`, `x\y`)", &[("a", r"x\y")]));
    }

    #[test]
    fn errors_say_what_was_expected_and_where() {
        assert_eq!(
            error("Labels(`a`,`b`)"),
            "expected `Label` or `LabelRegex`, found `Labels` at column 1"
        );
        assert_eq!(
            error("Label(`a`,`b`) &&"),
            "expected `Label` or `LabelRegex`, found the end at column 18"
        );
        assert_eq!(
            error("Label(`ä`,`b`) x"),
            "expected `&&`, `||` or the end, found `x` at column 16"
        );
        assert_eq!(error("Label(`a`)"), "expected `,` at column 10");
        assert_eq!(
            error("Label(a,`b`)"),
            "expected text in back quotes or double quotes at column 7"
        );
        assert_eq!(error("(Label(`a`,`b`)"), "expected `)` at column 16");
        assert!(
            error("LabelRegex(`a`, `(`)").starts_with("bad regular expression: unclosed group")
        );
        assert!(
            error("Label(`a`, `b")
                .starts_with("no closing quote for the text that begins at column 12")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_is_refused_with_a_column_inside_it(text in "([LabelRegx(),!&|`\"a ]|\\PC){0,40}") {
            if let Err(error) = Constraints::parse(&text) {
                proptest::prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(error(&"!".repeat(100_000)).starts_with("nested deeper than 64"));
    }
}
