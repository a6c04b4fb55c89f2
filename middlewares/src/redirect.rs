//! What `redirectScheme` and `redirectRegex` share: the answer that sends a client elsewhere.

use http::header::LOCATION;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, StatusCode};

use crate::{Response, path};

/// How long a redirection is meant to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duration {
    /// Clients ask here again: 302 or 307.
    Temporary,
    /// Clients may remember it: 301 or 308.
    Permanent,
}

impl Duration {
    /// The duration that the option `permanent` stands for.
    pub(crate) fn of(permanent: bool) -> Self {
        if permanent { Self::Permanent } else { Self::Temporary }
    }
}

/// The answer that sends the client to `url`; 502 if that is no URL.
///
/// Traefik: only GET gets the codes that let clients change the method; HEAD does not.
pub(crate) fn answer(method: &Method, url: &str, duration: Duration) -> Response {
    let Some(location) = location(url) else { return Response::bare(StatusCode::BAD_GATEWAY) };
    let status = match (duration, *method == Method::GET) {
        (Duration::Temporary, true) => StatusCode::FOUND,
        (Duration::Temporary, false) => StatusCode::TEMPORARY_REDIRECT,
        (Duration::Permanent, true) => StatusCode::MOVED_PERMANENTLY,
        (Duration::Permanent, false) => StatusCode::PERMANENT_REDIRECT,
    };
    Response::bare(status).with(LOCATION, location)
}

/// An absolute or relative URL as it stands in `Location`: the scheme in lower case, the path
/// escaped, the rest as it is; `None` if it is no URL.
fn location(url: &str) -> Option<HeaderValue> {
    let (before, after) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let (origin, path) = match before.find("://") {
        Some(colon) => {
            let (scheme, rest) = before.split_at(colon);
            let authority = rest.get(3..)?;
            let (authority, path) =
                authority.split_at(authority.find('/').unwrap_or(authority.len()));
            let is_scheme = !scheme.is_empty() && scheme.parse::<Scheme>().is_ok();
            (is_scheme && is_authority(authority)).then_some(())?;
            (format!("{}://{authority}", scheme.to_ascii_lowercase()), path)
        }
        None => (String::new(), before),
    };
    let path = path::normalize(path).ok()?;
    HeaderValue::from_bytes(format!("{origin}{path}{after}").as_bytes()).ok()
}

/// Whether the text is a host with or without user and port; it may be empty.
fn is_authority(text: &str) -> bool {
    let port_is_number = match text.rsplit_once(':') {
        Some((_, port)) => port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()),
        None => true,
    };
    text.is_empty() || port_is_number && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(url: &str) -> Option<String> {
        location(url).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    #[test]
    fn urls_go_out_with_scheme_lowered_and_path_escaped() {
        for (url, expected) in [
            ("https://a.example/x?y#z", "https://a.example/x?y#z"),
            ("HTTPS://A.example:8443", "https://A.example:8443"),
            ("https://[::1]:99/a", "https://[::1]:99/a"),
            ("https://a/b c|é", "https://a/b%20c%7C%C3%A9"),
            ("https://a/x%2Fy?q=<>\"|", "https://a/x%2Fy?q=<>\"|"),
            ("/rel/a:b", "/rel/a:b"),
            ("", ""),
        ] {
            assert_eq!(sent(url).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "https://%zz/x",
            "https://a.example:99x/",
            "https://a b/",
            "1 2://a/",
            "https://a/%zz",
            "https://a/?x\r\nSet-Cookie: a=b",
            "://a/",
        ] {
            assert_eq!(sent(url), None, "{url}");
        }
    }
}
