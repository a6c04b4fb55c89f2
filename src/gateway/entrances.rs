//! Entry points before they are open: what serves those who come in.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use super::settings;
use crate::entrypoint::http::Http;
use crate::entrypoint::tcp::Entrance;
use crate::install::Install;
use crate::net::drain::Drainer;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::Context;
use crate::tls::acme::Acme;
use crate::udp::relay::Relay;

/// The TCP entry points.
pub(super) fn entrances(
    install: &Install,
    context: &Context,
    live: &Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
    drainer: &Drainer,
) -> anyhow::Result<Vec<Arc<Entrance>>> {
    let mut entrances = Vec::new();
    for (index, (defaults, _)) in context.entry_points.iter().enumerate() {
        let Some(entry_point) = install.entry_points.get(&*defaults.name) else { continue };
        let about = || format!("entry point `{}`", defaults.name);
        let settings = settings::http(entry_point, install).map_err(anyhow::Error::msg);
        let settings = settings.with_context(about)?;
        let trust = settings::proxy_protocol(entry_point).map_err(anyhow::Error::msg);
        let proves = Acme::proves_on(&install.certificates_resolvers, &defaults.name);
        let resolves = !install.certificates_resolvers.is_empty();
        entrances.push(Arc::new(Entrance {
            name: Arc::clone(&defaults.name),
            handler: Arc::new(Http {
                index,
                live: Arc::clone(live),
                observer: Arc::clone(observer),
                denied: settings.denied_characters,
                challenges: proves.then(|| Arc::clone(context.tls.acme().challenges())),
                alternative: OnceLock::new(),
            }),
            settings: Arc::new(settings),
            proxy_protocol: trust.with_context(about)?,
            drain: drainer.drain(),
            observer: Arc::clone(observer),
            challenges: resolves.then(|| Arc::clone(context.tls.acme().challenges())),
            taker: context.extension.as_ref().filter(|it| it.takes(&defaults.name)).cloned(),
        }));
    }
    Ok(entrances)
}

/// The UDP entry points.
pub(super) fn relays(
    install: &Install,
    context: &Context,
    live: &Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
    drainer: &Drainer,
) -> Vec<Arc<Relay>> {
    let relay = |(index, name): (usize, &Arc<str>)| {
        let entry_point = install.entry_points.get(&**name)?;
        let live = Arc::clone(live);
        Some(Arc::new(Relay {
            name: Arc::clone(name),
            timeout: entry_point.udp.timeout.positive()?,
            drain: drainer.drain(),
            observer: Arc::clone(observer),
            route: Box::new(move || live.with(|snapshot| snapshot.udp.get(index)?.clone())),
        }))
    };
    context.udp_entry_points.iter().enumerate().filter_map(relay).collect()
}
