//! What we keep of a container: the few facts of the engine's long answer that routing depends on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings, HealthStatusEnum, PortMap,
};

/// The facts of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// The engine's name for it: 64 hexadecimal digits.
    pub(super) id: String,
    /// The user's name for it, without the slash in front.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) standing: Standing,
    /// `bridge`, `host`, `container:<id>`, or the name of a network.
    pub(super) network_mode: String,
    /// Its address in each network that it is attached to.
    pub(super) networks: BTreeMap<String, Option<IpAddr>>,
    /// What each port that it exposes is bound to on the host.
    pub(super) ports: BTreeMap<u16, Vec<Binding>>,
}

/// Whether a container takes requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does not run, or is paused.
    #[default]
    Stopped,
    /// It runs, but its health check has not succeeded.
    Unhealthy,
    /// It runs and has no health check, or one that succeeds.
    Ready,
}

/// A port of the host that leads to a port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// The address it listens on; `None` if it does so on all, or the engine did not say.
    pub(super) host: Option<IpAddr>,
    pub(super) port: u16,
}

impl Container {
    /// The container of an inspection; `None` if the engine left out what identifies it.
    pub(super) fn of(inspected: ContainerInspectResponse) -> Option<Self> {
        let id = inspected.id?;
        let name = inspected.name.unwrap_or_default().trim_start_matches('/').to_owned();
        let standing = inspected.state.as_ref().map(|state| {
            let health = state.health.as_ref().and_then(|health| health.status);
            standing(state.status, health)
        });
        let settings = inspected.network_settings.unwrap_or_default();
        let host = inspected.host_config.unwrap_or_default();
        let networks = settings.networks.unwrap_or_default();
        Some(Self {
            id,
            name,
            labels: inspected
                .config
                .unwrap_or_default()
                .labels
                .unwrap_or_default()
                .into_iter()
                .collect(),
            standing: standing.unwrap_or_default(),
            network_mode: host.network_mode.unwrap_or_default(),
            networks: networks.into_iter().map(|(name, end)| (name, address(&end))).collect(),
            ports: ports(settings.ports.unwrap_or_default()),
        })
    }
}

fn standing(
    status: Option<ContainerStateStatusEnum>,
    health: Option<HealthStatusEnum>,
) -> Standing {
    if status != Some(ContainerStateStatusEnum::RUNNING) {
        return Standing::Stopped;
    }
    match health {
        Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => Standing::Unhealthy,
        _ => Standing::Ready,
    }
}

/// The IPv4 address, else the global IPv6 address.
fn address(end: &EndpointSettings) -> Option<IpAddr> {
    let both = [&end.ip_address, &end.global_ipv6_address];
    both.into_iter().flatten().find_map(|text| text.parse().ok())
}

/// By number. Traefik: the protocol of an exposed port does not matter.
fn ports(map: PortMap) -> BTreeMap<u16, Vec<Binding>> {
    let mut ports: BTreeMap<u16, Vec<Binding>> = BTreeMap::new();
    for (port, bindings) in map {
        let Ok(number) = port.split('/').next().unwrap_or_default().parse() else { continue };
        let bound = ports.entry(number).or_default();
        for binding in bindings.unwrap_or_default() {
            let Some(Ok(port)) = binding.host_port.map(|port| port.parse()) else { continue };
            let host = binding.host_ip.and_then(|ip| ip.parse::<IpAddr>().ok());
            bound.push(Binding { host: host.filter(|ip| !ip.is_unspecified()), port });
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(json: serde_json::Value) -> Container {
        Container::of(serde_json::from_value(json).unwrap()).unwrap()
    }

    #[test]
    fn an_inspection_is_cut_down_to_what_counts() {
        let container = container(serde_json::json!({
            "Id": "abc",
            "Name": "/web",
            "State": { "Status": "running", "Health": { "Status": "healthy" } },
            "Config": { "Labels": { "a": "b" } },
            "HostConfig": { "NetworkMode": "edge" },
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [
                        { "HostIp": "0.0.0.0", "HostPort": "8080" },
                        { "HostIp": "::1", "HostPort": "8081" },
                        { "HostIp": "", "HostPort": "8082" }
                    ],
                    "53/udp": null
                },
                "Networks": {
                    "edge": { "IPAddress": "172.18.0.2", "GlobalIPv6Address": "fd00::2" },
                    "six": { "IPAddress": "", "GlobalIPv6Address": "fd00::3" },
                    "none": { "IPAddress": "" }
                }
            }
        }));
        let binding =
            |host: Option<&str>, port| Binding { host: host.map(|ip| ip.parse().unwrap()), port };
        let expected = Container {
            id: "abc".to_owned(),
            name: "web".to_owned(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            standing: Standing::Ready,
            network_mode: "edge".to_owned(),
            networks: [
                ("edge".to_owned(), Some("172.18.0.2".parse().unwrap())),
                ("six".to_owned(), Some("fd00::3".parse().unwrap())),
                ("none".to_owned(), None),
            ]
            .into(),
            ports: [
                (80, vec![binding(None, 8080), binding(Some("::1"), 8081), binding(None, 8082)]),
                (53, Vec::new()),
            ]
            .into(),
        };
        assert_eq!(container, expected);
    }

    #[test]
    fn only_what_runs_and_is_not_ill_is_ready() {
        let standing = |state: serde_json::Value| {
            container(serde_json::json!({ "Id": "abc", "State": state })).standing
        };
        let json = |status: &str, health: &str| serde_json::json!({ "Status": status, "Health": { "Status": health } });
        assert_eq!(standing(json("running", "none")), Standing::Ready);
        assert_eq!(standing(json("running", "starting")), Standing::Unhealthy);
        assert_eq!(standing(json("running", "unhealthy")), Standing::Unhealthy);
        assert_eq!(standing(json("paused", "healthy")), Standing::Stopped);
        assert_eq!(standing(json("exited", "healthy")), Standing::Stopped);
    }
}
