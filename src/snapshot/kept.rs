//! Equal configuration, same part: what a snapshot takes over from the one before.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::http::{Middleware, ServersTransport};
use portcullis_config::routing::tcp::ServersTransport as TcpServersTransport;
use portcullis_middlewares::Step;
use portcullis_middlewares::tcp::Gate;

use crate::upstream::endpoint::{Address, Endpoint};
use crate::upstream::resolve::Host;
use crate::upstream::service::Service;
use crate::upstream::transport::Transport;
use crate::{tcp, udp};

/// The parts of a snapshot by what they were made from.
#[derive(Default)]
pub struct Kept {
    /// Transports by their settings.
    pub transports: HashMap<ServersTransport, Arc<Transport>>,
    /// Endpoints, with their connections, by transport settings and address.
    pub endpoints: HashMap<(ServersTransport, Address), Arc<Endpoint>>,
    /// Steps, with their buckets, breakers and permits, by router and middleware.
    pub steps: HashMap<(Arc<str>, Name), Made>,
    /// Services by name; a balancer takes over positions and health from its predecessor.
    pub services: HashMap<Name, Arc<Service>>,
    /// What is kept for TCP.
    pub tcp: Tcp,
    /// UDP services by name.
    pub udp: HashMap<Name, Arc<udp::service::Service>>,
    /// Hosts of TCP and UDP servers, with their addresses, by name.
    pub hosts: HashMap<Box<str>, Arc<Host>>,
}

/// Steps and the settings they were made from.
pub type Made = (Arc<Middleware>, Vec<Step>);

/// The parts of TCP routers and services by what they were made from.
#[derive(Default)]
pub struct Tcp {
    /// Transports by their settings.
    pub transports: HashMap<TcpServersTransport, Arc<tcp::transport::Transport>>,
    /// Services by name; a balancer takes over position, health and counts from its predecessor.
    pub services: HashMap<Name, Arc<tcp::service::Service>>,
    /// Gates, with their counts, by router and middleware.
    pub gates: HashMap<(Arc<str>, Name), KeptGate>,
}

/// A gate and what it was made from.
pub type KeptGate = (Middleware, Arc<dyn Gate>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept")
            .field("endpoints", &self.endpoints.len())
            .field("steps", &self.steps.len())
            .field("services", &self.services.len())
            .finish_non_exhaustive()
    }
}
