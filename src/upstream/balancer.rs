//! `Balancer`: picks a server for each request.

mod strategy;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use portcullis_config::Name;
use portcullis_config::routing::http::{HealthCheck, LoadBalancer};
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Fault, Request, Response};
use portcullis_middlewares::metric::{self, Metric};

use self::strategy::{Hash, Strategy};
use super::balance::wrr::Wrr;
use super::endpoint::{Address, Endpoint};
use super::fault;
use super::forward;
use super::health::active::{Active, Target};
use super::health::outlier::{Conduct, Entry, Outlier, Probe as Trial, Reason};
use super::health::passive::{Back, Passive};
use super::health::probe::Probe;
use super::server::Server;
use super::standing::Standing;
use super::sticky::{self, Form, Sticky};
use crate::observe::without_userinfo;

/// Picks a server for each request.
#[derive(Debug)]
pub struct Balancer {
    name: Arc<str>,
    /// Those with a weight above 0.
    servers: Vec<Server>,
    /// What is known of each URL, also of those without weight.
    standings: Vec<(Arc<str>, Arc<Standing>)>,
    strategy: Strategy,
    hash: Option<Hash>,
    turns: Arc<Wrr>,
    sticky: Option<Sticky>,
    passive: Option<Passive>,
    outlier: Option<Outlier>,
    active: Option<Arc<Active>>,
}

/// Whether a service tells of its health, as parents that watch their children demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reports {
    /// It does.
    Health,
    /// It does not, and counts as up.
    Nothing,
}

/// A server for one request.
struct Choice<'a> {
    server: &'a Server,
    /// Set if the client is told by cookie.
    cookie: Option<http::HeaderValue>,
    /// Set if the request tries a server that was ejected.
    trial: Option<Trial>,
}

impl Balancer {
    /// Compiles the settings of service `name`. `previous` is the balancer of the same name in the snapshot before: its
    /// position and what it knows of its servers live on. `endpoint` finds or makes endpoints.
    pub fn compile(
        name: &Name,
        settings: &LoadBalancer,
        previous: Option<&Self>,
        endpoint: &mut dyn FnMut(Address) -> Arc<Endpoint>,
    ) -> Result<Self, String> {
        let strategy = Strategy::parse(&settings.strategy)?;
        let mut standings = Standings::new(previous);
        let mut servers = Vec::new();
        for config in &settings.servers {
            let address = Address::parse(&config.url)?.behind(config.tunnel.clone());
            let (url, standing) = standings.of(&config.url);
            if config.weight.unwrap_or(1) > 0 {
                let host = settings.pass_host_header;
                servers.push(Server::new(url, config, host.into(), endpoint(address), standing)?);
            }
        }
        let urls = || servers.iter().map(|server| &*server.url);
        // Traefik: with `hrw` there is no cookie.
        let cookie = settings.sticky.as_ref().and_then(|sticky| sticky.cookie.as_ref());
        let cookie = cookie.filter(|_| strategy != Strategy::Hrw);
        let sticky = cookie.map(|cookie| Sticky::new(name.as_str(), cookie, urls())).transpose()?;
        let active = settings.health_check.as_ref().map(|check| {
            let targets = targets(check, &servers, endpoint)?;
            let previous = previous.and_then(|previous| previous.active.as_ref());
            Ok::<_, String>(Active::begin(name, check, targets, previous))
        });
        let active = active.transpose()?;
        if active.is_none() {
            standings.forget_checks();
        }
        let back = if active.is_some() { Back::Check } else { Back::Time };
        let turns = turns(&servers, previous);
        let hash = (strategy == Strategy::Hash).then(|| {
            let previous = previous.and_then(|it| Some((it.hash.as_ref()?, &*it.servers)));
            Hash::new(settings.hash.as_ref(), &servers, previous)
        });
        let passive = settings.passive_health_check.as_ref();
        let ejection = passive.and_then(|passive| passive.ejection.as_ref());
        let outlier = ejection.map(Outlier::new).transpose();
        let outlier = outlier.map_err(|error| format!("passiveHealthCheck.{error}"))?;
        let passive = passive.filter(|_| outlier.is_none());
        Ok(Self {
            name: name.shared(),
            servers,
            standings: standings.used,
            strategy,
            hash: hash.transpose()?,
            turns,
            sticky,
            passive: passive.map(|settings| Passive::new(settings, back)),
            outlier,
            active,
        })
    }

    /// Whether a server is up.
    pub fn is_up(&self) -> bool {
        self.servers.iter().any(|server| server.standing.is_up())
    }

    /// Whether it tells of its health.
    pub fn reports(&self) -> Reports {
        if self.active.is_some() { Reports::Health } else { Reports::Nothing }
    }

