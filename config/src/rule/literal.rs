//! The string literals of rules: Go's backquoted and double-quoted strings, read and written.

use std::str::Chars;

/// Reads the literal that `text` begins with: its value and its length in bytes, or what is wrong
/// and how many bytes on.
pub(crate) fn read(text: &str) -> Result<(String, usize), (String, usize)> {
    match text.strip_prefix('`') {
        Some(raw) => match raw.split_once('`') {
            // Go drops carriage returns from raw strings.
            Some((value, _)) => Ok((value.replace('\r', ""), value.len() + 2)),
            None => Err(("backquoted argument without closing backquote".to_owned(), 0)),
        },
        None => read_quoted(text),
    }
}

/// Writes a literal that [`read`] reads back.
pub(super) fn write(value: &str, out: &mut String) {
    if !value.contains(['`', '\r']) {
        out.push('`');
        out.push_str(value);
        out.push('`');
        return;
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn read_quoted(text: &str) -> Result<(String, usize), (String, usize)> {
    let mut chars = text.chars();
    chars.next();
    let mut value = Vec::new();
    loop {
        let offset = text.len() - chars.as_str().len();
        match chars.next() {
            Some('"') => {
                let length = text.len() - chars.as_str().len();
                return match String::from_utf8(value) {
                    Ok(value) => Ok((value, length)),
                    Err(_) => Err(("argument is not UTF-8".to_owned(), 0)),
                };
            }
            Some('\\') => read_escape(&mut chars, &mut value).ok_or_else(|| {
                ("unknown escape in a double-quoted argument; use backquotes?".to_owned(), offset)
            })?,
            None | Some('\n') => {
                return Err(("quoted argument without closing quote".to_owned(), 0));
            }
            Some(c) => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn read_escape(chars: &mut Chars<'_>, value: &mut Vec<u8>) -> Option<()> {
    let byte = match chars.next()? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(read_number(chars, 2, 16)?).ok()?,
        'u' => return push_char(read_number(chars, 4, 16)?, value),
        'U' => return push_char(read_number(chars, 8, 16)?, value),
        first => {
            let rest = read_number(chars, 2, 8)?;
            u8::try_from(first.to_digit(8)? * 64 + rest).ok()?
        }
    };
    value.push(byte);
    Some(())
}

fn read_number(chars: &mut Chars<'_>, digits: u32, radix: u32) -> Option<u32> {
    (0..digits).try_fold(0_u32, |number, _| {
        number.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)
    })
}

fn push_char(number: u32, value: &mut Vec<u8>) -> Option<()> {
    let c = char::from_u32(number)?;
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}
