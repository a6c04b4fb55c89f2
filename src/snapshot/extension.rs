//! `Extension`: a part of the gateway that stands beside routing and makes some of it: the mesh.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ::prometheus::proto::MetricFamily;
use portcullis_middlewares::Later;
use serde_json::Value;
use tokio::net::TcpStream;

use super::Snapshot;
use super::configuration::Configuration;
use crate::net::drain::Drain;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::upstream::dial::Dial;

/// A part of the gateway that stands beside routing and makes some of it.
pub trait Extension: fmt::Debug + Send + Sync {
    /// Begins what goes on beside requests, once, on the control runtime. The error ends the start of the gateway.
    fn begin(&self, running: Running) -> Result<(), String>;

    /// Adds to a merged configuration what follows from it, and the problems found on the way.
    fn extend(&self, configuration: &mut Configuration);

    /// What was extended last is served from now on.
    fn published(&self, configuration: &Configuration);

    /// Whoever reaches servers behind tunnels as `identity`, a SPIFFE id. The error says why nobody does.
    fn dialer(&self, identity: &str) -> Result<Arc<dyn Dial>, String>;

    /// Whether connections of an entry point are for [`Extension::take`].
    fn takes(&self, entry_point: &str) -> bool;

    /// Serves a connection to its end.
    fn take(self: Arc<Self>, stream: TcpStream, peer: SocketAddr)
    -> Later<'static, io::Result<()>>;

    /// What it counts.
    fn families(&self) -> Vec<MetricFamily>;

    /// What it shows to operators.
    fn status(&self) -> Value;
}

/// The gateway as it runs.
#[derive(Debug)]
pub struct Running {
    /// The newest snapshot.
    pub live: Arc<Live<Snapshot>>,
    /// Takes records.
    pub observer: Arc<Observer>,
    /// Told when the gateway ends.
    pub drain: Drain,
}
