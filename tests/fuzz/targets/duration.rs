//! Durations: what is shown parses to the same.

use portcullis_config::units::Duration;

/// Takes a duration.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(duration) = Duration::parse(text) else { return };
    let shown = duration.to_string();
    assert_eq!(Duration::parse(&shown), Ok(duration), "shown as {shown}");
    let _ = duration.positive();
}
