//! `Address`: the address of an entry point, `[host]:port[/tcp|/udp]`, parsed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where an entry point listens. Shows and serialises as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    host: Host,
    port: u16,
    protocol: Protocol,
}

/// The addresses of this machine that an entry point listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// All of them, IPv4 and IPv6.
    ///
    /// Traefik: also when the host is written `0.0.0.0` or `[::]`; Go listens on both families then.
    Any,
    /// This one.
    Ip(IpAddr),
    /// Those that this name resolves to; also IPv6 addresses with a zone (`fe80::1%eth0`).
    Name(String),
}

/// What arrives at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP connections: HTTP, TLS or raw.
    #[default]
    Tcp,
    /// UDP datagrams.
    Udp,
}

impl Address {
    /// All addresses of this machine at `port`, TCP.
    pub fn any(port: u16) -> Self {
        Self { text: format!(":{port}"), host: Host::Any, port, protocol: Protocol::Tcp }
    }

    /// Which addresses of this machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port; 0 = a free one that the system picks.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// TCP or UDP.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the configuration says no address; such an entry point needs a socket from systemd.
    pub fn is_unset(&self) -> bool {
        self.text.is_empty()
    }

    /// The text without the protocol, `:80`.
    pub fn host_and_port(&self) -> &str {
        self.text.split_once('/').map_or(&*self.text, |(front, _)| front)
    }
}

/// No address.
impl Default for Address {
    fn default() -> Self {
        Self { text: String::new(), host: Host::Any, port: 0, protocol: Protocol::Tcp }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (front, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((front, word)) if word.eq_ignore_ascii_case("tcp") => (front, Protocol::Tcp),
            Some((front, word)) if word.eq_ignore_ascii_case("udp") => (front, Protocol::Udp),
            Some((_, word)) => {
                return Err(format!("`{text}` ends in `/{word}`; expected `/tcp` or `/udp`"));
            }
        };
        let (host, port) = split(front).ok_or_else(|| {
            format!("`{text}` has no port; expected `[host]:port`, such as `:80`")
        })?;
        let port = port
            .parse()
            .map_err(|_| format!("`{port}` in `{text}` is not a port; expected 0 to 65535"))?;
        let host = Host::parse(host)
            .ok_or_else(|| format!("`{host}` in `{text}` is neither a name nor an address; write IPv6 addresses in brackets, `[::1]:80`"))?;
        Ok(Self { text: text.to_owned(), host, port, protocol })
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = inner.unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => Some(Self::Any),
            Ok(address) if inner.is_some() || address.is_ipv4() => Some(Self::Ip(address)),
            Ok(_) => None,
            Err(_) if text.is_empty() => Some(Self::Any),
            Err(_) if inner.is_some() => bare.contains('%').then(|| Self::Name(bare.to_owned())),
            Err(_) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                bare.chars().all(fits).then(|| Self::Name(bare.to_owned()))
            }
        }
    }
}

/// Splits at the last colon that is not part of a bracketed host.
fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    (!port.contains(']')).then_some((host, port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_alone_listens_everywhere() {
        for text in [":80", "0.0.0.0:80", "[::]:80"] {
            assert_eq!((address(text).host(), address(text).port()), (&Host::Any, 80), "{text}");
        }
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        assert_eq!(address("127.0.0.1:8080").host(), &Host::Ip([127, 0, 0, 1].into()));
        assert_eq!(address("[::1]:8080").host(), &Host::Ip("::1".parse().unwrap()));
        assert_eq!(address("localhost:8080").host(), &Host::Name("localhost".to_owned()));
        assert_eq!(address("[fe80::1%eth0]:1").host(), &Host::Name("fe80::1%eth0".to_owned()));
    }

    #[test]
    fn the_protocol_comes_last_in_any_case() {
        assert_eq!(address(":53/udp").protocol(), Protocol::Udp);
        assert_eq!(address(":53/UDP").protocol(), Protocol::Udp);
        assert_eq!(address(":53/tcp").protocol(), Protocol::Tcp);
        assert_eq!(address(":53/udp").host_and_port(), ":53");
        assert_eq!(address(":53/udp").to_string(), ":53/udp");
    }

    #[test]
    fn bad_addresses_are_refused_with_what_was_expected() {
        let cases = [
            ("80", "has no port"),
            ("localhost", "has no port"),
            (":http", "is not a port"),
            (":70000", "is not a port"),
            (":80/sctp", "expected `/tcp` or `/udp`"),
            ("::1:80", "brackets"),
            ("[::1]", "has no port"),
            ("a b:80", "neither a name nor an address"),
        ];
        for (text, part) in cases {
            let message = text.parse::<Address>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
