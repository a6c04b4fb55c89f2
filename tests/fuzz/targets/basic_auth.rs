//! Accounts of basic auth, lines as `htpasswd` writes them.

/// Takes lines of accounts.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<String> = text.lines().map(|line| format!("- {line:?}")).collect();
    super::middleware::run(format!("basicAuth\nusers:\n{}\n", lines.join("\n")).as_bytes());
}
