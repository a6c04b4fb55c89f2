//! `Inbound`: calls that reach a workload of this node, through a tunnel or from this node itself. Who calls is known by then.

mod http;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use portcullis_middlewares::exchange::MeshCall;
use portcullis_middlewares::message::Connection;
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::http::Inside;
use super::catalog::Workload;
use super::figures::{Ends, Figures, Opened, Reporter};
use super::policy::{Asked, Decision, Destination};
use super::state::State;
use super::translate;
use crate::http::serve::{Session, preface};
use crate::http::settings::{Append, Forwarded, Settings};
use crate::net::copy::{self, Copied, Linger};
use crate::net::drain::Drain;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::observe::series::EntryPointSeries;
use crate::snapshot::Snapshot;
use crate::tls::spiffe::Id;
use crate::upstream::dial::{self, Duplex};
use crate::upstream::endpoint::host_and_port;
use crate::upstream::resolve::Host;

/// Takes calls for the workloads of this node.
pub struct Inbound {
    /// The catalog and the policies.
    pub(super) state: Arc<Live<State>>,
    /// Tells of every change of the state.
    pub(super) changes: watch::Receiver<u64>,
    /// The newest snapshot: server-side middlewares are part of it.
    pub(super) live: Arc<Live<Snapshot>>,
    /// Takes the records of requests.
    pub(super) observer: Arc<Observer>,
    /// What counts for the entry point.
    pub(super) series: Arc<EntryPointSeries>,
    /// Golden metrics.
    pub(super) figures: Arc<Figures>,
    /// Told when the gateway ends.
    pub(super) drain: Drain,
}

/// A call for a workload of this node.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls, by its certificate.
    pub source: Id,
    /// Whence its node comes.
    pub peer: SocketAddr,
    /// Whence it comes itself, as its node says.
    pub client: Option<IpAddr>,
    /// The workload's address, or a service.
    pub host: Box<str>,
    /// A port of it.
    pub port: u16,
    /// What both sides call the connection in their logs.
    pub trace: Option<Box<str>>,
}

/// A call that is not taken.
#[derive(Debug)]
pub struct Refused {
    /// Why, as the answer to `CONNECT` says it.
    pub status: StatusCode,
    /// The policy that refused.
    pub policy: Option<Arc<str>>,
}

/// A call that is taken.
pub struct Accepted {
    inbound: Arc<Inbound>,
    call: Call,
    workload: Arc<Workload>,
    /// Index of the workload's port.
    port: usize,
    way: Way,
}

/// What becomes of the bytes of a call.
enum Way {
    /// Requests are read, judged and answered one by one.
    Requests,
    /// They are passed on to the workload as they come.
    Bytes(TcpStream),
}

/// How long a workload may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the first bytes of a call may take, if it brings requests.
const FIRST_BYTES: Duration = Duration::from_secs(60);

/// Silence after which the kernel asks whether the workload still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

impl Inbound {
    /// Judges a call and, where its bytes are passed on, connects to the workload.
    pub async fn admit(self: &Arc<Self>, call: Call) -> Result<Accepted, Refused> {
        let state = self.state.load();
        let found = state.catalog.local(&call.host, call.port);
        let Some((workload, port)) = found.map(|(it, port)| (Arc::clone(it), port)) else {
            tracing::warn!(source = %call.source, host = %call.host, port = call.port, "a call for no workload of this node");
            return Err(Refused { status: StatusCode::NOT_FOUND, policy: None });
        };
        let accepted = |way| Accepted {
            inbound: Arc::clone(self),
            call: call.clone(),
            workload: Arc::clone(&workload),
            port,
            way,
        };
        if self.reads_requests(&state, &call, &workload, port) {
            return Ok(accepted(Way::Requests));
        }
        let decision = judge(&state, &call, &workload, port);
        decision.note();
        if let Some(policy) = &decision.audit {
            tracing::info!(source = %call.source, destination = %workload.id, workload = %workload.name, policy = &**policy, "a call would be refused by a policy in audit mode");
        }
        if !decision.allowed {
            refused(&call, &workload, &decision);
            return Err(Refused { status: StatusCode::FORBIDDEN, policy: decision.rule });
        }
        let server = self.connect(&workload, port).await?;
        Ok(accepted(Way::Bytes(server)))
    }

