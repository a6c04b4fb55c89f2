//! Answers in JSON, and errors.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, StatusCode};
use portcullis_middlewares::message::Response;
use serde_json::Value;

/// An answer in JSON, safe to stand in HTML, with a final newline. Traefik: Go's encoder does both.
pub(super) fn json(value: &Value) -> Response {
    Response::new(StatusCode::OK, text(value))
        .with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

/// An error. Traefik: JSON that calls itself plain text.
pub(super) fn failure(status: StatusCode, message: &str) -> Response {
    let text = text(&serde_json::json!({ "message": message }));
    Response::text(status, text.trim_end())
}

fn text(value: &Value) -> String {
    let plain = value.to_string();
    let mut text = String::with_capacity(plain.len() + 1);
    // These stand within strings only.
    for c in plain.chars() {
        match c {
            '&' => text.push_str("\\u0026"),
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            c => text.push(c),
        }
    }
    text.push('\n');
    text
}
