//! What snapshots are compiled in, from the install configuration.

use std::sync::Arc;

use super::{internal, settings};
use crate::install::{Install, Protocol};
use crate::observe::series::{EntryPointSeries, Switch};
use crate::snapshot::compile::Context;
use crate::snapshot::extension::Extension;
use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::spiffe::Holder;

/// What snapshots are compiled in.
pub(super) fn context(
    install: &Install,
    shared: &mut internal::Services,
) -> anyhow::Result<Context> {
    let entry_points = install
        .entry_points
        .iter()
        .filter(|(_, entry_point)| entry_point.address.protocol() == Protocol::Tcp)
        .map(|(name, entry_point)| {
            let mut series = EntryPointSeries::new(name);
            if let Some(settings) = &entry_point.observability {
                series.access_log = Switch::of(Some(settings.access_logs));
                series.metrics = Switch::of(Some(settings.metrics));
            }
            (settings::defaults(name, entry_point, install), Arc::new(series))
        })
        .collect();
    Ok(Context {
        entry_points,
        internal: std::mem::take(&mut shared.by_name),
        udp_entry_points: udp_entry_points(install),
        default_transport: settings::default_transport(&install.servers_transport),
        default_tcp_transport: settings::default_tcp_transport(&install.tcp_servers_transport),
        tls: Configurations::with_resolvers(&install.certificates_resolvers)
            .map_err(anyhow::Error::msg)?
            .stapling(install.ocsp.as_ref()),
        spiffe: install.spiffe.as_ref().filter(|it| it.is_on()).map(|_| Holder::new()),
        conflicts: if install.core.strict_tls_options {
            Conflicts::Refuse
        } else {
            Conflicts::FallBack
        },
        extension: extension(install)?,
    })
}

/// The names of the UDP entry points.
fn udp_entry_points(install: &Install) -> Vec<Arc<str>> {
    let entry_points = install.entry_points.iter();
    let udp = entry_points.filter(|(_, it)| it.address.protocol() == Protocol::Udp);
    udp.map(|(name, _)| Arc::from(name.as_str())).collect()
}

/// Makes an extension, if the install configuration asks for it.
type Extend = fn(&Install) -> Result<Option<Arc<dyn Extension>>, String>;

/// All that stands beside routing.
const EXTENSIONS: &[Extend] = &[crate::mesh::extension];

fn extension(install: &Install) -> anyhow::Result<Option<Arc<dyn Extension>>> {
    for extend in EXTENSIONS {
        if let Some(extension) = extend(install).map_err(anyhow::Error::msg)? {
            return Ok(Some(extension));
        }
    }
    Ok(None)
}
