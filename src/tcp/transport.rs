//! `Transport`: how TCP servers are reached, compiled from a `serversTransport`.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::tcp::{ProxyProtocol, ServersTransport, TransportTls};
use portcullis_config::routing::{http, tcp};

use crate::net::copy::Linger;
use crate::net::proxy_protocol::write::Version;
use crate::tls::client::ClientTls;
use crate::tls::spiffe::Holder;
use crate::upstream::dial::Dial;

/// How TCP servers are reached.
#[derive(Debug)]
pub struct Transport {
    /// Limit to connect and, where the server wants TLS, to shake hands.
    pub dial_timeout: Option<Duration>,
    /// Silence after which the kernel asks whether the server still lives.
    pub keep_alive: Option<Duration>,
    /// How long one way may go on after the other has ended.
    pub linger: Linger,
    /// Whether and how servers are told who the client is.
    pub proxy_protocol: Option<Version>,
    /// For servers that want TLS.
    pub tls: ClientTls,
    /// Reaches servers behind tunnels; without it servers are connected to directly.
    pub dialer: Option<Arc<dyn Dial>>,
}

impl Transport {
    /// Compiles `settings`, called `name` in problems; `holder` has our SPIFFE identities, if we may have any. `None` comes
    /// with an error problem; services that use the transport are broken then.
    pub fn compile(
        name: &str,
        settings: &ServersTransport,
        holder: Option<&Arc<Holder>>,
    ) -> (Option<Self>, Vec<Problem>) {
        let kind = Kind::TcpServersTransport;
        let version = match settings.proxy_protocol.as_ref().map(version).transpose() {
            Ok(version) => version,
            Err(message) => return (None, vec![Problem::error(kind, name, message)]),
        };
        let (tls, mut problems) = ClientTls::compile(name, &trust(settings), holder);
        for problem in &mut problems {
            problem.about.kind = kind;
        }
        let transport = tls.map(|tls| Self {
            dial_timeout: settings.dial_timeout.positive(),
            keep_alive: keep_alive(settings),
            linger: match settings.termination_delay {
                delay if delay.0 < 0 => Linger::Forever,
                delay => Linger::For(delay.positive().unwrap_or_default()),
            },
            proxy_protocol: version,
            tls,
            dialer: None,
        });
        (transport, problems)
    }

    /// The same transport, by this dialer.
    pub fn by(self, dialer: Option<Arc<dyn Dial>>) -> Self {
        Self { dialer, ..self }
    }

    /// Whether the files that `settings`, from which this was compiled, names still hold what they did.
    pub fn is_current(&self, settings: &ServersTransport) -> bool {
        self.tls.is_current(&trust(settings))
    }
}

/// The settings of a transport with what a service itself says, which is deprecated.
pub fn with_own(settings: &ServersTransport, service: &tcp::LoadBalancer) -> ServersTransport {
    let mut settings = settings.clone();
    if let Some(own) = &service.proxy_protocol {
        settings.proxy_protocol = Some(own.clone());
    }
    if let Some(milliseconds) = service.termination_delay {
        settings.termination_delay = portcullis_config::units::Duration::milliseconds(milliseconds);
    }
    settings
}

fn version(settings: &ProxyProtocol) -> Result<Version, String> {
    match settings.version {
        1 => Ok(Version::One),
        2 => Ok(Version::Two),
        other => Err(format!("proxyProtocol.version: expected 1 or 2, found {other}")),
    }
}

/// Traefik: 0 means 15 s.
fn keep_alive(settings: &ServersTransport) -> Option<Duration> {
    match settings.dial_keep_alive {
        period if period.0 < 0 => None,
        period => Some(period.positive().unwrap_or(Duration::from_secs(15))),
    }
}

/// The TLS part in the form that the client side of TLS knows.
fn trust(settings: &ServersTransport) -> http::ServersTransport {
    let TransportTls {
        server_name,
        insecure_skip_verify,
        root_cas,
        certificates,
        peer_cert_uri,
        spiffe,
    } = settings.tls.clone().unwrap_or_default();
    http::ServersTransport {
        server_name,
        insecure_skip_verify,
        root_cas,
        certificates,
        peer_cert_uri,
        spiffe,
        ..http::ServersTransport::default()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_config::routing::http::Spiffe;
    use portcullis_config::units::Duration as Setting;

    use super::*;

    fn compile(settings: &ServersTransport) -> Result<Transport, String> {
        let (transport, problems) = Transport::compile("t@file", settings, None);
        let error = problems.first().map(ToString::to_string).unwrap_or_default();
        transport.ok_or(error)
    }

    #[test]
    fn times_have_the_meaning_of_traefik() {
        let default = compile(&ServersTransport::default()).unwrap();
        assert_eq!(default.dial_timeout, Some(Duration::from_secs(30)));
        assert_eq!(default.keep_alive, Some(Duration::from_secs(15)));
        assert_eq!(default.linger, Linger::For(Duration::from_millis(100)));
        let settings = ServersTransport {
            dial_timeout: Setting(0),
            dial_keep_alive: Setting::seconds(-1),
            termination_delay: Setting::seconds(-1),
            ..ServersTransport::default()
        };
        let other = compile(&settings).unwrap();
        assert_eq!((other.dial_timeout, other.keep_alive), (None, None));
        assert_eq!(other.linger, Linger::Forever);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let proxy_protocol = Some(ProxyProtocol { version: 3 });
        let settings = ServersTransport { proxy_protocol, ..ServersTransport::default() };
        assert!(compile(&settings).unwrap_err().contains("proxyProtocol.version"));
        let tls = Some(TransportTls { spiffe: Some(Spiffe::default()), ..Default::default() });
        let settings = ServersTransport { tls, ..ServersTransport::default() };
        let error = compile(&settings).unwrap_err();
        assert!(error.starts_with("tcp serversTransport `t@file`: spiffe"), "{error}");
    }

    #[test]
    fn a_service_may_still_say_some_of_it_itself() {
        let service = tcp::LoadBalancer {
            proxy_protocol: Some(ProxyProtocol { version: 1 }),
            termination_delay: Some(250),
            ..tcp::LoadBalancer::default()
        };
        let transport = compile(&with_own(&ServersTransport::default(), &service)).unwrap();
        assert_eq!(transport.proxy_protocol, Some(Version::One));
        assert_eq!(transport.linger, Linger::For(Duration::from_millis(250)));
    }
}