    /// Whether the requests of a call are read: it has some, and somebody wants to see them. A refusal is told in HTTP, too.
    fn reads_requests(&self, state: &State, call: &Call, workload: &Workload, port: usize) -> bool {
        let Some(port) = workload.ports.get(port).filter(|port| port.protocol.is_http()) else {
            return false;
        };
        let wrapped = || {
            let mut services =
                workload.services.iter().filter_map(|it| state.catalog.services.get(it));
            services.any(|service| !service.middlewares.server.is_empty())
        };
        let decided = || {
            let destination = destination(workload);
            let asked = asked(call, workload, port.port, &destination);
            !state.policies.decide(&asked).allowed || state.policies.want_requests(&asked)
        };
        self.observer.metrics().is_some()
            || self.observer.lines().is_some()
            || wrapped()
            || decided()
    }

    async fn connect(&self, workload: &Workload, port: usize) -> Result<TcpStream, Refused> {
        let target = workload.ports.get(port).map_or(0, |port| port.target());
        let host = Host::new(&workload.address);
        let connecting = dial::tcp(&host, target, Some(KEEP_ALIVE));
        let unreached = |cause: &dyn std::fmt::Display| {
            let place = host_and_port(&workload.address, target);
            tracing::warn!(workload = %workload.name, "{place} does not take the connection: {cause}");
            Refused { status: StatusCode::SERVICE_UNAVAILABLE, policy: None }
        };
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreached(&error)),
            Err(_) => Err(unreached(&"no answer in time")),
        }
    }
}

/// What policies want to know of a workload.
fn destination(workload: &Workload) -> Destination<'_> {
    Destination {
        workload: &workload.name,
        namespace: &workload.namespace,
        account: &workload.account,
        services: &workload.services,
    }
}

fn asked<'a>(
    call: &'a Call,
    workload: &Workload,
    port: u16,
    destination: &'a Destination<'a>,
) -> Asked<'a> {
    debug_assert!(workload.is_local, "only calls for workloads of this node are judged");
    Asked {
        source: Some(&call.source),
        source_ip: call.peer.ip().to_canonical(),
        destination,
        port,
        http: None,
    }
}

/// Judges a call whose bytes are passed on. What depends on requests is refused there: they are not seen.
fn judge(state: &State, call: &Call, workload: &Workload, port: usize) -> Decision {
    let port = workload.ports.get(port).map_or(0, |port| port.port);
    state.policies.decide(&asked(call, workload, port, &destination(workload)))
}

fn refused(call: &Call, workload: &Workload, decision: &Decision) {
    let policy = decision.rule.as_deref().unwrap_or("default");
    tracing::warn!(source = %call.source, destination = %workload.id, workload = %workload.name, policy, "a call was refused");
}

