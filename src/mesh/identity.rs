//! Where the identities of this process come from, and which it wants.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::authority::{self, Keeper, Lives, Placed, Placement, Source};
use super::catalog::Catalog;
use super::node::Node;
use super::state::State;
use crate::install::{self, IdentitySource, MeshRole};
use crate::net::live::Live;
use crate::tls::spiffe::files::{self, Files};
use crate::tls::spiffe::{Holder, Id};

/// What obtains the identities of this process.
#[derive(Debug, Default)]
pub(super) struct Identities {
    keeper: Option<Arc<Keeper>>,
    /// Those of workloads that are kept.
    local: Mutex<HashSet<Id>>,
}

impl Identities {
    /// Begins to obtain identities for `holder`. The error names the field.
    pub(super) fn begin(
        settings: &install::Mesh,
        own: &Node,
        holder: &Arc<Holder>,
        state: &Arc<Live<State>>,
    ) -> Result<Self, String> {
        let source = match settings.identity.source {
            IdentitySource::File => {
                from_files(settings, holder)?;
                return Ok(Self::default());
            }
            IdentitySource::Builtin => match builtin(settings, state)? {
                Some(source) => source,
                // Without identities nothing is dialled and nothing accepted.
                None => return Ok(Self::default()),
            },
        };
        let settings = authority::Settings {
            directory: PathBuf::from(&settings.identity.directory),
            trust_domain: own.trust_domain.clone(),
            node: own.name.clone(),
            source,
        };
        let keeper = authority::start(settings, holder);
        let keeper = keeper.map_err(|error| format!("mesh.identity: {error}"))?;
        let callers = own.upstreams.iter().map(|upstream| &upstream.caller);
        own.edge.iter().chain(callers).for_each(|id| keeper.want(id));
        Ok(Self { keeper: Some(keeper), local: Mutex::default() })
    }

    /// Wants the identities of the workloads of this node, and those of workloads that have gone no more.
    pub(super) fn follow(&self, catalog: &Catalog, own: &Node) {
        let Some(keeper) = &self.keeper else { return };
        let here = catalog.workloads.values().filter(|workload| workload.is_local);
        let wanted: HashSet<Id> = here.map(|workload| workload.id.clone()).collect();
        let mut local = self.local.lock();
        let callers = |id: &Id| own.upstreams.iter().any(|upstream| upstream.caller == *id);
        for gone in local.iter().filter(|id| !wanted.contains(*id) && !callers(id)) {
            keeper.release(gone);
        }
        for id in &wanted {
            keeper.want(id);
        }
        *local = wanted;
    }
}

fn from_files(settings: &install::Mesh, holder: &Arc<Holder>) -> Result<(), String> {
    let identity = &settings.identity;
    if identity.svids.is_empty() || identity.bundle.is_empty() {
        return Err("mesh.identity: source `file` needs `svids` and `bundle`".to_owned());
    }
    let pair =
        |it: &install::IdentityFiles| (PathBuf::from(&it.cert_file), PathBuf::from(&it.key_file));
    let identities = identity.svids.iter().map(pair).collect();
    let files = Files { identities, bundle: PathBuf::from(&identity.bundle) };
    drop(files::start(files, Arc::clone(holder)));
    Ok(())
}

fn builtin(settings: &install::Mesh, state: &Arc<Live<State>>) -> Result<Option<Source>, String> {
    if settings.has(MeshRole::Control) {
        let address = &settings.identity.listen;
        let listener =
            if address.is_unset() { None } else { Some(listen(address.host_and_port())?) };
        let placement = Arc::new(ByCatalog(Arc::clone(state)));
        return Ok(Some(Source::Control { listener, lives: Lives::default(), placement }));
    }
    let Some(join) = &settings.join else { return Ok(None) };
    let token_file = (!join.token_file.is_empty()).then(|| PathBuf::from(&join.token_file));
    Ok(Some(Source::Join { control: join.control.clone(), token_file }))
}

fn listen(address: &str) -> Result<TcpListener, String> {
    let about = |error: std::io::Error| format!("mesh.identity.listen: {address}: {error}");
    let any =
        if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    let listener = std::net::TcpListener::bind(any).map_err(about)?;
    listener.set_nonblocking(true).map_err(about)?;
    TcpListener::from_std(listener).map_err(about)
}

/// The catalog says which accounts run where.
struct ByCatalog(Arc<Live<State>>);

impl Placement for ByCatalog {
    fn placed(&self, id: &Id, node: &str) -> Placed {
        self.0.with(|state| {
            let known = state.catalog.workloads.values().filter(|it| it.id == *id);
            let mut nodes = known.map(|it| it.tunnel.node == node).collect::<Vec<_>>().into_iter();
            match nodes.next() {
                None => Placed::Unknown,
                Some(first) if first || nodes.any(|here| here) => Placed::Here,
                Some(_) => Placed::Elsewhere,
            }
        })
    }
}
