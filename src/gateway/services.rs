//! Services beside the entry points: what runs for the gateway as a whole. They begin with it and end with it.

use std::sync::Arc;

use anyhow::Context as _;

use crate::install::Install;
use crate::net::drain::Drain;
use crate::net::stage::Staged;
use crate::net::{memory, task};
use crate::snapshot::compile::Context;
use crate::tls::spiffe::workload_api;
use crate::upstream::pool;

/// What services are given; whatever else of the gateway one needs is added here.
pub(super) struct Ground<'a> {
    pub(super) install: &'a Install,
    pub(super) context: &'a Arc<Context>,
    /// What a service holds goes on to its end, within the grace time.
    pub(super) drain: Drain,
    /// Tells when a service may do what only one process may, and when it has to stop that.
    pub(super) staged: Staged,
}

/// Begins a service; an error ends the gateway. What it spawns watches `staged`, or may be cut off at any time.
type Begin = fn(&Ground<'_>) -> anyhow::Result<()>;

/// All services, in the order in which they begin.
const SERVICES: &[(&str, Begin)] = &[
    ("certificates", certificates),
    ("OCSP", ocsp),
    ("SPIFFE", identities),
    ("idle connections", idle_connections),
    ("memory", memory),
];

/// Begins all services.
pub(super) fn begin(ground: &Ground<'_>) -> anyhow::Result<()> {
    for (name, begin) in SERVICES {
        begin(ground).with_context(|| format!("{name}: cannot begin"))?;
    }
    Ok(())
}

fn certificates(ground: &Ground<'_>) -> anyhow::Result<()> {
    ground.context.tls.acme().start(&ground.staged, &ground.drain);
    Ok(())
}

fn ocsp(ground: &Ground<'_>) -> anyhow::Result<()> {
    ground.context.tls.ocsp().start();
    Ok(())
}

/// Takes identities from an agent.
fn identities(ground: &Ground<'_>) -> anyhow::Result<()> {
    if let (Some(spiffe), Some(holder)) = (&ground.install.spiffe, &ground.context.spiffe) {
        let address = spiffe.address().map_err(anyhow::Error::msg)?;
        drop(workload_api::start(address, Arc::clone(holder)));
    }
    Ok(())
}

/// Closes connections to servers that nobody has used for a while.
fn idle_connections(_: &Ground<'_>) -> anyhow::Result<()> {
    task::spawn(pool::sweep_forever());
    Ok(())
}

fn memory(_: &Ground<'_>) -> anyhow::Result<()> {
    Ok(memory::watch()?)
}
