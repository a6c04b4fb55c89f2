//! `Server`: one address of a TCP service.

use std::sync::Arc;

use portcullis_config::routing::mesh::Tunnel;

use super::counts::Counts;
use super::transport::Transport;
use crate::upstream::resolve::Host;
use crate::upstream::standing::Standing;

/// One address of a TCP service.
#[derive(Debug)]
pub struct Server {
    /// `host:port` as the user wrote it.
    pub address: Arc<str>,
    /// Its parts.
    pub place: Place,
    /// Whether it wants TLS.
    pub security: Security,
    /// How it is reached.
    pub transport: Arc<Transport>,
    /// What its health check found.
    pub standing: Arc<Standing>,
    /// Of its service.
    pub counts: Arc<Counts>,
    /// The full name of its service.
    pub service: Arc<str>,
}

/// A host and a port.
#[derive(Clone, Debug)]
pub struct Place {
    /// The host without brackets.
    pub host: Box<str>,
    /// Its addresses.
    pub name: Arc<Host>,
    /// The port.
    pub port: u16,
    /// How the mesh reaches it.
    pub tunnel: Option<Arc<Tunnel>>,
}

/// Whether a server wants TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// It does not.
    Plain,
    /// It does.
    Tls,
}

/// Checks `host:port` and gives the host without brackets.
pub fn parse(address: &str) -> Result<(&str, u16), String> {
    let wrong =
        |what: &str| format!("server address `{address}`: {what}, expected such as 10.0.0.1:5432");
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(host) => host,
        None if host.contains([':', '[', ']']) => {
            return Err(wrong("an IPv6 address needs brackets"));
        }
        None => host,
    };
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0);
    Ok((host, port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(parse("db.internal:5432"), Ok(("db.internal", 5432)));
        assert_eq!(parse("[::1]:53"), Ok(("::1", 53)));
        for (address, what) in [
            ("db", "port is missing"),
            ("::1:53", "brackets"),
            (":53", "host is missing"),
            ("db:http", "no number"),
            ("db:0", "no number"),
            ("db:+5", "no number"),
            ("db:70000", "no number"),
            ("tcp://db:1", "brackets"),
        ] {
            let error = parse(address).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
