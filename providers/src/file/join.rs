//! Joining what several files say: of two definitions of one object the first wins.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::pieces::Pieces;
use portcullis_config::problem::{At, Kind};
use portcullis_config::{Problem, Routing};

use super::store::Content;

/// Joins contents in their order.
pub(super) fn join<'a>(
    contents: impl Iterator<Item = (&'a Path, &'a Content)>,
) -> (Routing, Vec<Problem>) {
    let mut joined = Joined::default();
    for (path, content) in contents {
        joined.add(path, content);
    }
    (joined.routing, joined.problems)
}

#[derive(Default)]
struct Joined<'a> {
    routing: Routing,
    problems: Vec<Problem>,
    /// Who defined an object.
    owners: HashMap<(Kind, &'a str), &'a Path>,
}

impl<'a> Joined<'a> {
    fn add(&mut self, path: &'a Path, content: &'a Content) {
        let Self { routing, problems, owners } = self;
        let mut entry = Entry { path, problems, owners, pieces: Pieces::begin() };
        let from = &content.routing;
        entry.add(Kind::HttpRouter, &mut routing.http.routers, &from.http.routers);
        entry.add(Kind::HttpService, &mut routing.http.services, &from.http.services);
        entry.add(Kind::HttpMiddleware, &mut routing.http.middlewares, &from.http.middlewares);
        let transports = &mut routing.http.servers_transports;
        entry.add(Kind::HttpServersTransport, transports, &from.http.servers_transports);
        entry.add(Kind::TcpRouter, &mut routing.tcp.routers, &from.tcp.routers);
        entry.add(Kind::TcpService, &mut routing.tcp.services, &from.tcp.services);
        entry.add(Kind::TcpMiddleware, &mut routing.tcp.middlewares, &from.tcp.middlewares);
        let transports = &mut routing.tcp.servers_transports;
        entry.add(Kind::TcpServersTransport, transports, &from.tcp.servers_transports);
        entry.add(Kind::UdpRouter, &mut routing.udp.routers, &from.udp.routers);
        entry.add(Kind::UdpService, &mut routing.udp.services, &from.udp.services);
        entry.add(Kind::TlsOptions, &mut routing.tls.options, &from.tls.options);
        entry.add(Kind::TlsStore, &mut routing.tls.stores, &from.tls.stores);
        entry.add(Kind::MeshWorkload, &mut routing.mesh.workloads, &from.mesh.workloads);
        entry.add(Kind::MeshService, &mut routing.mesh.services, &from.mesh.services);
        entry.add(Kind::MeshNode, &mut routing.mesh.nodes, &from.mesh.nodes);
        // What a policy would have refused must not pass because another one has its name.
        for (name, policy) in &from.mesh.policies {
            if let Some(known) = routing.mesh.policies.get_mut(name) {
                known.broken |= known != policy;
            }
        }
        entry.add(Kind::MeshPolicy, &mut routing.mesh.policies, &from.mesh.policies);
        for certificate in &from.tls.certificates {
            if !routing.tls.certificates.contains(certificate) {
                routing.tls.certificates.push(certificate.clone());
            }
        }
        Arc::make_mut(&mut routing.places).add_all(&from.places);
        self.problems.extend(content.problems.iter().cloned());
    }
}

struct Entry<'a, 'b> {
    path: &'a Path,
    problems: &'b mut Vec<Problem>,
    owners: &'b mut HashMap<(Kind, &'a str), &'a Path>,
    pieces: Pieces,
}

impl<'a> Entry<'a, '_> {
    fn add<T: Clone>(
        &mut self,
        kind: Kind,
        into: &mut IndexMap<String, T>,
        from: &'a IndexMap<String, T>,
    ) {
        into.reserve_exact(from.len());
        for (name, object) in from {
            if let Some(owner) = self.owners.get(&(kind, name.as_str())) {
                let message = format!(
                    "defined in {} already; the definition in {} is ignored",
                    owner.display(),
                    self.path.display()
                );
                let at = At { source: self.path.display().to_string().into(), line: 0, column: 0 };
                self.problems.push(Problem::warning(kind, name, message).at(Some(at)));
                continue;
            }
            self.owners.insert((kind, name), self.path);
            into.insert(name.clone(), object.clone());
            self.pieces.step();
        }
    }
}
