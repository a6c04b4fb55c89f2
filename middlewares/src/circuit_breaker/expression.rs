//! `Expression`: when a breaker opens, as the user writes it.
//!
//! Traefik: reads it as an expression of Go, with three functions and six comparisons, and is strict about numbers with
//! and without a point.

use super::statistics::{Statistics, Tally};

/// When a breaker opens.
#[derive(Debug)]
pub(super) struct Expression {
    condition: Condition,
    /// What has to be counted for it.
    pub(super) tallies: Vec<Tally>,
}

#[derive(Debug)]
enum Condition {
    Any(Box<[Self; 2]>),
    All(Box<[Self; 2]>),
    Compare(Figure, Comparison, f64),
}

/// A figure of the recent past; ratios name the places of their tallies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    /// A share.
    Ratio { part: usize, whole: usize },
    /// Milliseconds within which a percentage of the answers was complete.
    Latency { percent: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

impl Expression {
    /// Whether it speaks of latencies.
    pub(super) fn wants_latencies(&self) -> bool {
        self.condition.wants_latencies()
    }

    /// Whether it holds.
    pub(super) fn holds(&self, statistics: &Statistics, now: u64) -> bool {
        self.condition.holds(statistics, now)
    }
}

impl Condition {
    fn wants_latencies(&self) -> bool {
        match self {
            Self::Any(two) | Self::All(two) => two.iter().any(Self::wants_latencies),
            Self::Compare(figure, ..) => matches!(figure, Figure::Latency { .. }),
        }
    }

    #[allow(clippy::float_cmp, reason = "the user asks for it")]
    fn holds(&self, statistics: &Statistics, now: u64) -> bool {
        match self {
            Self::Any(two) => two.iter().any(|it| it.holds(statistics, now)),
            Self::All(two) => two.iter().all(|it| it.holds(statistics, now)),
            Self::Compare(figure, comparison, number) => {
                let (figure, number) = (statistics.figure(now, *figure), *number);
                match comparison {
                    Comparison::Less => figure < number,
                    Comparison::LessOrEqual => figure <= number,
                    Comparison::Greater => figure > number,
                    Comparison::GreaterOrEqual => figure >= number,
                    Comparison::Equal => figure == number,
                    Comparison::Unequal => figure != number,
                }
            }
        }
    }
}

/// Reads an expression. The error tells what was expected.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut reader = Reader { rest: text, tallies: Vec::new(), depth: 0 };
    let value = reader.any()?;
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(format!("`{}` is too much", reader.rest));
    }
    match value {
        Value::Condition(condition) => Ok(Expression { condition, tallies: reader.tallies }),
        Value::Figure(_) | Value::Whole(_) | Value::Point(_) => {
            Err("a comparison is expected, such as NetworkErrorRatio() > 0.5".to_owned())
        }
    }
}

/// What a part of an expression is.
enum Value {
    Condition(Condition),
    Figure(Figure),
    Whole(i64),
    Point(f64),
}

/// Parentheses inside each other; more are nobody's.
const DEEPEST: usize = 64;

