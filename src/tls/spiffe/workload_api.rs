//! The SPIFFE Workload API: an agent on this machine gives the process its identities and the roots, and tells of every
//! change on one stream (SPIFFE Workload API standard, section 5).

mod grpc;
mod messages;

use std::sync::Arc;
use std::time::Duration;

use super::{Bundle, Holder, Svid};
use crate::install::WorkloadApi;
use crate::net::task;
use messages::X509SvidResponse;

/// The pause before the agent is asked again: it doubles from the first to the last, each time up to a fifth longer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The procedure that gives identities.
const FETCH: &str = "/SpiffeWorkloadAPI/FetchX509SVID";

/// Keeps `holder` as the agent at `api` says, for the life of the process. What it gave is used until it says otherwise, also
/// while it is gone. Traefik waits for the first answer before it starts; here handshakes that need one fail until then.
pub fn start(api: WorkloadApi, holder: Arc<Holder>) -> tokio::task::JoinHandle<()> {
    task::spawn_control(run(api, holder))
}

async fn run(api: WorkloadApi, holder: Arc<Holder>) {
    let mut pause = PAUSES.0;
    loop {
        let mut heard = false;
        let outcome = grpc::stream(&api, FETCH, |message| {
            heard = true;
            take(message, &holder);
        });
        let error = outcome.await;
        if heard {
            pause = PAUSES.0;
        }
        let wait = pause + pause.mul_f32(fastrand::f32() / 5.0);
        tracing::warn!(%error, "the SPIFFE Workload API is gone; it is asked again in {wait:.1?}");
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Takes an answer over as a whole: what it does not name is no longer ours. One that cannot be understood changes nothing.
fn take(message: &[u8], holder: &Holder) {
    match understand(message) {
        Ok((svids, bundle)) => {
            for svid in &svids {
                let until = jiff::Timestamp::try_from(svid.not_after).unwrap_or_default();
                tracing::info!(id = %svid.id, %until, "the SPIFFE Workload API gave an identity");
            }
            holder.replace(svids, bundle);
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the SPIFFE Workload API is not usable; the last one stays");
        }
    }
}

fn understand(message: &[u8]) -> Result<(Vec<Svid>, Bundle), String> {
    let response: X509SvidResponse =
        prost::Message::decode(message).map_err(|error| error.to_string())?;
    let mut bundle = Bundle::default();
    let mut svids = Vec::with_capacity(response.svids.len());
    for message in response.svids {
        let about = |error: String| format!("`{}`: {error}", message.spiffe_id);
        let (svid, roots) = message.read().map_err(about)?;
        bundle.add(svid.id.trust_domain(), roots).map_err(about)?;
        svids.push(svid);
    }
    if svids.is_empty() {
        return Err("it names no identity".to_owned());
    }
    for (domain, roots) in &response.federated_bundles {
        let name = domain.strip_prefix("spiffe://").unwrap_or(domain);
        bundle.add(name, messages::certificates(roots)?)?;
    }
    Ok((svids, bundle))
}

#[cfg(test)]
pub(in crate::tls) mod tests;
