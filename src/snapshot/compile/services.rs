//! Services: children before parents, cycles refused.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::http::{self, LoadBalancer};
use portcullis_middlewares::Chain;

use super::Compiling;
use crate::upstream::balancer::Balancer;
use crate::upstream::service::Service;

impl Compiling<'_> {
    /// Compiles every service, used or not, so that the report tells of each.
    pub(super) fn compile_services(&mut self) {
        let names: Vec<Name> = self.configuration.services.keys().cloned().collect();
        for name in names {
            if let Err(message) = self.service(&name) {
                self.add(Problem::error(Kind::HttpService, name.as_str(), message));
            }
        }
    }

    /// The compiled service `name`. Every reference to a service goes through here.
    pub(super) fn service(&mut self, name: &Name) -> Result<Arc<Service>, String> {
        if let Some(done) = self.services.get(name) {
            return done.clone();
        }
        if let Some(internal) = self.context.internal.get(name) {
            return Ok(Arc::new(Service::Internal(Arc::clone(internal))));
        }
        if let Some(error) = self.broken(Kind::HttpService, name.as_str()) {
            return Err(format!("service `{name}` is broken: {error}"));
        }
        let Some(config) = self.configuration.services.get(name) else {
            return Err(format!("service `{name}` does not exist"));
        };
        if self.visiting.contains(name) {
            return Err(format!("service `{name}` is part of a cycle of services"));
        }
        self.visiting.push(name.clone());
        let result = self.compile_service(name, config).map(Arc::new);
        self.visiting.pop();
        if let Ok(service) = &result {
            self.kept.services.insert(name.clone(), Arc::clone(service));
            self.report.compiled.insert(name.clone(), Arc::clone(service));
        }
        self.services.insert(name.clone(), result.clone());
        result
    }

    fn compile_service(&mut self, name: &Name, config: &http::Service) -> Result<Service, String> {
        let inner = match config {
            http::Service { load_balancer: Some(settings), .. } => {
                Service::Balancer(self.balancer(name, settings)?)
            }
            _ => return Err("this kind of service is not served yet".to_owned()),
        };
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

    fn balancer(&mut self, name: &Name, settings: &LoadBalancer) -> Result<Balancer, String> {
        let (key, transport) = self.transport(&settings.servers_transport, name.provider())?;
        let previous = self.old.services.get(name).map(Arc::clone);
        let previous = previous.as_deref().and_then(Service::balancer);
        let mut endpoint = |address| self.endpoint(address, &key, &transport);
        Balancer::compile(name, settings, previous, &mut endpoint)
    }
}
