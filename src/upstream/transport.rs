//! `Transport`: how servers are reached, compiled from a `serversTransport`.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::routing::http::{ForwardingTimeouts, ServersTransport};

use super::dial::Dial;
use crate::net::task;
use crate::tls::client::ClientTls;

/// How servers are reached.
#[derive(Debug)]
pub struct Transport {
    /// Limit to connect and, for TLS, to shake hands.
    pub dial_timeout: Option<Duration>,
    /// Limit from the request's end to the response head.
    pub response_header_timeout: Option<Duration>,
    /// Idle connections are closed after it.
    pub idle_timeout: Option<Duration>,
    /// HTTP/2: silence before a ping.
    pub ping_after: Option<Duration>,
    /// HTTP/2: how long a ping may take.
    pub ping_timeout: Duration,
    /// Idle connections that each worker keeps for one server; 0 = no reuse.
    pub idle_per_worker: usize,
    /// For `https` servers.
    pub tls: ClientTls,
    /// Reaches servers behind tunnels; without it servers are connected to directly.
    pub dialer: Option<Arc<dyn Dial>>,
}

impl Transport {
    /// Compiles the settings; `tls` has been made from the same ones.
    pub fn new(settings: &ServersTransport, tls: ClientTls) -> Self {
        let timeouts = settings.forwarding_timeouts.clone().unwrap_or_default();
        let ForwardingTimeouts { dial_timeout, response_header_timeout, .. } = timeouts;
        // Traefik: 0 means Go's default of two idle connections.
        let idle = match settings.max_idle_conns_per_host {
            0 => 2,
            negative if negative < 0 => 0,
            count => count as usize,
        };
        Self {
            dial_timeout: dial_timeout.positive(),
            response_header_timeout: response_header_timeout.positive(),
            idle_timeout: timeouts.idle_conn_timeout.positive(),
            ping_after: timeouts.read_idle_timeout.positive(),
            ping_timeout: timeouts.ping_timeout.positive().unwrap_or(Duration::from_secs(15)),
            idle_per_worker: idle.div_ceil(task::workers()),
            tls,
            dialer: None,
        }
    }

    /// The same transport, by this dialer.
    pub fn by(self, dialer: Option<Arc<dyn Dial>>) -> Self {
        Self { dialer, ..self }
    }
}
