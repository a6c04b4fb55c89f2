//! `X-Forwarded-*` and `X-Real-Ip`: whose are believed, what is added (dynamic configuration manual, "forwarded headers").

use std::net::IpAddr;
use std::sync::OnceLock;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use portcullis_middlewares::message::between::ATTEMPT;

use super::settings::Forwarded;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-tls-client-cert");
const CERTIFICATE_FACTS: HeaderName = HeaderName::from_static("x-forwarded-tls-client-cert-info");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Headers that only the gateway, or a peer it trusts, may say.
const MANAGED: [HeaderName; 12] = [
    FOR,
    HOST,
    PORT,
    PROTO,
    PREFIX,
    SERVER,
    URI,
    METHOD,
    CERTIFICATE,
    CERTIFICATE_FACTS,
    REAL_IP,
    ATTEMPT,
];

/// What is the same for all requests of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Whether its forwarded headers are believed.
    trusted: bool,
    tls: bool,
    address: HeaderValue,
}

/// Whether a request asks to become something else; WebSocket has its own scheme names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No.
    None,
    /// `Upgrade: websocket`.
    WebSocket,
}

impl Peer {
    /// Judges the peer of a connection once.
    pub fn new(ip: IpAddr, tls: bool, forwarded: &Forwarded) -> Self {
        let trusted = forwarded.insecure || forwarded.trusted.contains(ip);
        let address = HeaderValue::from_str(&ip.to_string())
            .expect("an address is made of digits, dots, colons and letters");
        Self { trusted, tls, address }
    }

    /// Brings the forwarded headers of a request into form.
    pub fn apply(&self, headers: &mut HeaderMap, forwarded: &Forwarded, wish: Wish) {
        if !self.trusted {
            remove_managed(headers);
        }
        if headers.contains_key(CONNECTION) {
            guard_connection(headers, &forwarded.connection);
        }
        if self.trusted {
            self.complete(headers, wish, is_said);
        } else {
            // Nothing of it is left: that need not be looked up.
            self.complete(headers, wish, |_, _| false);
        }
    }

    fn proto(&self, wish: Wish) -> &'static str {
        match (self.tls, wish) {
            (true, Wish::WebSocket) => "wss",
            (true, Wish::None) => "https",
            (false, Wish::WebSocket) => "ws",
            (false, Wish::None) => "http",
        }
    }

    /// Traefik: set where absent or empty; the server name always.
    fn complete(
        &self,
        headers: &mut HeaderMap,
        wish: Wish,
        is_said: impl Fn(&HeaderMap, &HeaderName) -> bool,
    ) {
        if !is_said(headers, &REAL_IP) {
            headers.insert(REAL_IP, self.address.clone());
        }
        if !is_said(headers, &PROTO) {
            headers.insert(PROTO, HeaderValue::from_static(self.proto(wish)));
        }
        if !is_said(headers, &PORT) {
            let port = self.port(headers);
            headers.insert(PORT, port);
        }
        if !is_said(headers, &HOST)
            && let Some(host) = headers.get(http::header::HOST).filter(|host| !host.is_empty())
        {
            let host = host.clone();
            headers.insert(HOST, host);
        }
        if let Some(name) = server_name() {
            headers.insert(SERVER, name);
        }
    }

    fn port(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(port) = headers.get(http::header::HOST).and_then(port_of) {
            return port;
        }
        let proto = headers.get(PROTO).map(HeaderValue::as_bytes);
        let secure = self.tls || matches!(proto, Some(b"https" | b"wss"));
        HeaderValue::from_static(if secure { "443" } else { "80" })
    }
}

/// The port that a host names.
fn port_of(host: &HeaderValue) -> Option<HeaderValue> {
    let (_, port) = host.to_str().ok()?.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then(|| HeaderValue::from_str(port).ok())?
}

fn is_said(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// Whether `name`, as servers that fold characters may read it, is one of the managed headers.
pub fn is_alias_of_managed(name: &HeaderName) -> bool {
    let text = name.as_str();
    if !text.bytes().any(is_alias_byte) {
        return false;
    }
    let folded: String =
        text.chars().map(|c| if is_alias_byte(c as u8) { '-' } else { c }).collect();
    MANAGED.iter().any(|managed| managed.as_str() == folded)
}

/// Characters of header names that some servers take for `-` (CGI turns all of them into `_`).
pub fn is_alias_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'.'
            | b'^'
            | b'`'
            | b'|'
            | b'~'
            | b'_'
    )
}

fn remove_managed(headers: &mut HeaderMap) {
    // One scan tells for nearly every request that there is nothing to remove.
    let suspicious = |name: &HeaderName| {
        name.as_str().starts_with('x') && (MANAGED.contains(name) || is_alias_of_managed(name))
    };
    if !headers.keys().any(suspicious) {
        return;
    }
    let names: Vec<HeaderName> = headers.keys().filter(|name| suspicious(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// A client's `Connection` may not take away managed headers; what else it lists goes now, unless `allowed` (then it
/// goes before the server).
fn guard_connection(headers: &mut HeaderMap, allowed: &[HeaderName]) {
    let listed: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(',').map(|item| item.trim().to_owned()))
        .filter(|item| !item.is_empty())
        .collect();
    let mut kept = Vec::new();
    for item in listed {
        let Ok(name) = HeaderName::try_from(item.as_str()) else { continue };
        if MANAGED.contains(&name) {
            continue;
        }
        let is_option = matches!(name.as_str(), "close" | "keep-alive" | "upgrade" | "te");
        if is_option || allowed.contains(&name) {
            kept.push(item);
        } else if name != http::header::HOST {
            headers.remove(name);
        }
    }
    headers.remove(CONNECTION);
    if let Ok(value) = HeaderValue::from_str(&kept.join(", "))
        && !kept.is_empty()
    {
        headers.insert(CONNECTION, value);
    }
}

/// The name of this machine.
fn server_name() -> Option<HeaderValue> {
    static NAME: OnceLock<Option<HeaderValue>> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = nix::unistd::gethostname().ok()?;
        HeaderValue::from_str(name.to_str()?).ok()
    })
    .clone()
}
