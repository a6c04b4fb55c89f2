//! What the mesh shows to operators: who this node is, who it knows, what goes on.

use std::time::{SystemTime, UNIX_EPOCH};

use ::prometheus::proto::MetricFamily;
use serde_json::{Value, json};

use super::Mesh;
use crate::observe::metrics::prometheus::{counter, counters, gauge, gauges};

/// The answer of `GET /api/mesh`.
pub(super) fn status(mesh: &Mesh) -> Value {
    let state = mesh.state.load();
    let identities: Vec<Value> = mesh
        .holder
        .svids()
        .iter()
        .map(|svid| {
            json!({
                "id": svid.id.as_str(),
                "notAfter": moment(svid.not_after),
                "valid": svid.not_after > SystemTime::now(),
            })
        })
        .collect();
    let services: Vec<Value> = state
        .catalog
        .services
        .values()
        .map(|service| {
            let ports = service.ports.iter().map(|(port, protocol)| json!({ "port": port, "protocol": protocol }));
            let workloads: Vec<&str> = service.workloads.iter().map(|it| &*it.name).collect();
            json!({ "name": &*service.name, "ports": ports.collect::<Vec<_>>(), "workloads": workloads })
        })
        .collect();
    let workloads: Vec<Value> = state
        .catalog
        .workloads
        .values()
        .map(|it| {
            json!({
                "name": &*it.name,
                "id": it.id.as_str(),
                "node": it.tunnel.node,
                "address": &*it.address,
                "health": it.health,
                "local": it.is_local,
            })
        })
        .collect();
    let tunnels: Vec<Value> = mesh
        .pool
        .connections()
        .into_iter()
        .map(|(own, place, streams)| {
            json!({
                "source": own.as_str(),
                "node": &*place.node,
                "address": &*place.address,
                "destination": place.peer.as_str(),
                "streams": streams,
            })
        })
        .collect();
    json!({
        "node": mesh.own.name,
        "trustDomain": mesh.own.trust_domain,
        "identity": mesh.own.id.as_str(),
        "edge": mesh.own.edge.as_ref().map(|id| id.as_str()),
        "listen": mesh.settings.listen,
        "defaultPolicy": mesh.settings.default_policy,
        "mode": mesh.settings.mode,
        "identities": identities,
        "services": services,
        "workloads": workloads,
        "tunnels": tunnels,
    })
}

fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|it| it.to_string()).unwrap_or_default()
}

/// What is measured of identities and tunnels.
pub(super) fn families(mesh: &Mesh) -> Vec<MetricFamily> {
    let expiry = mesh.holder.svids().into_iter().map(|svid| {
        let ends = svid.not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        gauge(&[("id", svid.id.as_str())], ends - now)
    });
    let failures = mesh.pool.failures();
    let failures = failures.iter().map(|(reason, count)| counter(&[("reason", *reason)], *count));
    let streams: usize = mesh.pool.connections().iter().map(|(.., streams)| streams).sum();
    let connections = mesh.pool.connections().len();
    vec![
        gauges(
            "portcullis_mesh_svid_expiry_seconds",
            "Seconds until an identity of this node expires; below 0 it has.",
            expiry.collect(),
        ),
        counters(
            "portcullis_mesh_dial_failures_total",
            "Nodes that could not be reached, by reason.",
            failures.collect(),
        ),
        gauges(
            "portcullis_mesh_tunnels",
            "Connections to other nodes.",
            vec![gauge(&[], connections as f64)],
        ),
        gauges(
            "portcullis_mesh_tunnel_streams",
            "Calls on connections to other nodes.",
            vec![gauge(&[], streams as f64)],
        ),
    ]
}
