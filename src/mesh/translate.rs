//! The catalog as ordinary routing: load balancers whose servers stand behind tunnels, and routers of local addresses.
//!
//! | object | name |
//! | --- | --- |
//! | a port of a service, as the edge calls it | service `web.default-80@mesh` |
//! | the same, as a workload beside a local address calls it | service `web.default-80-as-shop.cart@mesh` |
//! | a local address | router `mesh-web.default-80-shop.cart@mesh` on the entry point of that name |
//! | a port of a workload of this node, behind its server-side middlewares | service `web-1.file-80-here@mesh` |
//!
//! Everything that the edge can do over a service it can do over these.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::http::{self, ForwardingTimeouts, LoadBalancer, ServersTransport};
use portcullis_config::routing::mesh::{Health, Protocol, Tunnel};
use portcullis_config::routing::tcp;
use portcullis_config::units::Duration;

use super::catalog::{Catalog, Service, Workload};
use super::node::Node;
use crate::snapshot::configuration::Configuration;
use crate::tls::spiffe::Id;
use crate::upstream::endpoint::host_and_port;

/// Adds what follows from `catalog` for the node `own`.
pub fn translate(catalog: &Catalog, own: &Node, configuration: &mut Configuration) {
    if let Some(edge) = &own.edge {
        transport(edge, configuration);
    }
    for upstream in &own.upstreams {
        transport(&upstream.caller, configuration);
    }
    for service in catalog.services.values() {
        for (port, protocol) in &service.ports {
            let port = (*port, *protocol);
            if let Some(edge) = &own.edge {
                add_service(service, port, (edge, own), configuration);
            }
            for upstream in &own.upstreams {
                if upstream.service == *service.name && upstream.port == port.0 {
                    add_service(service, port, (&upstream.caller, own), configuration);
                }
            }
        }
    }
    for upstream in &own.upstreams {
        let protocol = catalog.services.get(upstream.service.as_str()).and_then(|service| {
            service.ports.iter().find(|(port, _)| *port == upstream.port).map(|(_, it)| *it)
        });
        let service = service_name(&upstream.service, upstream.port, &upstream.caller, own);
        add_router(&upstream.entry_point, service, protocol, configuration);
    }
    for workload in catalog.workloads.values().filter(|it| it.is_local) {
        for port in workload.ports.iter().filter(|port| port.protocol.is_http()) {
            add_here(catalog, workload, port.port, configuration);
        }
    }
}

/// The name of a service as `caller` calls it.
fn service_name(service: &str, port: u16, caller: &Id, own: &Node) -> Name {
    let name = match caller.workload() {
        _ if own.edge.as_ref() == Some(caller) => format!("{service}-{port}@mesh"),
        Some((namespace, account)) => format!("{service}-{port}-as-{namespace}.{account}@mesh"),
        None => format!("{service}-{port}-as-unknown@mesh"),
    };
    Name::verbatim(&name)
}

/// The name of the service that is a port of a workload of this node, as tunnels reach it.
pub fn here(workload: &Workload, port: u16) -> Name {
    Name::verbatim(&format!("{}-{port}-here@mesh", workload.name.replace('@', ".")))
}

/// The name of the transport that reaches servers as `caller`.
fn transport_name(caller: &Id) -> String {
    let (namespace, account) = caller.workload().unwrap_or_default();
    format!("as-{namespace}.{account}@mesh")
}

fn transport(caller: &Id, configuration: &mut Configuration) {
    let name = transport_name(caller);
    let identity = caller.as_str().to_owned();
    configuration.tcp.servers_transports.insert(
        name.clone(),
        tcp::ServersTransport {
            dial_timeout: CONNECT,
            // An opaque protocol may end one side long before the other.
            termination_delay: Duration::seconds(-1),
            mesh_identity: identity.clone(),
            ..tcp::ServersTransport::default()
        },
    );
    let timeouts = ForwardingTimeouts { dial_timeout: CONNECT, ..ForwardingTimeouts::default() };
    configuration.servers_transports.insert(
        Name::verbatim(&name),
        ServersTransport {
            max_idle_conns_per_host: IDLE,
            forwarding_timeouts: Some(timeouts),
            mesh_identity: identity,
            ..ServersTransport::default()
        },
    );
}

