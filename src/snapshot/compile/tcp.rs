//! TCP services, transports and middlewares; [`routers`] does the rest.

mod routers;

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Problem, Severity};
use portcullis_config::routing::http::WeightedService;
use portcullis_config::routing::tcp::{self as config, LoadBalancer, ServersTransport};
use portcullis_middlewares::tcp::{Gate, kind};

use super::Compiling;
use super::named::Named;
use crate::tcp::balancer::{Balancer, Parts};
use crate::tcp::service::Service;
use crate::tcp::transport::{Transport, with_own};
use crate::tcp::weighted::{Child, Watch, Weighted};
use crate::upstream::resolve::Host;

/// The compiled TCP services.
pub(super) type Services = Named<Service>;

impl Compiling<'_> {
    /// Compiles every service and middleware, used or not, so that the report tells of each.
    fn compile_tcp_parts(&mut self) -> Services {
        let mut services = Services::default();
        let configuration = self.configuration;
        for name in configuration.tcp.services.keys().map(|name| Name::verbatim(name)) {
            if let Err(message) = self.tcp_service(&name, &mut services) {
                self.add(Problem::error(Kind::TcpService, name.as_str(), message));
            }
        }
        let nobody: Arc<str> = Arc::from("");
        for name in configuration.tcp.middlewares.keys().map(|name| Name::verbatim(name)) {
            if self.broken(Kind::TcpMiddleware, name.as_str()).is_some() {
                continue;
            }
            if let Err(message) = self.gate(&nobody, &name) {
                self.add(Problem::error(Kind::TcpMiddleware, name.as_str(), message));
            }
        }
        services
    }

    /// The compiled service `name`. Every reference to a service goes through here.
    fn tcp_service(
        &mut self,
        name: &Name,
        services: &mut Services,
    ) -> Result<Arc<Service>, String> {
        if let Some(known) = services.known(name) {
            return known;
        }
        let found = self.configuration.tcp.services.get(name.as_str());
        let config = self.configured(Kind::TcpService, name, found)?;
        services.begin(name);
        let result = self.compile_tcp_service(name, config, services).map(Arc::new);
        services.end(&result);
        if let Ok(service) = &result {
            self.kept.tcp.services.insert(name.clone(), Arc::clone(service));
            self.report.tcp.compiled.insert(name.clone(), Arc::clone(service));
        }
        result
    }

    fn compile_tcp_service(
        &mut self,
        name: &Name,
        config: &config::Service,
        services: &mut Services,
    ) -> Result<Service, String> {
        match (&config.load_balancer, &config.weighted) {
            (Some(it), None) => self.tcp_balancer(name, it).map(Service::Balancer),
            (None, Some(it)) => self.tcp_weighted(name, it, services).map(Service::Weighted),
            (None, None) => {
                Err("the service is empty; expected loadBalancer or weighted".to_owned())
            }
            (Some(_), Some(_)) => {
                Err("the service is of two kinds; expected loadBalancer or weighted".to_owned())
            }
        }
    }

    fn tcp_balancer(&mut self, name: &Name, settings: &LoadBalancer) -> Result<Balancer, String> {
        if settings.proxy_protocol.is_some() || settings.termination_delay.is_some() {
            let message = "proxyProtocol and terminationDelay of a service are deprecated; \
                           set them in its serversTransport";
            self.add(Problem::warning(Kind::TcpService, name.as_str(), message));
        }
        let transport = self.tcp_transport(name, settings)?;
        let previous = self.old.tcp.services.get(name).map(Arc::clone);
        let previous = previous.as_deref().and_then(Service::balancer);
        let mut host = |host: &str| self.host(host);
        let parts = Parts { transport: &transport, previous, host: &mut host };
        let (balancer, left_out) = Balancer::compile(name, settings, parts)?;
        for message in left_out {
            let message = format!("{message}; the server is left out");
            self.add(Problem::warning(Kind::TcpService, name.as_str(), message));
        }
        Ok(balancer)
    }

    fn tcp_weighted(
        &mut self,
        name: &Name,
        settings: &config::Weighted,
        services: &mut Services,
    ) -> Result<Weighted, String> {
        let mut children = Vec::new();
        for WeightedService { name: child, weight } in &settings.services {
            let service = self.tcp_service(&Name::qualify(child, name.provider()), services)?;
            let weight = weight.unwrap_or(1);
            // Traefik: a child without weight gets nothing.
            if weight > 0 {
                children.push(Child {
                    name: child.as_str().into(),
                    weight: weight as f64,
                    service,
                });
            }
        }
        let watch = match settings.health_check {
            Some(_) => Watch::Children,
            None => Watch::Nothing,
        };
        let previous = match self.old.tcp.services.get(name).map(|service| &**service) {
            Some(Service::Weighted(previous)) => Some(previous),
            _ => None,
        };
        Weighted::new(children, watch, previous)
    }

    /// The transport of a service, with what the service itself says.
    fn tcp_transport(
        &mut self,
        service: &Name,
        settings: &LoadBalancer,
    ) -> Result<Arc<Transport>, String> {
        let name = match settings.servers_transport.as_str() {
            "" => Name::verbatim("default@internal"),
            reference => Name::qualify(reference, service.provider()),
        };
        let transport = if name.as_str() == "default@internal" {
            self.context.default_tcp_transport.clone()
        } else if let Some(error) = self.broken(Kind::TcpServersTransport, name.as_str()) {
            return Err(format!("serversTransport `{name}` is broken: {error}"));
        } else {
            let found = self.configuration.tcp.servers_transports.get(name.as_str());
            found.cloned().ok_or_else(|| format!("serversTransport `{name}` does not exist"))?
        };
        self.compile_tcp_transport(&name, with_own(&transport, settings))
    }

    fn compile_tcp_transport(
        &mut self,
        name: &Name,
        settings: ServersTransport,
    ) -> Result<Arc<Transport>, String> {
        // Equal settings may name files that have changed.
        let current = |old: &&Arc<Transport>| old.is_current(&settings);
        let old = || self.old.tcp.transports.get(&settings).filter(current);
        let found = self.kept.tcp.transports.get(&settings).or_else(old);
        let transport = match found {
            Some(transport) => Arc::clone(transport),
            None => {
                let (transport, problems) =
                    Transport::compile(name.as_str(), &settings, self.context.spiffe.as_ref());
                let error = problems.iter().find(|p| p.severity == Severity::Error);
                let error = error.map(|problem| problem.message.clone());
                for problem in problems {
                    self.add(problem);
                }
                let transport = transport.ok_or_else(|| {
                    format!("serversTransport `{name}` is broken: {}", error.unwrap_or_default())
                })?;
                Arc::new(transport.by(self.dialer(&settings.mesh_identity)?))
            }
        };
        self.kept.tcp.transports.insert(settings, Arc::clone(&transport));
        Ok(transport)
    }

    /// The host called `name`, with what is known of its addresses.
    pub(super) fn host(&mut self, name: &str) -> Arc<Host> {
        let old = || self.old.hosts.get(name);
        let host = match self.kept.hosts.get(name).or_else(old) {
            Some(host) => Arc::clone(host),
            None => Host::new(name),
        };
        self.kept.hosts.insert(name.into(), Arc::clone(&host));
        host
    }

    /// The gate of middleware `name` for the router `owner`.
    fn gate(&mut self, owner: &Arc<str>, name: &Name) -> Result<Arc<dyn Gate>, String> {
        if let Some(error) = self.broken(Kind::TcpMiddleware, name.as_str()) {
            return Err(format!("middleware `{name}` is broken: {error}"));
        }
        let Some(config) = self.configuration.tcp.middlewares.get(name.as_str()) else {
            return Err(format!("middleware `{name}` does not exist"));
        };
        let key = (Arc::clone(owner), name.clone());
        let gate = match self.old.tcp.gates.get(&key) {
            Some((old, gate)) if old == config => Arc::clone(gate),
            _ => {
                let kind = kind(&config.kind).ok_or_else(|| {
                    format!("middleware `{name}`: there is no kind `{}` for TCP", config.kind)
                })?;
                (kind.compile)(&config.settings)
                    .map_err(|defect| format!("middleware `{name}`: {defect}"))?
            }
        };
        self.kept.tcp.gates.insert(key, (config.clone(), Arc::clone(&gate)));
        Ok(gate)
    }
}
