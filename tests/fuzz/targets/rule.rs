//! Rules: what parses is printed to text that parses to the same.

use portcullis_config::rule::Protocol;
use portcullis_config::rule::parse::parse;
use portcullis_config::rule::print::print;

/// Takes a rule.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for protocol in [Protocol::Http, Protocol::Tcp] {
        let Ok(rule) = parse(text, protocol) else { continue };
        let printed = print(&rule);
        let again = parse(&printed, protocol);
        assert_eq!(again.as_ref(), Ok(&rule), "printed as {printed}");
        let _ = (rule.default_priority(text), rule.hosts());
    }
}
