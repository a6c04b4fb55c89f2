//! The functions of templates, under the names and with the order of arguments of Go and of sprig.

use std::collections::BTreeMap;

use super::TEXT_LIMIT;
use super::operand::Operand;
use crate::name::normalize;

/// A function that templates may call.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    /// The fewest arguments.
    least: usize,
    /// The most arguments.
    most: usize,
    body: fn(Arguments) -> Result<Operand, String>,
}

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Function {
    /// Whether it can be called with `count` arguments.
    pub(super) fn accepts(&self, count: usize) -> Result<(), String> {
        let expected = match (self.least, self.most) {
            (least, most) if (least..=most).contains(&count) => return Ok(()),
            (1, 1) => "one argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, MANY) => format!("at least {least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(format!("`{}` takes {expected}, not {count}", self.name))
    }

    pub(super) fn call(&self, arguments: Vec<Operand>) -> Result<Operand, String> {
        let result = (self.body)(Arguments(arguments.into_iter()));
        let value = result.map_err(|message| format!("`{}`: {message}", self.name))?;
        match &value {
            Operand::Text(text) if text.len() > TEXT_LIMIT => {
                Err(format!("`{}`: {TOO_LONG}", self.name))
            }
            _ => Ok(value),
        }
    }
}

/// The arguments that a function has not taken yet. Their number is checked when the template is parsed.
struct Arguments(std::vec::IntoIter<Operand>);

impl Arguments {
    fn next(&mut self) -> Operand {
        self.0.next().unwrap_or(Operand::Nil)
    }

    fn text(&mut self) -> Result<String, String> {
        match self.next() {
            Operand::Text(text) => Ok(text),
            other => Err(format!("expected text, found {}", other.noun())),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        match self.next() {
            Operand::Number(number) => Ok(number),
            other => Err(format!("expected a number, found {}", other.noun())),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Operand::List(texts) => Ok(texts),
            Operand::Map(map) => Ok(map.into_values().collect()),
            other => Err(format!("expected a list, found {}", other.noun())),
        }
    }
}

const fn function(
    name: &'static str,
    least: usize,
    most: usize,
    body: fn(Arguments) -> Result<Operand, String>,
) -> Function {
    Function { name, least, most, body }
}

/// Any number of arguments.
const MANY: usize = usize::MAX;

const TOO_LONG: &str = "the text is too long";

static FUNCTIONS: &[Function] = &[
    // Go.
    function("and", 1, MANY, |arguments| first_that(arguments, |value| !value.is_true())),
    function("or", 1, MANY, |arguments| first_that(arguments, Operand::is_true)),
    function("not", 1, 1, |mut arguments| Ok(Operand::Flag(!arguments.next().is_true()))),
    function("eq", 2, MANY, equal),
    function("ne", 2, 2, |arguments| match equal(arguments)? {
        Operand::Flag(flag) => Ok(Operand::Flag(!flag)),
        other => Ok(other),
    }),
    function("index", 1, MANY, index),
    function("len", 1, 1, length),
    function("print", 0, MANY, print),
    function("printf", 1, MANY, printf),
    // Traefik.
    function("normalize", 1, 1, |mut arguments| Ok(Operand::text(normalize(&arguments.text()?)))),
    // sprig: choices.
    function("coalesce", 1, MANY, |arguments| {
        Ok(arguments.0.into_iter().find(Operand::is_true).unwrap_or(Operand::Nil))
    }),
    function("default", 1, 2, |mut arguments| {
        let (fallback, value) = (arguments.next(), arguments.next());
        Ok(if value.is_true() { value } else { fallback })
    }),
    function("empty", 1, 1, |mut arguments| Ok(Operand::Flag(!arguments.next().is_true()))),
    function("hasKey", 2, 2, |mut arguments| match (arguments.next(), arguments.text()?) {
        (Operand::Map(map), key) => Ok(Operand::Flag(map.contains_key(&key))),
        (other, _) => Err(format!("expected a map, found {}", other.noun())),
    }),
    function("ternary", 3, 3, |mut arguments| {
        let (yes, no) = (arguments.next(), arguments.next());
        Ok(if arguments.next().is_true() { yes } else { no })
    }),
    // sprig: text.
    function("contains", 2, 2, |arguments| test(arguments, |part, text| text.contains(part))),
    function("hasPrefix", 2, 2, |arguments| test(arguments, |part, text| text.starts_with(part))),
    function("hasSuffix", 2, 2, |arguments| test(arguments, |part, text| text.ends_with(part))),
    function("lower", 1, 1, |mut arguments| Ok(Operand::text(arguments.text()?.to_lowercase()))),
    function("upper", 1, 1, |mut arguments| Ok(Operand::text(arguments.text()?.to_uppercase()))),
    function("quote", 0, MANY, |arguments| {
        let quoted: Vec<String> =
            arguments.0.map(|value| format!("{:?}", value.to_string())).collect();
        Ok(Operand::text(quoted.join(" ")))
    }),
    function("replace", 3, 3, replace),
    function("substr", 3, 3, substr),
    function("toString", 1, 1, |mut arguments| Ok(Operand::text(arguments.next().to_string()))),
    function("trim", 1, 1, |mut arguments| Ok(Operand::text(arguments.text()?.trim()))),
    function("trimAll", 2, 2, |mut arguments| {
        let (cut, text) = (arguments.text()?, arguments.text()?);
        Ok(Operand::text(text.trim_matches(|c| cut.contains(c))))
    }),
    function("trimPrefix", 2, 2, |mut arguments| {
        let (part, text) = (arguments.text()?, arguments.text()?);
        Ok(Operand::text(text.strip_prefix(&*part).unwrap_or(&text)))
    }),
    function("trimSuffix", 2, 2, |mut arguments| {
        let (part, text) = (arguments.text()?, arguments.text()?);
        Ok(Operand::text(text.strip_suffix(&*part).unwrap_or(&text)))
    }),
    function("trunc", 2, 2, trunc),
    // sprig: lists.
    function("first", 1, 1, |mut arguments| Ok(element(arguments.list()?.first()))),
    function("last", 1, 1, |mut arguments| Ok(element(arguments.list()?.last()))),
    function("join", 2, 2, |mut arguments| {
        let between = arguments.text()?;
        let texts = arguments.list()?;
        match texts.len().saturating_mul(between.len()) {
            ..=TEXT_LIMIT => Ok(Operand::text(texts.join(&between))),
            _ => Err(TOO_LONG.to_owned()),
        }
    }),
    function("split", 2, 2, |arguments| {
        let parts = split(arguments)?.into_iter().enumerate();
        let named = parts.map(|(index, part)| (format!("_{index}"), part));
        Ok(Operand::Map(named.collect::<BTreeMap<_, _>>()))
    }),
    function("splitList", 2, 2, |arguments| split(arguments).map(Operand::List)),
    // sprig: regexes.
    function("regexFind", 2, 2, |mut arguments| {
        let (regex, text) = (regex(&arguments.text()?)?, arguments.text()?);
        Ok(Operand::text(regex.find(&text).map_or("", |found| found.as_str())))
    }),
    function("regexMatch", 2, 2, |mut arguments| {
        let (regex, text) = (regex(&arguments.text()?)?, arguments.text()?);
        Ok(Operand::Flag(regex.is_match(&text)))
    }),
    function("regexReplaceAll", 3, 3, regex_replace_all),
];

/// The first argument of the sort, or else the last.
fn first_that(arguments: Arguments, sort: fn(&Operand) -> bool) -> Result<Operand, String> {
    let mut last = Operand::Nil;
    for argument in arguments.0 {
        if sort(&argument) {
            return Ok(argument);
        }
        last = argument;
    }
    Ok(last)
}

/// Whether the first argument equals one of the others.
fn equal(mut arguments: Arguments) -> Result<Operand, String> {
    let first = arguments.next();
    for other in arguments.0 {
        if std::mem::discriminant(&first) != std::mem::discriminant(&other) {
            return Err(format!("{} and {} cannot be compared", first.noun(), other.noun()));
        }
        if first == other {
            return Ok(Operand::Flag(true));
        }
    }
    Ok(Operand::Flag(false))
}

fn index(mut arguments: Arguments) -> Result<Operand, String> {
    let mut value = arguments.next();
    for key in arguments.0 {
        value = match (value, key) {
            (Operand::List(texts), Operand::Number(index)) => {
                let text = usize::try_from(index).ok().and_then(|index| texts.get(index));
                Operand::text(text.ok_or_else(|| format!("there is no element {index}"))?.clone())
            }
            (value @ Operand::Map(_), Operand::Text(key)) => value.member(&key)?,
            (value, key) => {
                return Err(format!("{} has no index that is {}", value.noun(), key.noun()));
            }
        };
    }
    Ok(value)
}

fn length(mut arguments: Arguments) -> Result<Operand, String> {
    let length = match arguments.next() {
        Operand::Text(text) => text.len(),
        Operand::List(texts) => texts.len(),
        Operand::Map(map) => map.len(),
        other => return Err(format!("{} has no length", other.noun())),
    };
    Ok(Operand::Number(length as i64))
}

/// Go: a space stands between two arguments if neither is text.
fn print(arguments: Arguments) -> Result<Operand, String> {
    let mut out = String::new();
    let mut after_text = true;
    for value in arguments.0 {
        let is_text = matches!(value, Operand::Text(_));
        if !after_text && !is_text {
            out.push(' ');
        }
        out.push_str(&value.to_string());
        after_text = is_text;
    }
    Ok(Operand::Text(out))
}

fn printf(mut arguments: Arguments) -> Result<Operand, String> {
    let format = arguments.text()?;
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let verb = characters.next().unwrap_or(' ');
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = arguments.0.next().ok_or_else(|| format!("`%{verb}` has no argument"))?;
        match (verb, value) {
            ('s' | 'v', value) => out.push_str(&value.to_string()),
            ('d', Operand::Number(number)) => out.push_str(&number.to_string()),
            ('q', Operand::Text(text)) => out.push_str(&format!("{text:?}")),
            ('t', Operand::Flag(flag)) => out.push_str(&flag.to_string()),
            ('d' | 'q' | 't', value) => {
                return Err(format!("`%{verb}` does not fit {}", value.noun()));
            }
            _ => return Err(format!("`%{verb}` is not supported")),
        }
    }
    match arguments.0.next() {
        None => Ok(Operand::Text(out)),
        Some(_) => Err("there are more arguments than verbs".to_owned()),
    }
}

/// `part` first, as sprig has it, so that the text can be piped in.
fn test(mut arguments: Arguments, holds: fn(&str, &str) -> bool) -> Result<Operand, String> {
    let (part, text) = (arguments.text()?, arguments.text()?);
    Ok(Operand::Flag(holds(&part, &text)))
}

fn replace(mut arguments: Arguments) -> Result<Operand, String> {
    let (old, new, text) = (arguments.text()?, arguments.text()?, arguments.text()?);
    let added = text.matches(&*old).count().saturating_mul(new.len());
    match text.len().saturating_add(added) {
        ..=TEXT_LIMIT => Ok(Operand::text(text.replace(&*old, &new))),
        _ => Err(TOO_LONG.to_owned()),
    }
}

/// The characters from one position to another; a negative bound is none.
fn substr(mut arguments: Arguments) -> Result<Operand, String> {
    let (start, end, text) = (arguments.number()?, arguments.number()?, arguments.text()?);
    let start = usize::try_from(start).unwrap_or(0);
    let end = usize::try_from(end).unwrap_or(usize::MAX);
    Ok(Operand::Text(text.chars().take(end).skip(start).collect()))
}

/// The first characters, or with a negative number the last ones.
fn trunc(mut arguments: Arguments) -> Result<Operand, String> {
    let (length, text) = (arguments.number()?, arguments.text()?);
    let count = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    let skipped = if length < 0 { text.chars().count().saturating_sub(count) } else { 0 };
    Ok(Operand::Text(text.chars().skip(skipped).take(count).collect()))
}

fn element(text: Option<&String>) -> Operand {
    text.map_or(Operand::Nil, |text| Operand::text(text.clone()))
}

fn split(mut arguments: Arguments) -> Result<Vec<String>, String> {
    let (between, text) = (arguments.text()?, arguments.text()?);
    if between.is_empty() {
        return Ok(text.chars().map(String::from).collect());
    }
    Ok(text.split(&*between).map(str::to_owned).collect())
}

fn regex(pattern: &str) -> Result<regex::Regex, String> {
    crate::pattern::compile(pattern).map_err(|error| error.to_string())
}

fn regex_replace_all(mut arguments: Arguments) -> Result<Operand, String> {
    let (pattern, text, replacement) = (arguments.text()?, arguments.text()?, arguments.text()?);
    if replacement.len() > REPLACEMENT_LIMIT {
        return Err("the replacement is too long".to_owned());
    }
    let mut out = String::new();
    let mut end = 0;
    for found in regex(&pattern)?.captures_iter(&text) {
        let whole = found.get_match();
        out.push_str(&text[end..whole.start()]);
        found.expand(&replacement, &mut out);
        end = whole.end();
        if out.len() > TEXT_LIMIT {
            return Err(TOO_LONG.to_owned());
        }
    }
    out.push_str(&text[end..]);
    Ok(Operand::Text(out))
}

/// The longest replacement of a regex, in bytes, since each `$0` in it may stand for the whole text.
const REPLACEMENT_LIMIT: usize = 1024;
