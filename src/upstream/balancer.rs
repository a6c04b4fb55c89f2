//! `Balancer`: picks a server for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use portcullis_config::Name;
use portcullis_config::routing::http::LoadBalancer;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::endpoint::{Address, Endpoint};
use super::fault;
use super::forward::{self, Forwarding, HostHeader};

/// Picks a server for each request.
#[derive(Debug)]
pub struct Balancer {
    name: Arc<str>,
    members: Vec<Arc<Member>>,
    next: AtomicUsize,
}

/// One server of one service.
#[derive(Debug)]
pub struct Member {
    /// The URL as the user wrote it.
    pub url: Arc<str>,
    endpoint: Arc<Endpoint>,
    forwarding: Forwarding,
}

impl Balancer {
    /// Compiles the settings of service `name`. `previous` is the balancer of the same name and policy in the snapshot
    /// before: its positions and its members' health, samples and counts live on. `endpoint` finds or makes endpoints.
    pub fn compile(
        name: &Name,
        settings: &LoadBalancer,
        previous: Option<&Self>,
        endpoint: &mut dyn FnMut(Address) -> Arc<Endpoint>,
    ) -> Result<Self, String> {
        let _ = previous;
        let host = if settings.pass_host_header { HostHeader::Client } else { HostHeader::Server };
        let mut members = Vec::new();
        for server in &settings.servers {
            let address = Address::parse(&server.url)?;
            let forwarding = Forwarding { host, base_path: None };
            let url = server.url.as_str().into();
            members.push(Arc::new(Member { url, endpoint: endpoint(address), forwarding }));
        }
        Ok(Self { name: name.shared(), members, next: AtomicUsize::new(0) })
    }

    /// Whether a server is up.
    pub fn is_up(&self) -> bool {
        !self.members.is_empty()
    }

    /// Whether each server is up, by URL, for the API.
    pub fn server_status(&self) -> Vec<(Arc<str>, bool)> {
        self.members.iter().map(|member| (Arc::clone(&member.url), true)).collect()
    }

    /// Sends the request to a server.
    pub async fn call(&self, request: Request, exchange: &Exchange) -> Response {
        let turn = self.next.fetch_add(1, Relaxed);
        let Some(member) = self.members.get(turn % self.members.len().max(1)) else {
            exchange.note(|facts| facts.service = Some(Arc::clone(&self.name)));
            return fault::answer(Fault::NoServer);
        };
        exchange.note(|facts| {
            facts.service = Some(Arc::clone(&self.name));
            facts.server = Some(Arc::clone(&member.url));
        });
        forward::forward(request, &member.endpoint, &member.forwarding, exchange).await
    }
}
