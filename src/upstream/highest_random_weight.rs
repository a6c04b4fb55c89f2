//! `HighestRandomWeight`: sends each client address always to the same of several services.

use std::sync::Arc;

use portcullis_middlewares::Exchange;
use portcullis_middlewares::chain::BoxedService as _;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::balance::hrw;
use super::balancer::Reports;
use super::child::Children;
use super::fault;

/// Sends each client address always to the same of several services.
#[derive(Debug)]
pub struct HighestRandomWeight {
    name: Arc<str>,
    children: Children,
}

impl HighestRandomWeight {
    /// The service `name`.
    pub fn new(name: Arc<str>, children: Children) -> Self {
        Self { name, children }
    }

    /// Whether a child can answer.
    pub fn is_up(&self) -> bool {
        self.children.is_up()
    }

    /// Whether it tells of its health.
    pub fn reports(&self) -> Reports {
        self.children.watched()
    }

    /// Sends the request to the client's child.
    pub async fn call(&self, request: Request, exchange: &Exchange) -> Response {
        let usable = (0..self.children.all().len()).filter_map(|index| {
            self.children.usable(index).map(|child| (index, &*child.name, child.weight))
        });
        let chosen = hrw::pick(request.client_ip(), usable);
        match chosen.and_then(|index| self.children.all().get(index)) {
            Some(child) => child.service.call_boxed(request, exchange).await,
            None => {
                exchange.note(|facts| facts.service = Some(Arc::clone(&self.name)));
                fault::answer(Fault::NoServer)
            }
        }
    }
}
