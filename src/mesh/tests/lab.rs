//! Nodes, identities, workloads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use portcullis_config::Name;
use portcullis_config::routing::mesh::Tunnel;
use portcullis_config::tree::text::{Format, parse};
use portcullis_config::{Problem, Routing};
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service as _};
use portcullis_providers::{Published, Weight};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::install::{self, DefaultPolicy};
use crate::mesh::Mesh;
use crate::net::drain::Drainer;
use crate::net::live::Live;
use crate::net::task;
use crate::observe::Observer;
use crate::reload::merge::merge;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::{Context, compile};
use crate::snapshot::extension::{Extension, Running};
use crate::tls::configurations::{Configurations, Conflicts};
use crate::tls::spiffe::{Bundle, Holder, Id, Svid};
use crate::upstream::dial::Duplex;
use std::io;
use std::sync::Arc;

pub(super) const EDGE: &str = "spiffe://td/ns/portcullis-system/sa/edge.n1";
pub(super) const WEB: &str = "spiffe://td/ns/default/sa/web";

/// An authority of its own making.
pub(super) struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self(Issuer::new(params, key), root)
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.1.clone()
    }

    pub(super) fn bundle(&self) -> Bundle {
        Bundle::of("td", vec![self.root()]).unwrap()
    }

    pub(super) fn svid(&self, id: &str) -> Svid {
        self.svid_with(id, |_| {})
    }

    pub(super) fn svid_with(&self, id: &str, change: impl FnOnce(&mut CertificateParams)) -> Svid {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (SystemTime::now() - Duration::from_mins(1)).into();
        params.not_after = (SystemTime::now() + Duration::from_hours(1)).into();
        change(&mut params);
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Svid::new(vec![leaf.der().clone()], key).unwrap()
    }

    /// Somebody who has these identities and trusts this authority.
    pub(super) fn holder(&self, ids: &[&str]) -> Arc<Holder> {
        let holder = Holder::new();
        holder.set_bundle(self.bundle());
        for id in ids {
            holder.put(self.svid(id));
        }
        holder
    }
}

/// A node that runs.
pub(super) struct Node {
    pub(super) mesh: Arc<Mesh>,
    pub(super) live: Arc<Live<Snapshot>>,
    pub(super) address: SocketAddr,
    context: Context,
    pub(super) drainer: Drainer,
}

impl Node {
    pub(super) async fn start(name: &str, holder: Arc<Holder>, default: DefaultPolicy) -> Self {
        let settings = install::Mesh {
            trust_domain: "td".into(),
            node: name.into(),
            default_policy: default,
            ..install::Mesh::default()
        };
        let mesh = Mesh::new(settings, holder).unwrap();
        let context = Context {
            entry_points: Vec::new(),
            internal: HashMap::new(),
            udp_entry_points: Vec::new(),
            default_transport: Default::default(),
            default_tcp_transport: Default::default(),
            tls: Configurations::new().unwrap(),
            spiffe: None,
            conflicts: Conflicts::FallBack,
            extension: Some(Arc::clone(&mesh) as Arc<dyn Extension>),
        };
        let (snapshot, _) = compile(&Default::default(), None, &context);
        let live = Arc::new(Live::new(Arc::new(snapshot)));
        let drainer = Drainer::new();
        let running = Running {
            live: Arc::clone(&live),
            observer: Observer::silent(),
            drain: drainer.drain(),
        };
        mesh.begin(running).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taker = Arc::clone(&mesh);
        task::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                task::spawn(Arc::clone(&taker).take(stream, peer));
            }
        });
        Self { mesh, live, address, context, drainer }
    }

    /// Serves a routing configuration; gives what is wrong with it.
    pub(super) fn serve(&self, text: &str) -> Vec<String> {
        let (routing, problems) = Routing::from_tree(&parse(text, Format::Yaml, "m.yml").unwrap());
        let published = Published { routing, problems, weight: Weight::IfDifferent };
        let mut configuration = merge(&[("file".into(), Arc::new(published))], &[]);
        self.mesh.extend(&mut configuration);
        let old = self.live.load();
        let (snapshot, _) = compile(&configuration, Some(&old), &self.context);
        let problems = snapshot.report.problems.iter().map(Problem::to_string).collect();
        self.live.store(Arc::new(snapshot));
        self.mesh.published(&configuration);
        problems
    }

    /// A call as `caller` to the workload `identity` on a node.
    pub(super) async fn dial(
        &self,
        caller: &str,
        (node, address): (&str, SocketAddr),
        identity: &str,
        target: SocketAddr,
    ) -> io::Result<Box<dyn Duplex>> {
        let tunnel = Tunnel {
            node: node.into(),
            address: address.to_string(),
            identity: identity.into(),
            service: "web.default".into(),
        };
        let dialer = self.mesh.dialer(caller).unwrap();
        dialer.dial(&tunnel, &target.to_string(), None).await
    }

    /// Sends a request to a service.
    pub(super) async fn call(&self, service: &str, request: Request) -> Response {
        let snapshot = self.live.load();
        let service = snapshot.kept.services[&Name::verbatim(service)].clone();
        let exchange = Exchange::begin(Arc::clone(&request.connection));
        service.call(request, &exchange).await
    }

    /// How many connections to other nodes there are.
    pub(super) fn tunnels(&self) -> usize {
        self.mesh.pool.connections().len()
    }

    pub(super) fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }
}

/// A workload that sends back what it gets, and ends when its caller does.
pub(super) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            task::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A workload that accepts and never reads.
pub(super) async fn deaf() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    address
}

/// The mesh part for the workload `web` of `node`, with these addresses and this protocol.
pub(super) fn catalog(node: &Node, name: &str, addresses: &[SocketAddr], protocol: &str) -> String {
    let workload = |(index, address): (usize, &SocketAddr)| {
        format!(
            "    web-{index}: {{ account: web, node: {name}, address: 127.0.0.1, ports: [{{ port: {}, targetPort: {}, protocol: {protocol} }}] }}\n",
            80 + index,
            address.port()
        )
    };
    let workloads: String = addresses.iter().enumerate().map(workload).collect();
    format!(
        "mesh:\n  nodes: {{ {name}: {{ address: '{}' }} }}\n  workloads:\n{workloads}  services:\n    web.default: {{ selector: {{ account: web }} }}\n",
        node.address
    )
}
