//! UDP services and routers.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::http::WeightedService;
use portcullis_config::routing::udp::{self as config, Router};

use super::Compiling;
use super::named::Named;
use crate::snapshot::report::Status;
use crate::udp::route::Route;
use crate::udp::service::{Balancer, Child, Service, Weighted};

/// The compiled UDP services.
type Services = Named<Service>;

impl Compiling<'_> {
    /// Compiles UDP services and routers; gives the route of each UDP entry point, by index.
    pub(super) fn compile_udp(&mut self) -> Vec<Option<Arc<Route>>> {
        let mut services = Services::default();
        let configuration = self.configuration;
        for name in configuration.udp.services.keys().map(|name| Name::verbatim(name)) {
            if let Err(message) = self.udp_service(&name, &mut services) {
                self.add(Problem::error(Kind::UdpService, name.as_str(), message));
            }
        }
        let mut routes: Vec<Option<Arc<Route>>> =
            self.context.udp_entry_points.iter().map(|_| None).collect();
        let mut routers: Vec<_> = configuration.udp.routers.iter().collect();
        // Traefik: the last name in alphabetical order wins.
        routers.sort_by(|(a, _), (b, _)| b.cmp(a));
        for (name, router) in routers {
            let name = Name::verbatim(name);
            let bound = self.bind_udp(&name, router);
            let route = self.udp_route(&name, router, &mut services);
            for index in bound {
                let Some(place) = routes.get_mut(index) else { continue };
                match place {
                    None => *place = Some(Arc::clone(&route)),
                    Some(winner) => {
                        let message = format!(
                            "entry point `{}` is served by router `{}`; one router serves an entry point",
                            self.context.udp_entry_points.get(index).map_or("", |name| &**name),
                            winner.name,
                        );
                        self.add(Problem::warning(Kind::UdpRouter, name.as_str(), message));
                    }
                }
            }
        }
        routes
    }

    /// The indexes of the UDP entry points that a router listens on: all of them if it names none.
    fn bind_udp(&mut self, name: &Name, router: &Router) -> Vec<usize> {
        let known = &self.context.udp_entry_points;
        let mut bound: Vec<usize> = Vec::new();
        if router.entry_points.is_empty() {
            bound.extend(0..known.len());
        }
        for wanted in &router.entry_points {
            match known.iter().position(|known| **known == **wanted) {
                Some(index) => bound.push(index),
                None => {
                    let message = format!("there is no UDP entry point `{wanted}`");
                    self.add(Problem::warning(Kind::UdpRouter, name.as_str(), message));
                }
            }
        }
        if bound.is_empty() {
            self.disable_udp(name, "no valid entry point".to_owned());
        }
        if let Some(item) = self.report.udp.routers.get_mut(name) {
            bound.iter().filter_map(|index| known.get(*index)).for_each(|name| item.used_by(name));
        }
        bound
    }

    /// The route of a router. With a broken part it takes its datagrams and drops them.
    fn udp_route(&mut self, name: &Name, router: &Router, services: &mut Services) -> Arc<Route> {
        let service = Name::qualify(&router.service, name.provider());
        if let Some(item) = self.report.udp.services.get_mut(&service) {
            item.used_by(&name.shared());
        }
        let found = match router.service.as_str() {
            "" => Err("the service is missing".to_owned()),
            _ => self.udp_service(&service, services),
        };
        let broken = self.broken(Kind::UdpRouter, name.as_str()).is_some();
        let service = match found {
            Ok(service) => Some(service).filter(|_| !broken),
            Err(message) => {
                self.disable_udp(name, message);
                None
            }
        };
        Arc::new(Route { name: name.shared(), service })
    }

    fn udp_service(
        &mut self,
        name: &Name,
        services: &mut Services,
    ) -> Result<Arc<Service>, String> {
        if let Some(known) = services.known(name) {
            return known;
        }
        let found = self.configuration.udp.services.get(name.as_str());
        let config = self.configured(Kind::UdpService, name, found)?;
        services.begin(name);
        let result = self.compile_udp_service(name, config, services).map(Arc::new);
        services.end(&result);
        if let Ok(service) = &result {
            self.kept.udp.insert(name.clone(), Arc::clone(service));
        }
        result
    }

    fn compile_udp_service(
        &mut self,
        name: &Name,
        config: &config::Service,
        services: &mut Services,
    ) -> Result<Service, String> {
        let previous = self.old.udp.get(name).map(Arc::clone);
        match (&config.load_balancer, &config.weighted) {
            (Some(settings), None) => {
                let previous = previous.as_deref().and_then(Service::balancer);
                let (balancer, left_out) =
                    Balancer::compile(name, settings, previous, &mut |host| self.host(host));
                for message in left_out {
                    let message = format!("{message}; the server is left out");
                    self.add(Problem::warning(Kind::UdpService, name.as_str(), message));
                }
                Ok(Service::Balancer(balancer))
            }
            (None, Some(settings)) => {
                let mut children = Vec::new();
                for WeightedService { name: child, weight } in &settings.services {
                    let reference = Name::qualify(child, name.provider());
                    let service = self.udp_service(&reference, services)?;
                    let weight = weight.unwrap_or(1);
                    // Traefik: a child without weight gets nothing.
                    if weight > 0 {
                        let (name, weight) = (child.as_str().into(), weight as f64);
                        children.push(Child { name, weight, service });
                    }
                }
                let previous = previous.as_deref().and_then(Service::weighted);
                Ok(Service::Weighted(Weighted::new(children, previous)))
            }
            (None, None) => {
                Err("the service is empty; expected loadBalancer or weighted".to_owned())
            }
            (Some(_), Some(_)) => {
                Err("the service is of two kinds; expected loadBalancer or weighted".to_owned())
            }
        }
    }

    fn disable_udp(&mut self, name: &Name, message: String) {
        self.add(Problem::error(Kind::UdpRouter, name.as_str(), message));
        if let Some(item) = self.report.udp.routers.get_mut(name) {
            item.status = Status::Disabled;
        }
    }
}
