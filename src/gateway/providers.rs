//! Providers, and what brings their words to the live snapshot.

use std::sync::Arc;

use anyhow::Context as _;
use portcullis_config::Problem;
use portcullis_config::problem::Severity;
use portcullis_providers::State;

use super::internal;
use crate::install::Install;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::reload::watch::{Pace, Reload};
use crate::snapshot::Snapshot;
use crate::snapshot::compile::Context;

/// The providers, and what brings their words to the live snapshot.
pub(super) fn reload(
    install: &Install,
    context: Arc<Context>,
    live: Arc<Live<Snapshot>>,
    observer: &Arc<Observer>,
) -> anyhow::Result<(Reload, Vec<State>)> {
    let pace = match install.providers.providers_throttle_duration.and_then(|d| d.positive()) {
        Some(pause) => Pace::Throttle(pause),
        None => Pace::Quiet,
    };
    let mut reload = Reload::new(context, live, Arc::clone(observer), pace);
    reload.add_internal(internal::routing(install));
    let mut states = Vec::new();
    for (name, options) in install.providers.served() {
        let kind = portcullis_providers::Kind::find(name)
            .with_context(|| format!("provider `{name}` is not part of this build"))?;
        let provider =
            (kind.build)(options).map_err(|problems| anyhow::anyhow!(lines(&problems)))?;
        states.push(reload.add(provider));
    }
    Ok((reload, states))
}

fn lines(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
