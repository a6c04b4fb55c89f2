//! The process that has the authority: signs for itself and opens the door for nodes.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::CACHE;
use crate::mesh::authority::ca::Lives;
use crate::mesh::authority::cache::{self, Cache};
use crate::mesh::authority::csr::NewKey;
use crate::mesh::authority::grant::Placement;
use crate::mesh::authority::issuer::Issuer;
use crate::mesh::authority::keeper::{Issue, Keeper, half_is_over};
use crate::mesh::authority::message::{self, Issued};
use crate::mesh::authority::server;
use crate::net::task;
use crate::tls::spiffe::{self, Holder, Id, Svid};

/// How often the files of the authority are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Folder and name of the node.
type About = (PathBuf, String);

pub(super) fn start(
    (directory, node): About,
    trust_domain: &str,
    (listener, lives, placement): (Option<TcpListener>, Lives, Arc<dyn Placement>),
    holder: &Arc<Holder>,
) -> Result<Arc<Keeper>, String> {
    let issuer = Issuer::open(&directory, lives, placement).map_err(|error| error.to_string())?;
    let issuer = Arc::new(issuer);
    if issuer.trust_domain() != trust_domain {
        let found = issuer.trust_domain();
        return Err(format!("the authority is of trust domain `{found}`, not `{trust_domain}`"));
    }
    let id = |id: Result<Id, spiffe::IdError>| id.map_err(|error| error.to_string());
    let own = id(Id::node(trust_domain, &node))?;
    let control = id(Id::control(trust_domain, &node))?;
    holder.set_bundle(cache::bundle(&issuer.roots())?);
    holder.set_default(own.clone());
    let cache = Arc::new(Cache::open(directory.join(CACHE)));
    let local = Arc::new(Local(Arc::clone(&issuer)));
    let keeper = Keeper::new(holder, &cache, local, &Arc::new(Notify::new()));
    keeper.want(&own);
    // The door's own identity, whose chain ends with the root: nodes know the root by the pin in their token.
    let door = Holder::new();
    door.set_bundle(cache::bundle(&issuer.roots())?);
    door.put(door_identity(&issuer, &control)?);
    let tls = spiffe::server_config_for_any(&door, &control);
    task::spawn_control(watch(Arc::clone(&issuer), control, door, Arc::downgrade(&keeper)));
    if let Some(listener) = listener {
        task::spawn_control(server::serve(listener, tls, issuer));
    }
    Ok(keeper)
}

/// Signs in this process.
struct Local(Arc<Issuer>);

impl Issue for Local {
    fn issue<'a>(&'a self, id: &'a Id, request: &'a [u8]) -> BoxFuture<'a, Result<Issued, String>> {
        let issued = self.0.sign(id, request).map_err(|refused| refused.to_string());
        Box::pin(std::future::ready(issued))
    }
}

fn door_identity(issuer: &Issuer, control: &Id) -> Result<Svid, String> {
    let key = NewKey::new()?;
    let issued = issuer.sign(control, &key.request).map_err(|refused| refused.to_string())?;
    let mut chain = message::unpacked(issued.chain);
    chain.push(issuer.root());
    let private: PrivateKeyDer<'static> = key.private();
    Svid::new(chain, private)
}

/// Looks after the authority's files and the door's identity for as long as somebody has the keeper.
async fn watch(issuer: Arc<Issuer>, control: Id, door: Arc<Holder>, keeper: Weak<Keeper>) {
    let mut broken = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(holder) = keeper.upgrade().map(|keeper| Arc::clone(keeper.holder())) else {
            return;
        };
        let (looking, at_door) = (Arc::clone(&issuer), Arc::clone(&door));
        let look = tokio::task::spawn_blocking(move || {
            looking.refresh(|roots| match cache::bundle(roots) {
                Ok(bundle) => {
                    holder.set_bundle(bundle.clone());
                    at_door.set_bundle(bundle);
                }
                Err(error) => tracing::error!(%error, "the roots of the authority are not usable"),
            })
        });
        let changed = match look.await {
            Ok(Ok(changed)) => {
                broken = false;
                changed
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut broken, true) {
                    tracing::error!(%error, "the authority cannot be read; what was read before goes on");
                }
                false
            }
            Err(_) => false,
        };
        if changed || door.default_svid().is_none_or(|svid| half_is_over(&svid)) {
            match door_identity(&issuer, &control) {
                Ok(svid) => door.put(svid),
                Err(error) => tracing::error!(%error, "the authority has no identity of its own"),
            }
        }
    }
}
