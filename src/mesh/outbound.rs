//! `Outbound`: calls of this node, to workloads of other nodes through tunnels and to its own without leaving the process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use portcullis_config::routing::mesh::Tunnel;
use portcullis_middlewares::exchange::MeshCall;
use portcullis_middlewares::{Exchange, Later};

use super::figures::{Counting, Ends, Figures, Reporter, Series};
use super::inbound::{Call, Inbound};
use super::node::Node;
use super::tunnel::ask::{self, Place, Wanted};
use super::tunnel::pool::Pool;
use crate::net::task;
use crate::tls::spiffe::{Id, Refusal};
use crate::upstream::dial::{Dial, Duplex};

/// Reaches workloads.
pub struct Outbound {
    own: Arc<Node>,
    pool: Arc<Pool>,
    figures: Arc<Figures>,
    /// Takes calls for workloads of this node, once it runs.
    pub(super) inbound: OnceLock<Arc<Inbound>>,
    /// What this node says of itself.
    baggage: HeaderValue,
}

/// Reaches workloads as one caller.
#[derive(Debug)]
struct Dialer {
    outbound: Arc<Outbound>,
    caller: Id,
    /// What counts for each tunnel, by its address, which the entry keeps from being used for another.
    known: Mutex<HashMap<usize, Known>>,
}

/// What counts for a tunnel, and what logs say of it.
#[derive(Debug)]
struct Known {
    tunnel: Arc<Tunnel>,
    series: Arc<Series>,
    call: Arc<MeshCall>,
}

/// Tunnels that a dialer remembers before it looks which of them are still used.
const KNOWN: usize = 1024;

/// Bytes that wait between caller and workload of one node, each way.
const PIPE: usize = 64 * 1024;

impl Outbound {
    /// Reaches workloads from the node `own` by the connections of `pool`.
    pub fn new(own: Arc<Node>, pool: Arc<Pool>, figures: Arc<Figures>) -> Arc<Self> {
        let baggage = HeaderValue::try_from(format!("portcullis.node={}", own.name));
        let baggage =
            baggage.expect("the name of a node has letters, digits, `.`, `-` and `_` only");
        Arc::new(Self { own, pool, figures, inbound: OnceLock::new(), baggage })
    }

    /// Whoever reaches workloads as `caller`.
    pub fn dialer(self: &Arc<Self>, caller: Id) -> Arc<dyn Dial> {
        Arc::new(Dialer { outbound: Arc::clone(self), caller, known: Mutex::default() })
    }

    async fn dial(
        &self,
        caller: &Id,
        to: &Tunnel,
        target: &str,
        client: Option<SocketAddr>,
    ) -> io::Result<Box<dyn Duplex>> {
        let peer = Id::parse(&to.identity).map_err(io::Error::other)?;
        let place =
            Place { node: to.node.as_str().into(), address: to.address.as_str().into(), peer };
        let ends = || ends(caller, &place.peer, to);
        let inbound = self.inbound.get().filter(|_| to.node == self.own.name);
        if let Some(inbound) = inbound {
            let pipe = self.inside(inbound, caller, &place, (target, client)).await?;
            return Ok(Box::new(Counting::new(pipe, self.figures.open(ends()))));
        }
        if place.address.is_empty() {
            let why = format!("{} has no address in mesh.nodes", to.node);
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let wanted = Wanted { target, client, baggage: &self.baggage };
        let stream = self.pool.open(caller, &place, &wanted).await?;
        Ok(Box::new(Counting::new(stream, self.figures.open(ends()))))
    }

    /// A call that does not leave the node: both identities must be held and valid as if there were a handshake, and the
    /// policies are asked.
    async fn inside(
        &self,
        inbound: &Arc<Inbound>,
        caller: &Id,
        place: &Place,
        (target, client): (&str, Option<SocketAddr>),
    ) -> io::Result<tokio::io::DuplexStream> {
        for id in [caller, &place.peer] {
            if self.pool.holder().svid(id).is_none() {
                let refusal = Refusal::NoIdentity(id.clone());
                return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
            }
        }
        let (host, port) = crate::tcp::server::parse(target).map_err(io::Error::other)?;
        let call = Call {
            source: caller.clone(),
            peer: client.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            client: client.map(|client| client.ip()),
            host: host.into(),
            port,
            trace: None,
        };
        let accepted = inbound.admit(call).await;
        let accepted = accepted.map_err(|refused| {
            ask::refusal(&place.node, target, refused.status, refused.policy.as_deref())
        })?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        task::spawn(accepted.serve(theirs));
        Ok(ours)
    }
}

fn ends(caller: &Id, peer: &Id, to: &Tunnel) -> Ends {
    Ends {
        reporter: Reporter::Source,
        source: caller.clone(),
        destination: peer.clone(),
        service: to.service.as_str().into(),
    }
}

impl Dialer {
    /// What counts for `to`; nothing if its identity is none.
    fn new_known(&self, to: &Arc<Tunnel>) -> Option<Known> {
        let peer = Id::parse(&to.identity).ok()?;
        let call = MeshCall {
            source: self.caller.as_str().into(),
            destination: peer.as_str().into(),
            connection: None,
        };
        let series = self.outbound.figures.series(ends(&self.caller, &peer, to));
        Some(Known { tunnel: Arc::clone(to), series, call: Arc::new(call) })
    }
}

impl Dial for Dialer {
    fn dial<'a>(
        &'a self,
        to: &'a Tunnel,
        target: &'a str,
        client: Option<SocketAddr>,
    ) -> Later<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(self.outbound.dial(&self.caller, to, target, client))
    }

    fn answered(&self, to: &Arc<Tunnel>, status: StatusCode, took: Duration, exchange: &Exchange) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN {
            known.retain(|_, it| Arc::strong_count(&it.tunnel) > 1);
        }
        let found = match known.entry(Arc::as_ptr(to) as usize) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => match self.new_known(to) {
                Some(made) => place.insert(made),
                None => return,
            },
        };
        found.series.request(status, took);
        let call = Arc::clone(&found.call);
        drop(known);
        exchange.note(|facts| facts.mesh = Some(call));
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("own", &self.own).finish_non_exhaustive()
    }
}
