//! The table of matchers: their names and what their arguments must look like.

use super::Protocol;
use crate::pattern;
use crate::units::IpRanges;

/// One matcher of the language.
pub(super) struct Definition {
    /// Canonical spelling.
    pub(super) name: &'static str,
    /// Least and most arguments.
    arity: (usize, usize),
    /// Looks at the argument that the matcher compares with.
    check: fn(&str) -> Result<(), String>,
}

const HTTP: &[Definition] = &[
    Definition { name: "Host", arity: (1, 1), check: ascii },
    Definition { name: "HostRegexp", arity: (1, 1), check: ascii_regex },
    Definition { name: "Path", arity: (1, 1), check: path },
    Definition { name: "PathPrefix", arity: (1, 1), check: path },
    Definition { name: "PathRegexp", arity: (1, 1), check: regex },
    Definition { name: "Method", arity: (1, 1), check: anything },
    Definition { name: "Header", arity: (2, 2), check: anything },
    Definition { name: "HeaderRegexp", arity: (2, 2), check: regex },
    Definition { name: "Query", arity: (1, 2), check: anything },
    Definition { name: "QueryRegexp", arity: (1, 2), check: regex },
    Definition { name: "ClientIP", arity: (1, 1), check: ip_range },
];

const TCP: &[Definition] = &[
    Definition { name: "HostSNI", arity: (1, 1), check: sni },
    Definition { name: "HostSNIRegexp", arity: (1, 1), check: ascii_regex },
    Definition { name: "ClientIP", arity: (1, 1), check: ip_range },
    Definition { name: "ALPN", arity: (1, 1), check: alpn },
];

/// The matcher of that name: as documented, all lower, all upper, or upper then lower.
pub(super) fn resolve(written: &str, protocol: Protocol) -> Result<&'static Definition, String> {
    let table = table(protocol);
    if let Some(found) = table.iter().find(|definition| spelled(definition.name, written)) {
        return Ok(found);
    }
    let nearest = table
        .iter()
        .map(|definition| (distance(definition.name, written), definition.name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    Err(match nearest {
        Some((_, name)) => format!("unknown matcher {written}, did you mean {name}?"),
        None => {
            let names: Vec<_> = table.iter().map(|definition| definition.name).collect();
            format!("unknown matcher {written}, expected one of {}", names.join(", "))
        }
    })
}

/// Checks the arguments of a call.
pub(super) fn check(definition: &Definition, arguments: &[String]) -> Result<(), String> {
    let Definition { name, arity: (least, most), check } = definition;
    if !(*least..=*most).contains(&arguments.len()) {
        let wanted = match (least, most) {
            (1, 1) => "1 argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} or {most} arguments"),
        };
        return Err(format!("{name} takes {wanted}, found {}", arguments.len()));
    }
    if arguments.iter().any(String::is_empty) {
        return Err(format!("{name} with an empty argument"));
    }
    // A lone key of Header or Query is a name and never a pattern.
    let compared = match (*most, arguments) {
        (1, [value]) | (2, [_, value]) => value,
        _ => return Ok(()),
    };
    check(compared).map_err(|message| format!("{name}: {message}"))
}

fn table(protocol: Protocol) -> &'static [Definition] {
    match protocol {
        Protocol::Http => HTTP,
        Protocol::Tcp => TCP,
    }
}

fn spelled(name: &str, written: &str) -> bool {
    let title = |(index, c): (usize, char)| match index {
        0 => c.to_ascii_uppercase(),
        _ => c.to_ascii_lowercase(),
    };
    name == written
        || name.eq_ignore_ascii_case(written)
            && (written.chars().all(|c| c.is_ascii_lowercase())
                || written.chars().all(|c| c.is_ascii_uppercase())
                || written.chars().enumerate().map(title).eq(written.chars()))
}

/// How many letters differ, case apart (Levenshtein). Far apart is as good as infinitely far.
fn distance(name: &str, written: &str) -> usize {
    if written.len() > 2 * name.len() {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (line, b) in written.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, a) in row.iter_mut().skip(1).zip(name.bytes()) {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = *cell;
            *cell = changed.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

fn ascii(text: &str) -> Result<(), String> {
    if text.is_ascii() {
        return Ok(());
    }
    Err(format!("`{text}` is not ASCII; write international names in their punycode form (xn--…)"))
}

fn path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Ok(());
    }
    Err(format!("path `{text}` does not begin with `/`"))
}

fn regex(text: &str) -> Result<(), String> {
    pattern::compile(text).map(drop).map_err(|error| error.to_string())
}

fn ascii_regex(text: &str) -> Result<(), String> {
    ascii(text)?;
    regex(text)
}

fn ip_range(text: &str) -> Result<(), String> {
    IpRanges::parse([text])
        .map(drop)
        .map_err(|_| format!("`{text}` is neither an IP address nor a range such as 10.0.0.0/8"))
}

fn sni(text: &str) -> Result<(), String> {
    ascii(text)?;
    let name = text.strip_prefix("*.").unwrap_or(text);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if text == "*" || !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!("`{text}` is not a host name; expected `*`, a name or `*.` and a name"))
}

fn alpn(text: &str) -> Result<(), String> {
    match text {
        "acme-tls/1" => Err("`acme-tls/1` belongs to the ACME challenge".to_owned()),
        _ => Ok(()),
    }
}
