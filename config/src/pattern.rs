//! Regexes as Traefik's users write them: Go's RE2 dialect, read into the dialect of the `regex` crate.
//!
//! Both engines are of one family and take linear time, but some texts mean something else: Go's
//! `\d`, `\w`, `\s`, `\b` are ASCII, `\<` is a plain `<`, `\Q…\E` quotes, and within brackets `[`, `&&`
//! and `~~` are plain characters. A rule that guards a path must not change its meaning silently.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, Look};

/// Memory for one compiled regex, in bytes.
const LARGEST: usize = 1 << 20;

/// Alternatives that a pattern may begin with before [`prefixes`] gives up.
const MOST_PREFIXES: usize = 16;

/// The same for endings and [`suffix`].
const MOST_SUFFIXES: usize = 64;

/// Why a pattern does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad regex `{pattern}`: {reason}")]
pub struct PatternError {
    pattern: String,
    reason: String,
}

/// Compiles a pattern in Go's dialect. It matches anywhere in the text unless anchored.
pub fn compile(pattern: &str) -> Result<Regex, PatternError> {
    regex::RegexBuilder::new(&translate(pattern)?)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| refused(pattern, &error))
}

/// The same for texts that need not be UTF-8.
pub fn compile_bytes(pattern: &str) -> Result<regex::bytes::Regex, PatternError> {
    regex::bytes::RegexBuilder::new(&translate(pattern)?)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| refused(pattern, &error))
}

/// Texts of which every text that matches begins with one; nothing if the pattern does not say.
///
/// `^/v[12]/` gives `/v1/` and `/v2/`. A pattern that is not anchored gives nothing.
pub fn prefixes(pattern: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(&translate(pattern).ok()?).ok()?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let found = Extractor::new().limit_total(MOST_PREFIXES).extract(&hir);
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    found.literals()?.iter().map(|literal| text(literal.as_bytes())).collect()
}

/// The text with which every text that matches ends; empty if the pattern does not say.
///
/// `^[a-z]+\.example\.com$` gives `.example.com`. A pattern that is not anchored at its end gives nothing.
pub fn suffix(pattern: &str) -> String {
    let hir = translate(pattern).ok().and_then(|pattern| regex_syntax::parse(&pattern).ok());
    let anchored = |hir: &Hir| hir.properties().look_set_suffix().contains(Look::End);
    let Some(hir) = hir.filter(anchored) else { return String::new() };
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Suffix).limit_total(MOST_SUFFIXES);
    let found = extractor.extract(&hir);
    let common = found.longest_common_suffix().unwrap_or_default();
    String::from_utf8(common.to_vec()).unwrap_or_default()
}

/// The pattern in the dialect of the `regex` crate.
pub fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut translator =
        Translator { rest: pattern.chars().peekable(), out: String::with_capacity(pattern.len()) };
    match translator.run() {
        Ok(()) => Ok(translator.out),
        Err(reason) => Err(PatternError { pattern: pattern.to_owned(), reason }),
    }
}

