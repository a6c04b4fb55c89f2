//! Configuration documents in all formats, and the routing configuration that they hold.

use portcullis_config::Routing;
use portcullis_config::tree::text::{Format, parse};

/// Takes a document, which is read as each format.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        if let Ok(tree) = parse(text, format, "fuzz") {
            let (_, problems) = Routing::from_tree(&tree);
            let _ = problems.iter().map(ToString::to_string).count();
        }
    }
}
