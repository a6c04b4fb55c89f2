//! The mesh: the edge's engine with tunnels between nodes.
//!
//! ```text
//! mesh.workloads, .services, .policies ─▶ Catalog ─▶ translate ─▶ ordinary services, routers, transports
//!                                            │
//!   router ─▶ balancer ─▶ Outbound ─▶ tunnel │═ CONNECT over mutual TLS ═▶ tunnel ─▶ Inbound ─▶ policies ─▶ workload
//!                             └── the same node: a pipe ──────────────────────────────▲
//! ```

mod accept;
pub mod authority;
pub mod catalog;
pub mod figures;
mod identity;
pub mod inbound;
pub mod node;
pub mod outbound;
pub mod policy;
pub mod state;
mod status;
pub mod translate;
pub mod tunnel;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::prometheus::proto::MetricFamily;
use indexmap::IndexMap;
use parking_lot::Mutex;
use portcullis_config::Problem;
use portcullis_config::routing::mesh::Policy;
use portcullis_middlewares::Later;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::accept::Acceptor;
use self::catalog::Catalog;
use self::figures::Figures;
use self::identity::Identities;
use self::inbound::Inbound;
use self::node::Node;
use self::outbound::Outbound;
use self::policy::Policies;
use self::state::State;
use self::tunnel::pool::Pool;
use crate::install::{self, Install};
use crate::net::live::Live;
use crate::net::task;
use crate::observe::series::EntryPointSeries;
use crate::snapshot::configuration::Configuration;
use crate::snapshot::extension::{Extension, Running};
use crate::tls::spiffe::{Holder, Id};
use crate::upstream::dial::Dial;

/// This process's part in the mesh.
pub struct Mesh {
    own: Arc<Node>,
    settings: install::Mesh,
    holder: Arc<Holder>,
    pool: Arc<Pool>,
    outbound: Arc<Outbound>,
    figures: Arc<Figures>,
    state: Arc<Live<State>>,
    /// What was extended and is not served yet.
    next: Mutex<Option<State>>,
    /// Counts the states.
    changes: watch::Sender<u64>,
    acceptor: OnceLock<Acceptor>,
    identities: OnceLock<Identities>,
}

/// The mesh, if the install configuration gives this process a part in one. The error names the field.
pub fn extension(install: &Install) -> Result<Option<Arc<dyn Extension>>, String> {
    let Some(settings) = &install.mesh else { return Ok(None) };
    Ok(Some(Mesh::new(settings.clone(), Holder::new())?))
}

/// How often unused figures are forgotten.
const SWEEP: Duration = Duration::from_mins(1);

impl Mesh {
    /// A part that knows of nobody yet. `holder` has, or will have, the identities of this node.
    pub fn new(settings: install::Mesh, holder: Arc<Holder>) -> Result<Arc<Self>, String> {
        let own = Arc::new(Node::new(&settings)?);
        let pool = Pool::new(Arc::clone(&holder));
        let figures = Arc::<Figures>::default();
        let catalog = Catalog::default();
        let (policies, _) = compile(&Default::default(), &catalog, &settings, &figures);
        let state = State { catalog, policies };
        Ok(Arc::new(Self {
            outbound: Outbound::new(Arc::clone(&own), Arc::clone(&pool), Arc::clone(&figures)),
            own,
            settings,
            holder,
            pool,
            figures,
            state: Arc::new(Live::new(Arc::new(state))),
            next: Mutex::default(),
            changes: watch::Sender::new(0),
            acceptor: OnceLock::new(),
            identities: OnceLock::new(),
        }))
    }
}

fn compile(
    policies: &IndexMap<String, Policy>,
    catalog: &Catalog,
    settings: &install::Mesh,
    figures: &Figures,
) -> (Policies, Vec<Problem>) {
    let ground = policy::Ground {
        default: settings.default_policy,
        trust_domain: &settings.trust_domain,
        catalog,
        counts: &|name| figures.policy(name),
    };
    Policies::compile(policies, &ground)
}

impl Extension for Mesh {
    fn begin(&self, running: Running) -> Result<(), String> {
        let Running { live, observer, drain } = running;
        let identities = Identities::begin(&self.settings, &self.own, &self.holder, &self.state)?;
        let _ = self.identities.set(identities);
        task::spawn_control(Pool::sweep(Arc::downgrade(&self.pool)));
        let figures = Arc::downgrade(&self.figures);
        task::spawn_control(async move {
            let mut tick = tokio::time::interval(SWEEP);
            while let Some(figures) = figures.upgrade() {
                figures.sweep(Instant::now());
                drop(figures);
                tick.tick().await;
            }
        });
        if !self.own.speaks_for_workloads {
            return Ok(());
        }
        let inbound = Arc::new(Inbound {
            state: Arc::clone(&self.state),
            changes: self.changes.subscribe(),
            live,
            observer,
            series: Arc::new(EntryPointSeries::new(install::Mesh::TUNNELS)),
            figures: Arc::clone(&self.figures),
            drain: drain.clone(),
        });
        let _ = self.outbound.inbound.set(Arc::clone(&inbound));
        let _ = self.acceptor.set(Acceptor::new(&self.holder, inbound, drain));
        Ok(())
    }

    fn extend(&self, configuration: &mut Configuration) {
        let (catalog, mut problems) = Catalog::compile(&configuration.mesh, &self.own);
        let (policies, more) =
            compile(&configuration.mesh.policies, &catalog, &self.settings, &self.figures);
        problems.extend(more);
        translate::translate(&catalog, &self.own, configuration);
        for problem in problems {
            let at = problem.at.clone().or_else(|| configuration.place(&problem.about));
            configuration.problems.push(problem.at(at));
        }
        *self.next.lock() = Some(State { catalog, policies });
    }

    fn published(&self, _: &Configuration) {
        if let Some(next) = self.next.lock().take() {
            if let Some(identities) = self.identities.get() {
                identities.follow(&next.catalog, &self.own);
            }
            self.state.store(Arc::new(next));
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn dialer(&self, identity: &str) -> Result<Arc<dyn Dial>, String> {
        let caller = Id::parse(identity).map_err(|error| error.to_string())?;
        Ok(self.outbound.dialer(caller))
    }

    fn takes(&self, entry_point: &str) -> bool {
        entry_point == install::Mesh::TUNNELS
    }

    fn take(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Later<'static, io::Result<()>> {
        Box::pin(async move {
            match self.acceptor.get() {
                Some(acceptor) => acceptor.take(stream, peer).await,
                // Nothing arrives before the gateway has begun.
                None => Ok(()),
            }
        })
    }

    fn families(&self) -> Vec<MetricFamily> {
        let mut families = self.figures.families();
        families.extend(status::families(self));
        families
    }

    fn status(&self) -> Value {
        status::status(self)
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("own", &self.own).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
