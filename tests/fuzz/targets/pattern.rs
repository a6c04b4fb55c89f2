//! Regular expressions in Go's dialect: what is translated compiles, as text and as bytes alike.

use portcullis_config::pattern;

/// Takes a pattern.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Long ones cost time and find nothing.
    if text.len() > 300 {
        return;
    }
    let _ = (pattern::translate(text), pattern::compile_bytes(text));
    if let Ok(regex) = pattern::compile(text) {
        let _ = (regex.is_match("/api/v1"), pattern::prefixes(text));
    }
}