    /// Whether the active health check has each server up, by URL, for the API.
    pub fn server_status(&self) -> Vec<(Arc<str>, bool)> {
        let status = |(url, standing): &(Arc<str>, Arc<Standing>)| {
            (Arc::clone(url), standing.is_checked_up())
        };
        self.standings.iter().map(status).collect()
    }

    /// Whether each server gets requests, by URL, for metrics: active and passive health check together.
    pub fn server_up(&self) -> Vec<(Arc<str>, bool)> {
        let up =
            |(url, standing): &(Arc<str>, Arc<Standing>)| (Arc::clone(url), standing.is_well());
        self.standings.iter().map(up).collect()
    }

    /// Sets what the active health check found for all servers.
    #[cfg(test)]
    pub(crate) fn set_all_up(&self, up: bool) {
        for (_, standing) in &self.standings {
            standing.set_up(up);
        }
    }

    /// Sends the request to a server.
    pub async fn call(&self, request: Request, exchange: &Exchange) -> Response {
        let tried = exchange.facts(|facts| facts.server.clone());
        let Some(Choice { server, cookie, trial }) = self.choose(&request, tried.as_ref()) else {
            exchange.note(|facts| facts.service = Some(Arc::clone(&self.name)));
            return fault::answer(Fault::NoServer);
        };
        exchange.note(|facts| {
            facts.service = Some(Arc::clone(&self.name));
            facts.server = Some(Arc::clone(&server.url));
        });
        let in_flight = self.strategy.counts().then(|| server.standing.enter());
        let begun = self.strategy.begin();
        let mut response =
            forward::forward(request, &server.endpoint, &server.forwarding, exchange).await;
        if let Some(begun) = begun {
            self.strategy.note(server, begun, &response);
        }
        self.note(server, &response, trial);
        if let Some(line) = cookie {
            sticky::set(&mut response.headers, line);
        }
        match in_flight {
            Some(guard) => response.holding(guard),
            None => response,
        }
    }

    /// Notes what an answer says of the health of its server.
    fn note(&self, server: &Server, response: &Response, trial: Option<Trial>) {
        let now = Instant::now();
        if let Some(passive) = &self.passive
            && passive.note(response, &server.standing, now)
        {
            tracing::warn!(service = %self.name, server = %server.url, "server left out: it fails requests");
        }
        if let Some(outlier) = &self.outlier
            && let Some(reason) =
                outlier.note(response, &server.standing, trial, &self.standings, now)
        {
            self.ejected(server, reason);
        }
    }

    #[cold]
    fn ejected(&self, server: &Server, reason: Reason) {
        let (service, url) = (&*self.name, without_userinfo(&server.url));
        tracing::warn!(service, server = %url, reason = reason.as_str(), "server ejected");
        server.standing.conduct.metric(reason, || {
            let labels = [("reason", reason.as_str()), ("service", service), ("url", &*url)];
            Metric::new(&EJECTIONS, &labels)
        });
    }

    /// A server for `request`; not the one that this exchange has `tried` last, if there is another. A server that was
    /// ejected is tried by one request, so one that comes a moment later looks for another server.
    fn choose(&self, request: &Request, tried: Option<&Arc<str>>) -> Option<Choice<'_>> {
        let Some(outlier) = &self.outlier else {
            return self.choose_among(request, tried, Standing::is_up);
        };
        if outlier.panics(&self.standings) {
            return self.choose_among(request, tried, Standing::is_checked_up);
        }
        for _ in 0..=self.servers.len() {
            let choice = self.choose_among(request, tried, Standing::is_up)?;
            match Conduct::enter(&choice.server.standing) {
                Entry::Open => return Some(choice),
                Entry::Probe(trial) => return Some(Choice { trial: Some(trial), ..choice }),
                Entry::Closed => {}
            }
        }
        self.choose_among(request, tried, Standing::is_checked_up)
    }

    fn choose_among(
        &self,
        request: &Request,
        tried: Option<&Arc<str>>,
        usable: fn(&Standing) -> bool,
    ) -> Option<Choice<'_>> {
        let to = |server, cookie| Choice { server, cookie, trial: None };
        let Some(sticky) = &self.sticky else {
            let server = self.servers.get(self.pick_other(request, tried, usable)?)?;
            return Some(to(server, None));
        };
        let found = sticky.find(&request.headers);
        let found = found.and_then(|(index, form)| Some((index, form, self.servers.get(index)?)));
        let fits = |server: &Server| usable(&server.standing) && !is_tried(server, tried);
        match found.filter(|(.., server)| fits(server)) {
            Some((_, Form::Current, server)) => Some(to(server, None)),
            Some((index, Form::Legacy, server)) => Some(to(server, sticky.line(index))),
            None => {
                let index = self.pick_other(request, tried, usable)?;
                Some(to(self.servers.get(index)?, sticky.line(index)))
            }
        }
    }

    /// As [`Balancer::pick`]. A repetition that met the server which has just failed, as it can when others take turns
    /// between, would be one for nothing.
    fn pick_other(
        &self,
        request: &Request,
        tried: Option<&Arc<str>>,
        usable: fn(&Standing) -> bool,
    ) -> Option<usize> {
        let index = self.pick(request, usable)?;
        let fits = |index: &usize| {
            self.servers.get(*index).is_some_and(|it| usable(&it.standing) && !is_tried(it, tried))
        };
        if tried.is_none() || fits(&index) {
            return Some(index);
        }
        let count = self.servers.len();
        (1..count).map(|step| (index + step) % count).find(fits).or(Some(index))
    }

    /// The index of a usable server.
    fn pick(&self, request: &Request, usable: fn(&Standing) -> bool) -> Option<usize> {
        let servers = &self.servers;
        let is_usable = |index: usize| servers.get(index).is_some_and(|it| usable(&it.standing));
        self.strategy.pick(servers, self.hash.as_ref(), &self.turns, request, is_usable)
    }
}

