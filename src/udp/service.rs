//! `Service`: where sessions of UDP routers go.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::routing::udp::LoadBalancer;

use crate::tcp::server::{Place, parse};
use crate::upstream::balance::wrr::Wrr;
use crate::upstream::resolve::Host;

/// Where sessions of UDP routers go.
#[derive(Debug)]
pub enum Service {
    /// To a server.
    Balancer(Balancer),
    /// To another service.
    Weighted(Weighted),
}

/// One address of a UDP service.
#[derive(Debug)]
pub struct Server {
    /// `host:port` as the user wrote it.
    pub address: Arc<str>,
    /// Its parts.
    pub place: Place,
    /// The full name of its service.
    pub service: Arc<str>,
}

/// Picks a server for each session, in turn.
#[derive(Debug)]
pub struct Balancer {
    servers: Vec<Arc<Server>>,
    turns: Arc<Wrr>,
}

/// Shares sessions out among services by their weights.
#[derive(Debug)]
pub struct Weighted {
    children: Vec<Child>,
    turns: Arc<Wrr>,
}

/// A child with a weight above 0.
#[derive(Debug)]
pub struct Child {
    /// As its parent names it.
    pub name: Box<str>,
    /// Its share.
    pub weight: f64,
    /// The service.
    pub service: Arc<Service>,
}

impl Service {
    /// The server of the next session; `None` if there are none.
    pub fn pick(&self) -> Option<Arc<Server>> {
        match self {
            Self::Balancer(Balancer { servers, turns }) => {
                turns.pick(|_| true).and_then(|index| servers.get(index)).map(Arc::clone)
            }
            Self::Weighted(Weighted { children, turns }) => {
                let has =
                    |index: usize| children.get(index).is_some_and(|it| it.service.has_server());
                turns.pick(has).and_then(|index| children.get(index))?.service.pick()
            }
        }
    }

    fn has_server(&self) -> bool {
        match self {
            Self::Balancer(balancer) => !balancer.servers.is_empty(),
            Self::Weighted(weighted) => {
                weighted.children.iter().any(|child| child.service.has_server())
            }
        }
    }

    /// The balancer, if it is one.
    pub fn balancer(&self) -> Option<&Balancer> {
        match self {
            Self::Balancer(balancer) => Some(balancer),
            Self::Weighted(_) => None,
        }
    }

    /// The weighted service, if it is one.
    pub fn weighted(&self) -> Option<&Weighted> {
        match self {
            Self::Balancer(_) => None,
            Self::Weighted(weighted) => Some(weighted),
        }
    }
}

impl Balancer {
    /// Compiles the settings of service `name`; also gives what is wrong with servers that are left out. `previous` is the
    /// balancer of the same name in the snapshot before: its position lives on. `host` finds or makes hosts.
    pub fn compile(
        name: &Name,
        settings: &LoadBalancer,
        previous: Option<&Self>,
        host: &mut dyn FnMut(&str) -> Arc<Host>,
    ) -> (Self, Vec<String>) {
        let (mut servers, mut left_out) = (Vec::new(), Vec::new());
        for config in &settings.servers {
            match parse(&config.address) {
                Ok((bare, port)) => servers.push(Arc::new(Server {
                    address: config.address.as_str().into(),
                    place: Place { host: bare.into(), name: host(bare), port, tunnel: None },
                    service: name.shared(),
                })),
                Err(message) => left_out.push(message),
            }
        }
        let key = |server: &Arc<Server>| (Box::from(&*server.address), 1.0);
        let before = previous.map(|it| (&it.turns, it.servers.iter().map(key).collect()));
        let turns = turns(&servers.iter().map(key).collect::<Vec<_>>(), before);
        (Self { servers, turns }, left_out)
    }
}

impl Weighted {
    /// Shares out among `children`. `previous` is the same service in the snapshot before: its position lives on.
    pub fn new(children: Vec<Child>, previous: Option<&Self>) -> Self {
        let key = |child: &Child| (child.name.clone(), child.weight);
        let before = previous.map(|it| (&it.turns, it.children.iter().map(key).collect()));
        let turns = turns(&children.iter().map(key).collect::<Vec<_>>(), before);
        Self { children, turns }
    }
}

/// A choice by its name, and its weight.
type Choice = (Box<str>, f64);

/// The turns of `now`: those from before if the choices are the same, otherwise beginning where those are.
fn turns(now: &[Choice], before: Option<(&Arc<Wrr>, Vec<Choice>)>) -> Arc<Wrr> {
    let weights: Vec<f64> = now.iter().map(|(_, weight)| *weight).collect();
    let Some((turns, before)) = before else { return Arc::new(Wrr::new(&weights)) };
    let same = |((a, x), (b, y)): (&Choice, &Choice)| a == b && x.total_cmp(y).is_eq();
    if now.len() == before.len() && now.iter().zip(&before).all(same) {
        return Arc::clone(turns);
    }
    let earlier = |(name, _): &Choice| before.iter().position(|(other, _)| other == name);
    let earlier: Vec<_> = now.iter().map(earlier).collect();
    Arc::new(Wrr::after(turns, &weights, &earlier))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn balancer(addresses: &[&str], previous: Option<&Balancer>) -> (Balancer, Vec<String>) {
        let servers: Vec<_> = addresses.iter().map(|it| json!({ "address": it })).collect();
        let settings = serde_json::from_value(json!({ "servers": servers })).unwrap();
        Balancer::compile(&Name::verbatim("s@file"), &settings, previous, &mut |it| Host::new(it))
    }

    fn picks(service: &Service, count: usize) -> Vec<String> {
        let mut picks: Vec<_> =
            (0..count).filter_map(|_| Some(service.pick()?.address.to_string())).collect();
        picks.sort();
        picks
    }

    #[test]
    fn sessions_go_round_and_bad_servers_are_left_out() {
        let (balancer, left_out) = balancer(&["127.0.0.1:1", "nonsense", "127.0.0.1:2"], None);
        assert_eq!(left_out.len(), 1);
        let service = Service::Balancer(balancer);
        assert_eq!(picks(&service, 2), ["127.0.0.1:1", "127.0.0.1:2"]);
        assert!(Service::Balancer(self::balancer(&[], None).0).pick().is_none());
    }

    #[test]
    fn children_share_by_weight_and_empty_ones_are_passed_over() {
        let child = |addresses: &[&str], weight| {
            let name = addresses.join(",").into();
            let service = Arc::new(Service::Balancer(balancer(addresses, None).0));
            Child { name, weight, service }
        };
        let children = vec![child(&["a:1"], 3.0), child(&["b:1"], 1.0), child(&[], 9.0)];
        let service = Service::Weighted(Weighted::new(children, None));
        let picked = picks(&service, 8);
        assert_eq!(picked.iter().filter(|it| *it == "a:1").count(), 6, "{picked:?}");
    }

    #[test]
    fn a_reload_does_not_begin_anew() {
        let (first, _) = balancer(&["a:1", "b:1"], None);
        let service = Service::Balancer(first);
        let picked = service.pick().unwrap();
        let (second, _) = balancer(&["b:1", "a:1", "c:1"], service.balancer());
        assert_ne!(Service::Balancer(second).pick().unwrap().address, picked.address);
    }
}
