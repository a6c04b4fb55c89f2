//! Services: children before parents, cycles refused.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::pieces::Pieces;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::http::{
    self, LoadBalancer, PropagateHealth, Weighted, WeightedService,
};
use portcullis_middlewares::Chain;

use super::Compiling;
use crate::upstream::balancer::{Balancer, Reports};
use crate::upstream::buffer;
use crate::upstream::child::{Children, must_report};
use crate::upstream::failover::Failover;
use crate::upstream::highest_random_weight::HighestRandomWeight;
use crate::upstream::mirroring::{Bodies, Mirror, Mirroring};
use crate::upstream::service::Service;
use crate::upstream::weighted;

impl Compiling<'_> {
    /// Compiles every service, used or not, so that the report tells of each.
    pub(super) fn compile_services(&mut self) {
        let names: Vec<Name> = self.configuration.services.keys().cloned().collect();
        let pieces = Pieces::begin();
        for name in names {
            pieces.step();
            if let Err(message) = self.service(&name) {
                self.add(Problem::error(Kind::HttpService, name.as_str(), message));
            }
        }
    }

    /// The compiled service `name`. Every reference to a service goes through here.
    pub(super) fn service(&mut self, name: &Name) -> Result<Arc<Service>, String> {
        if let Some(known) = self.services.known(name) {
            return known;
        }
        if let Some(internal) = self.context.internal.get(name) {
            return Ok(Arc::new(Service::Internal(Arc::clone(internal))));
        }
        let found = self.configuration.services.get(name);
        let config = self.configured(Kind::HttpService, name, found)?;
        self.services.begin(name);
        let result = self.compile_service(name, config).map(Arc::new);
        self.services.end(&result);
        if let Ok(service) = &result {
            self.kept.services.insert(name.clone(), Arc::clone(service));
            self.report.compiled.insert(name.clone(), Arc::clone(service));
        }
        result
    }

    fn compile_service(&mut self, name: &Name, config: &http::Service) -> Result<Service, String> {
        let inner = self.bare_service(name, config)?;
        if config.middlewares.is_empty() {
            return Ok(inner);
        }
        // Traefik: a service's middlewares wrap it for every router; their state belongs to the service.
        let owner = name.shared();
        let mut steps = Vec::new();
        for reference in &config.middlewares {
            let middleware = Name::qualify(reference, name.provider());
            steps.extend(self.steps(&owner, &middleware).map_err(|defect| defect.to_string())?);
        }
        Ok(Service::Wrapped(Chain::new(steps), Arc::new(inner)))
    }

    fn bare_service(&mut self, name: &Name, config: &http::Service) -> Result<Service, String> {
        let http::Service {
            load_balancer,
            highest_random_weight,
            weighted,
            mirroring,
            failover,
            middlewares: _,
        } = config;
        match (load_balancer, highest_random_weight, weighted, mirroring, failover) {
            (Some(it), None, None, None, None) => self.balancer(name, it).map(Service::Balancer),
            (None, Some(it), None, None, None) => self.highest_random_weight(name, it),
            (None, None, Some(it), None, None) => self.weighted(name, it),
            (None, None, None, Some(it), None) => self.mirroring(name, it),
            (None, None, None, None, Some(it)) => self.failover(name, it),
            (None, None, None, None, None) => Err(format!("the service is empty; {EXPECTED}")),
            _ => Err(format!("the service is of several kinds; {EXPECTED}")),
        }
    }

    fn balancer(&mut self, name: &Name, settings: &LoadBalancer) -> Result<Balancer, String> {
        let (key, transport) = self.transport(&settings.servers_transport, name.provider())?;
        let previous = self.old.services.get(name).map(Arc::clone);
        let previous = previous.as_deref().and_then(Service::balancer);
        let mut endpoint = |address| self.endpoint(address, &key, &transport);
        Balancer::compile(name, settings, previous, &mut endpoint)
    }

    fn weighted(&mut self, name: &Name, settings: &Weighted) -> Result<Service, String> {
        let children =
            self.children_of(name, &settings.services, settings.health_check.as_ref())?;
        let cookie = settings.sticky.as_ref().and_then(|sticky| sticky.cookie.as_ref());
        let previous = match self.old.services.get(name).map(|service| service.bare()) {
            Some(Service::Weighted(previous)) => Some(previous),
            _ => None,
        };
        weighted::Weighted::new(name.shared(), children, cookie, previous).map(Service::Weighted)
    }

    fn highest_random_weight(
        &mut self,
        name: &Name,
        settings: &http::HighestRandomWeight,
    ) -> Result<Service, String> {
        let children =
            self.children_of(name, &settings.services, settings.health_check.as_ref())?;
        Ok(Service::HighestRandomWeight(HighestRandomWeight::new(name.shared(), children)))
    }

    fn children_of(
        &mut self,
        name: &Name,
        services: &[WeightedService],
        health_check: Option<&PropagateHealth>,
    ) -> Result<Children, String> {
        let mut children = Vec::new();
        for WeightedService { name: child, weight } in services {
            children.push((child.clone(), *weight, self.child(name, child)?));
        }
        Children::new(children, watched(health_check))
    }

    fn mirroring(&mut self, name: &Name, settings: &http::Mirroring) -> Result<Service, String> {
        let service = self.child(name, &settings.service)?;
        let watched = watched(settings.health_check.as_ref());
        if watched == Reports::Health {
            must_report(&settings.service, &service)?;
        }
        let mut mirrors = Vec::new();
        for http::Mirror { name: mirror, percent } in &settings.mirrors {
            let percent = u8::try_from(*percent).ok().filter(|percent| *percent <= 100);
            let percent = percent.ok_or_else(|| {
                format!("mirrors: the percent of `{mirror}` is not one from 0 to 100")
            })?;
            let service = self.child(name, mirror)?;
            mirrors.push(Mirror { name: mirror.as_str().into(), percent, service });
        }
        let bodies = if settings.mirror_body {
            Bodies::Copied(buffer::limit(settings.max_body_size))
        } else {
            Bodies::LeftOut
        };
        let previous = match self.old.services.get(name).map(|service| service.bare()) {
            Some(Service::Mirroring(previous)) => Some(previous),
            _ => None,
        };
        let mirroring = Mirroring::new(service, mirrors, bodies, watched, previous);
        Ok(Service::Mirroring(mirroring))
    }

    fn failover(&mut self, name: &Name, settings: &http::Failover) -> Result<Service, String> {
        let service = self.child(name, &settings.service)?;
        let fallback = self.child(name, &settings.fallback)?;
        let failover = Failover::new(
            (&settings.service, service),
            (&settings.fallback, fallback),
            settings.errors.as_ref(),
            watched(settings.health_check.as_ref()),
        );
        failover.map(Service::Failover)
    }

    /// A service that another one names.
    fn child(&mut self, parent: &Name, reference: &str) -> Result<Arc<Service>, String> {
        if reference.is_empty() {
            return Err("the name of a child service is missing".to_owned());
        }
        self.service(&Name::qualify(reference, parent.provider()))
    }
}

const EXPECTED: &str =
    "expected one of loadBalancer, weighted, mirroring, failover, highestRandomWeight";

fn watched(health_check: Option<&PropagateHealth>) -> Reports {
    if health_check.is_some() { Reports::Health } else { Reports::Nothing }
}

#[cfg(test)]
mod tests;