static EJECTIONS: metric::Family = metric::Family {
    name: "portcullis_service_ejections_total",
    help: "How often a server was ejected because of its answers.",
    kind: metric::Kind::Counter,
};

/// The turns of `servers`: those of `previous` if it has the same ones, otherwise beginning where those are.
fn turns(servers: &[Server], previous: Option<&Balancer>) -> Arc<Wrr> {
    let weights: Vec<f64> = servers.iter().map(|server| server.weight).collect();
    let Some(previous) = previous else { return Arc::new(Wrr::new(&weights)) };
    let same = |(a, b): (&Server, &Server)| a.url == b.url && a.weight.total_cmp(&b.weight).is_eq();
    if servers.len() == previous.servers.len() && servers.iter().zip(&previous.servers).all(same) {
        return Arc::clone(&previous.turns);
    }
    let known = previous.servers.iter().enumerate().map(|(index, server)| (&server.url, index));
    let known: HashMap<_, _> = known.collect();
    let earlier: Vec<_> = servers.iter().map(|server| known.get(&server.url).copied()).collect();
    Arc::new(Wrr::after(&previous.turns, &weights, &earlier))
}

/// How each server is asked for its health; once where several entries name one.
fn targets(
    check: &HealthCheck,
    servers: &[Server],
    endpoint: &mut dyn FnMut(Address) -> Arc<Endpoint>,
) -> Result<Vec<Arc<Target>>, String> {
    let mut targets: Vec<Arc<Target>> = Vec::new();
    for server in servers {
        if targets.iter().all(|target| target.url != server.url) {
            let tunnel = server.endpoint.tunnel();
            let mut endpoint = |address: Address| endpoint(address.behind(tunnel.cloned()));
            let probe = Probe::new(check, &server.url, &mut endpoint)?;
            let (url, standing) = (Arc::clone(&server.url), Arc::clone(&server.standing));
            targets.push(Arc::new(Target { url, probe, standing }));
        }
    }
    Ok(targets)
}

/// Finds what is known of servers by URL. Traefik: entries with one URL share their health.
struct Standings {
    known: HashMap<Arc<str>, Arc<Standing>>,
    used: Vec<(Arc<str>, Arc<Standing>)>,
}

impl Standings {
    fn new(previous: Option<&Balancer>) -> Self {
        let known = previous.map(|balancer| balancer.standings.iter().cloned().collect());
        Self { known: known.unwrap_or_default(), used: Vec::new() }
    }

    /// Without active checks nothing would bring a server back that a check found down before.
    fn forget_checks(&self) {
        for (_, standing) in &self.used {
            standing.set_up(true);
        }
    }

    fn of(&mut self, url: &str) -> (Arc<str>, Arc<Standing>) {
        let known = self.known.get_key_value(url);
        let (url, standing) = match known {
            Some((url, standing)) => (Arc::clone(url), Arc::clone(standing)),
            None => (Arc::from(url), Arc::default()),
        };
        self.known.insert(Arc::clone(&url), Arc::clone(&standing));
        if !self.used.iter().any(|(used, _)| *used == url) {
            self.used.push((Arc::clone(&url), Arc::clone(&standing)));
        }
        (url, standing)
    }
}

/// Whether the exchange has tried this server last.
fn is_tried(server: &Server, tried: Option<&Arc<str>>) -> bool {
    tried.is_some_and(|tried| Arc::ptr_eq(tried, &server.url))
}

#[cfg(test)]
mod tests;