fn refused(pattern: &str, error: &regex::Error) -> PatternError {
    let reason = match error {
        regex::Error::CompiledTooBig(_) => "too large once compiled".to_owned(),
        // The last line says what is wrong, the ones before draw a picture.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    };
    PatternError { pattern: pattern.to_owned(), reason }
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '{' if self.counts() => {}
                '{' => self.out.push_str(r"\{"),
                '}' => self.out.push_str(r"\}"),
                '(' => self.group()?,
                c => self.out.push(c),
            }
        }
        Ok(())
    }

    /// An escape outside brackets, after its backslash.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.next() {
            None => return Err("trailing backslash".to_owned()),
            Some('Q') => self.quoted(),
            Some('b') => self.out.push_str(r"(?-u:\b)"),
            Some('B') => self.out.push_str(r"(?-u:\B)"),
            Some(c @ ('A' | 'z')) => self.out.extend(['\\', c]),
            Some(c @ ('d' | 's' | 'w')) => self.perl_class(c, "[", "]"),
            Some(c @ ('D' | 'S' | 'W')) => self.perl_class(c, "[^", "]"),
            Some(c) => self.character_escape(c)?,
        }
        Ok(())
    }

    /// What is an escape within brackets as well as outside.
    fn character_escape(&mut self, c: char) -> Result<(), String> {
        match c {
            'a' | 'f' | 'n' | 'r' | 't' | 'v' => self.out.extend(['\\', c]),
            'x' => {
                self.out.push_str(r"\x");
                self.braced();
            }
            'p' | 'P' => self.unicode_class(c),
            '0'..='7' => self.octal(c)?,
            c if c.is_ascii_punctuation() => self.literal(c),
            c => return Err(format!("invalid escape sequence `\\{c}`")),
        }
        Ok(())
    }

    /// Go's ASCII classes; `\s` has no vertical tab there.
    fn perl_class(&mut self, class: char, open: &str, close: &str) {
        let members = match class {
            'd' | 'D' => "0-9",
            's' | 'S' => r"\t\n\f\r\x20",
            _ => "0-9A-Za-z_",
        };
        self.out.extend([open, members, close]);
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`.
    fn unicode_class(&mut self, mut letter: char) {
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('{') && ahead.next() == Some('^') {
            letter = if letter == 'p' { 'P' } else { 'p' };
            self.rest.next();
            self.rest.next();
            self.out.extend(['\\', letter, '{']);
            return self.through('}');
        }
        self.out.extend(['\\', letter]);
        self.braced();
    }

    /// What belongs to an escape in braces goes over as text.
    fn braced(&mut self) {
        if self.rest.next_if_eq(&'{').is_some() {
            self.out.push('{');
            self.through('}');
        }
    }

    fn through(&mut self, end: char) {
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == end {
                return;
            }
        }
    }

    /// `\0` to `\377`. A single digit but 0 would be a back reference, which no linear engine has.
    fn octal(&mut self, first: char) -> Result<(), String> {
        let mut number = first.to_digit(8).unwrap_or_default();
        let mut digits = 1;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)).filter(|_| digits < 3)
        {
            number = number * 8 + digit;
            digits += 1;
            self.rest.next();
        }
        if first != '0' && digits == 1 {
            return Err(format!("back references such as `\\{first}` are not supported"));
        }
        self.out.push_str(&format!("\\x{{{number:X}}}"));
        Ok(())
    }

    /// `\Q` up to `\E` or the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// Flags of a group; `x` and `R` exist in one dialect only and would change what follows.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        while let Some(flag) = self.rest.next_if(|c| !matches!(c, ':' | ')' | 'P' | '<')) {
            if !matches!(flag, 'i' | 'm' | 's' | 'U' | '-') {
                return Err(format!("invalid group `(?{flag}`"));
            }
            self.out.push(flag);
        }
        Ok(())
    }

    /// Whether a repetition follows an opening brace that was just read: `n}`, `n,}` or `n,m}`.
    /// Writes it if so.
    fn counts(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        let mut text = String::from("{");
        let digits = |ahead: &mut Peekable<Chars<'_>>, text: &mut String| {
            let before = text.len();
            while let Some(c) = ahead.next_if(char::is_ascii_digit) {
                text.push(c);
            }
            text.len() > before
        };
        if !digits(&mut ahead, &mut text) {
            return false;
        }
        if ahead.next_if_eq(&',').is_some() {
            text.push(',');
            digits(&mut ahead, &mut text);
        }
        if ahead.next() != Some('}') {
            return false;
        }
        self.rest = ahead;
        self.out.push_str(&text);
        self.out.push('}');
        true
    }

    /// A bracket expression, after its `[`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.rest.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.peek() == Some(&':') => self.posix_class(),
                '[' | ']' | '&' | '~' | '^' => self.out.extend(['\\', c]),
                '-' if first || self.rest.peek() == Some(&']') => self.out.push_str(r"\-"),
                '\\' => match self.rest.next() {
                    None => return Err("trailing backslash".to_owned()),
                    Some(c @ ('d' | 's' | 'w')) => self.perl_class(c, "", ""),
                    Some(c @ ('D' | 'S' | 'W')) => self.perl_class(c, "[^", "]"),
                    Some(c) => self.character_escape(c)?,
                },
                c => self.out.push(c),
            }
            first = false;
        }
        Err("missing closing ]".to_owned())
    }

    /// `[:word:]` after its `[`; without its end the bracket is a plain character.
    fn posix_class(&mut self) {
        let mut ahead = self.rest.clone();
        let mut text = String::from("[");
        while let Some(c) = ahead.next_if(|c| matches!(c, ':' | '^') || c.is_ascii_alphabetic()) {
            text.push(c);
        }
        if text.len() > 3 && text.ends_with(':') && ahead.next() == Some(']') {
            self.rest = ahead;
            self.out.push_str(&text);
            self.out.push(']');
        } else {
            self.out.push_str(r"\[");
        }
    }
}

#[cfg(test)]
mod tests;