struct Reader<'a> {
    rest: &'a str,
    tallies: Vec<Tally>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<Value, String> {
        let mut left = self.all()?;
        while self.eat("||") {
            let two = both("||", left, self.all()?)?;
            left = Value::Condition(Condition::Any(Box::new(two)));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Value, String> {
        let mut left = self.comparison()?;
        while self.eat("&&") {
            let two = both("&&", left, self.comparison()?)?;
            left = Value::Condition(Condition::All(Box::new(two)));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Value, String> {
        let mut left = self.operand()?;
        while let Some(comparison) = self.operator() {
            let right = self.operand()?;
            left = Value::Condition(compare(left, comparison, &right)?);
        }
        Ok(left)
    }

    fn operator(&mut self) -> Option<Comparison> {
        // Longer ones first.
        let all = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        all.into_iter().find_map(|(text, comparison)| self.eat(text).then_some(comparison))
    }

    fn operand(&mut self) -> Result<Value, String> {
        if self.eat("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(format!("more than {DEEPEST} parentheses inside each other"));
            }
            let inner = self.any()?;
            self.depth -= 1;
            return if self.eat(")") { Ok(inner) } else { Err("`)` is missing".to_owned()) };
        }
        match self.rest.chars().next() {
            Some('0'..='9' | '.') => self.number(),
            Some(first) if first.is_alphabetic() || first == '_' => self.function(),
            Some(_) => Err(format!("a function or a number is expected at `{}`", self.rest)),
            None => Err("a function or a number is expected at the end".to_owned()),
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let mut end = 0;
        let mut before = ' ';
        for (index, character) in self.rest.char_indices() {
            let is_sign = matches!(character, '+' | '-') && matches!(before, 'e' | 'E');
            if !(character.is_alphanumeric() || matches!(character, '.' | '_') || is_sign) {
                break;
            }
            before = character;
            end = index + character.len_utf8();
        }
        let text = self.take(end);
        let value = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok().map(Value::Whole)
        } else {
            text.parse().ok().map(Value::Point)
        };
        value.ok_or_else(|| format!("`{text}` is not a number"))
    }

    fn function(&mut self) -> Result<Value, String> {
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let end = self.rest.find(|character| !is_name(character)).unwrap_or(self.rest.len());
        let name = self.take(end);
        if !matches!(name, "NetworkErrorRatio" | "ResponseCodeRatio" | "LatencyAtQuantileMS") {
            return Err(format!(
                "there is no function `{name}`; expected NetworkErrorRatio, ResponseCodeRatio or \
                 LatencyAtQuantileMS"
            ));
        }
        let arguments = self.arguments(name)?;
        let figure = match (name, &*arguments) {
            ("NetworkErrorRatio", []) => Figure::Ratio {
                part: self.tally(Tally::NetworkErrors),
                whole: self.tally(Tally::All),
            },
            (
                "ResponseCodeRatio",
                &[Value::Whole(a), Value::Whole(b), Value::Whole(c), Value::Whole(d)],
            ) => Figure::Ratio {
                part: self.tally(Tally::Codes(a, b)),
                whole: self.tally(Tally::Codes(c, d)),
            },
            ("LatencyAtQuantileMS", &[Value::Point(percent)]) => Figure::Latency { percent },
            ("NetworkErrorRatio", _) => {
                return Err("NetworkErrorRatio takes no argument".to_owned());
            }
            ("ResponseCodeRatio", _) => {
                return Err(
                    "ResponseCodeRatio takes four whole numbers, such as (500, 600, 0, 600)"
                        .to_owned(),
                );
            }
            _ => {
                return Err(
                    "LatencyAtQuantileMS takes a percentage with a point, such as (50.0)"
                        .to_owned(),
                );
            }
        };
        Ok(Value::Figure(figure))
    }

    /// Numbers in parentheses.
    fn arguments(&mut self, name: &str) -> Result<Vec<Value>, String> {
        if !self.eat("(") {
            return Err(format!("`(` is missing after {name}"));
        }
        let mut arguments = Vec::new();
        while !self.eat(")") {
            if !(arguments.is_empty() || self.eat(",")) {
                return Err(format!("`,` or `)` is expected in {name} at `{}`", self.rest));
            }
            // A comma may stand before the closing parenthesis, as in Go.
            if !arguments.is_empty() && self.eat(")") {
                break;
            }
            self.skip_space();
            if !self.rest.starts_with(|it: char| it.is_ascii_digit() || it == '.') {
                return Err(format!("a number is expected in {name} at `{}`", self.rest));
            }
            arguments.push(self.number()?);
        }
        Ok(arguments)
    }

    /// The place of a tally.
    fn tally(&mut self, tally: Tally) -> usize {
        self.tallies.iter().position(|known| *known == tally).unwrap_or_else(|| {
            self.tallies.push(tally);
            self.tallies.len() - 1
        })
    }

    fn eat(&mut self, text: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}

fn both(operator: &str, left: Value, right: Value) -> Result<[Condition; 2], String> {
    match (left, right) {
        (Value::Condition(left), Value::Condition(right)) => Ok([left, right]),
        _ => Err(format!("`{operator}` joins comparisons only")),
    }
}

fn compare(left: Value, comparison: Comparison, right: &Value) -> Result<Condition, String> {
    match (left, right) {
        (Value::Figure(figure @ Figure::Ratio { .. }), Value::Point(number)) => {
            Ok(Condition::Compare(figure, comparison, *number))
        }
        (Value::Figure(figure @ Figure::Latency { .. }), Value::Whole(number)) => {
            Ok(Condition::Compare(figure, comparison, *number as f64))
        }
        (Value::Figure(Figure::Ratio { .. }), _) => {
            Err("a ratio is compared with a number that has a point, such as 0.5".to_owned())
        }
        (Value::Figure(Figure::Latency { .. }), _) => {
            Err("a latency is compared with whole milliseconds, such as 100".to_owned())
        }
        _ => Err("the left side of a comparison is a function".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether it holds after these answers: statuses, all of which took so many milliseconds.
    fn holds(text: &str, statuses: &[u16], took: u64) -> bool {
        let expression = parse(text).unwrap();
        let statistics = Statistics::new(&expression);
        for status in statuses {
            statistics.count(0, *status);
            statistics.time(0, Duration::from_millis(took));
        }
        expression.holds(&statistics, 0)
    }

    #[test]
    fn functions_are_of_the_answers() {
        assert!(holds("NetworkErrorRatio() > 0.4", &[502, 200], 0));
        assert!(holds("NetworkErrorRatio() == 0.5", &[504, 500], 0));
        assert!(!holds("NetworkErrorRatio() > 0.0", &[500, 503], 0));
        assert!(holds("ResponseCodeRatio(500, 600, 0, 600) >= 0.5", &[500, 200], 0));
        assert!(!holds("ResponseCodeRatio(500, 600, 0, 600) > 0.5", &[600, 499], 0));
        assert!(holds("ResponseCodeRatio(500, 600, 200, 300) == 2.0", &[500, 503, 200, 404], 0));
        assert!(holds("LatencyAtQuantileMS(50.0) > 99", &[200], 100));
        assert!(holds("LatencyAtQuantileMS(50.0) <= 101", &[200], 100));
        // A ratio to nothing is 0.
        assert!(holds("NetworkErrorRatio() < 0.1", &[], 0));
        assert!(holds("ResponseCodeRatio(500, 600, 200, 300) == 0.0", &[500], 0));
    }

    #[test]
    fn and_binds_closer_than_or() {
        let (no, yes) = ("NetworkErrorRatio() > 0.5", "NetworkErrorRatio() < 0.5");
        assert!(holds(&format!("{yes} || {no} && {no}"), &[200], 0));
        assert!(!holds(&format!("({yes} || {no}) && {no}"), &[200], 0));
        assert!(holds(&format!("((({yes})))&&\n{yes}"), &[200], 0));
    }

    #[test]
    fn tallies_are_counted_once() {
        let expression =
            parse("ResponseCodeRatio(500,600,0,600) > 0.5 || ResponseCodeRatio(400, 500, 0, 600,) > .5");
        assert_eq!(expression.unwrap().tallies.len(), 3);
    }

    #[test]
    fn errors_tell_what_was_expected() {
        for (text, word) in [
            ("", "function or a number"),
            ("NetworkErrorRatio()", "a comparison"),
            ("NetworkErrorRatio() > 1", "point"),
            ("NetworkErrorRatio(1) > 0.5", "no argument"),
            ("0.5 < NetworkErrorRatio()", "left side"),
            ("LatencyAtQuantileMS(50) > 100", "(50.0)"),
            ("LatencyAtQuantileMS(50.0) > 100.0", "whole milliseconds"),
            ("ResponseCodeRatio(500, 600, 0) > 0.5", "four whole"),
            ("ResponseCodeRatio(500, 600, 0, -1) > 0.5", "a number is expected"),
            ("Latency() > 1", "`Latency`"),
            ("NetworkErrorRatio > 0.5", "`(`"),
            ("!(NetworkErrorRatio() > 0.5)", "`!("),
            ("NetworkErrorRatio() > 0.5 && 1", "joins"),
            ("NetworkErrorRatio() > 0.5 > 0.5", "left side"),
            ("(NetworkErrorRatio() > 0.5", "`)`"),
            ("NetworkErrorRatio() > 0.5)", "too much"),
            ("NetworkErrorRatio() > 0.5.5", "`0.5.5`"),
            ("NetworkErrorRatio() > 0x10", "`0x10`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(100_000)).unwrap_err().contains("64"));
    }
}