impl Accepted {
    /// Carries the call to its end.
    pub async fn serve<S: Duplex + 'static>(self, stream: S) {
        let _held = self.inbound.drain.hold();
        let service = self.workload.services.first().unwrap_or(&self.workload.name);
        let opened = self.inbound.figures.open(Ends {
            reporter: Reporter::Destination,
            source: self.call.source.clone(),
            destination: self.workload.id.clone(),
            service: Arc::clone(service),
        });
        match self.way {
            Way::Requests => self.requests(stream, opened).await,
            Way::Bytes(_) => self.bytes(stream, opened).await,
        }
    }

    /// Passes bytes on for as long as the policies let the call go on.
    async fn bytes<S: Duplex>(self, mut stream: S, opened: Opened) {
        let Self { inbound, call, workload, port, way } = self;
        let Way::Bytes(mut server) = way else { return };
        let mut changes = inbound.changes.clone();
        changes.mark_unchanged();
        // It may have changed while the workload was connected to.
        if !still(&inbound.state.load(), &call, &workload, port) {
            return opened.close(Copied::default());
        }
        let mut copied = Copied::default();
        {
            let copying = copy::both(&mut stream, &mut server, Linger::Forever, &mut copied);
            tokio::pin!(copying);
            loop {
                tokio::select! {
                    () = &mut copying => break,
                    changed = changes.changed() => {
                        let state = inbound.state.load();
                        if changed.is_err() || !still(&state, &call, &workload, port) {
                            break;
                        }
                    }
                }
            }
        }
        tracing::debug!(source = %call.source, destination = %workload.id, connection = call.trace.as_deref(), sent = copied.back, received = copied.forth, "a call ended");
        opened.close(copied);
    }

    /// Has requests answered through the server-side middlewares.
    async fn requests<S: Duplex + 'static>(self, mut stream: S, opened: Opened) {
        let Self { inbound, call, workload, port, .. } = self;
        let mut prefix = bytes::BytesMut::new();
        let begun = preface::read(&mut stream, &mut prefix);
        let Ok(Ok(protocol)) = tokio::time::timeout(FIRST_BYTES, begun).await else { return };
        if prefix.is_empty() {
            return;
        }
        let settings = settings(call.source.system_name("edge").is_some());
        let port = workload.ports.get(port).map_or(0, |port| port.port);
        let client = call.client.unwrap_or(call.peer.ip()).to_canonical();
        let local = workload.address.parse().map(|ip: IpAddr| SocketAddr::new(ip, port));
        let connection = Connection {
            peer: SocketAddr::new(client, call.peer.port()),
            local: local.unwrap_or_else(|_| SocketAddr::new([0, 0, 0, 0].into(), port)),
            entry_point: Arc::clone(&inbound.series.name),
            tls: None,
            forwarded_for: match settings.forwarded.append {
                Append::Peer => ::http::HeaderValue::from_str(&client.to_string()).ok(),
                Append::Nothing => None,
            },
        };
        let drain = inbound.drain.clone();
        let service = translate::here(&workload, port);
        let told = Arc::new(MeshCall {
            source: call.source.as_str().into(),
            destination: workload.id.as_str().into(),
            connection: call.trace.clone(),
        });
        let inside = Inside { inbound, call, workload, port, service, opened, told };
        let session = Session::new(Arc::new(inside), Arc::new(connection), settings, drain);
        session.serve(stream, prefix.freeze(), protocol).await;
    }
}

/// Whether a call that was let in would be let in now: its workload is the same, and no policy refuses.
fn still(state: &State, call: &Call, workload: &Workload, port: usize) -> bool {
    let same = state
        .catalog
        .workloads
        .get(&workload.name)
        .filter(|it| it.is_local && it.id == workload.id && it.address == workload.address);
    let number = |it: &Workload| it.ports.get(port).map(|port| (port.port, port.target()));
    match same {
        Some(now) if number(now) == number(workload) => {
            let decision = judge(state, call, now, port);
            if !decision.allowed {
                decision.note();
                refused(call, now, &decision);
            }
            decision.allowed
        }
        _ => {
            tracing::info!(workload = %workload.name, "a call was ended: its workload is gone");
            false
        }
    }
}

/// How requests are read. What an edge says of clients is believed; what others say was said by workloads.
fn settings(by_edge: bool) -> Arc<Settings> {
    use std::sync::LazyLock;
    static OF_EDGES: LazyLock<Arc<Settings>> = LazyLock::new(|| {
        let forwarded =
            Forwarded { insecure: true, append: Append::Nothing, ..Forwarded::default() };
        Arc::new(Settings { forwarded, ..Settings::default() })
    });
    static OF_WORKLOADS: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
    Arc::clone(if by_edge { &OF_EDGES } else { &OF_WORKLOADS })
}