/// To reach a workload: the node, its handshake and the workload itself.
const CONNECT: Duration = Duration::seconds(10);

/// Idle streams for each workload.
const IDLE: i64 = 200;

fn add_service(
    service: &Service,
    (port, protocol): (u16, Protocol),
    (caller, own): (&Id, &Node),
    configuration: &mut Configuration,
) {
    let name = service_name(&service.name, port, caller, own);
    let members = service.workloads.iter().filter(|it| it.health == Health::Healthy);
    let served = members.filter_map(|workload| {
        let target = workload.ports.iter().find(|it| it.port == port)?.target();
        Some((workload, host_and_port(&workload.address, target)))
    });
    if !protocol.is_http() {
        let servers = served.map(|(workload, address)| tcp::Server {
            address,
            tunnel: Some(tunnel(workload, service)),
            ..tcp::Server::default()
        });
        let load_balancer = tcp::LoadBalancer {
            servers: servers.collect(),
            servers_transport: transport_name(caller),
            ..tcp::LoadBalancer::default()
        };
        let made = tcp::Service { load_balancer: Some(load_balancer), ..tcp::Service::default() };
        configuration.tcp.services.insert(name.to_string(), made);
        return;
    }
    let scheme = if protocol == Protocol::H2c { "h2c" } else { "http" };
    let servers = served.map(|(workload, address)| http::Server {
        url: format!("{scheme}://{address}"),
        weight: workload.weight,
        tunnel: Some(tunnel(workload, service)),
        ..http::Server::default()
    });
    let load_balancer = LoadBalancer {
        servers: servers.collect(),
        servers_transport: transport_name(caller),
        ..service.load_balancer.clone()
    };
    let made = http::Service {
        load_balancer: Some(load_balancer),
        middlewares: service.middlewares.client.clone(),
        ..http::Service::default()
    };
    configuration.services.insert(name, made.into());
}

fn tunnel(workload: &Workload, service: &Service) -> Arc<Tunnel> {
    Arc::new(Tunnel { service: service.name.to_string(), ..workload.tunnel.clone() })
}

/// Leads an entry point to a service; routers of the user's own come before it.
fn add_router(
    entry_point: &str,
    service: Name,
    protocol: Option<Protocol>,
    configuration: &mut Configuration,
) {
    let name = format!("{entry_point}@mesh");
    let entry_points = vec![entry_point.to_owned()];
    let service = service.to_string();
    if protocol.is_some_and(|protocol| !protocol.is_http()) {
        let rule = "HostSNI(`*`)".to_owned();
        let router = tcp::Router { entry_points, service, rule, ..tcp::Router::default() };
        configuration.tcp.routers.insert(name, router);
        return;
    }
    let router = http::Router {
        entry_points,
        service,
        rule: "PathPrefix(`/`)".to_owned(),
        priority: 1,
        ..http::Router::default()
    };
    configuration.routers.insert(Name::verbatim(&name), router.into());
}

/// A port of a workload of this node, behind the server-side middlewares of the first service that it answers for.
fn add_here(catalog: &Catalog, workload: &Workload, port: u16, configuration: &mut Configuration) {
    let Some(settings) = workload.ports.iter().find(|it| it.port == port) else { return };
    let scheme = if settings.protocol == Protocol::H2c { "h2c" } else { "http" };
    let address = host_and_port(&workload.address, settings.target());
    let server = http::Server { url: format!("{scheme}://{address}"), ..http::Server::default() };
    let load_balancer = LoadBalancer { servers: vec![server], ..LoadBalancer::default() };
    let mut services = workload.services.iter().filter_map(|name| catalog.services.get(name));
    let first = services.find(|it| it.ports.iter().any(|(known, _)| *known == port));
    let made = http::Service {
        load_balancer: Some(load_balancer),
        middlewares: first.map(|it| it.middlewares.server.clone()).unwrap_or_default(),
        ..http::Service::default()
    };
    configuration.services.insert(here(workload, port), made.into());
}

#[cfg(test)]
mod tests;
