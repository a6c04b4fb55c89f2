//! `Weighted`: shares requests out among services.

use std::sync::Arc;

use portcullis_config::routing::http::Cookie;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::chain::BoxedService as _;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::balance::wrr::Wrr;
use super::balancer::Reports;
use super::child::{Child, Children};
use super::fault;
use super::sticky::{self, Form, Sticky};

/// Shares requests out among services.
#[derive(Debug)]
pub struct Weighted {
    name: Arc<str>,
    children: Children,
    turns: Arc<Wrr>,
    sticky: Option<Sticky>,
}

impl Weighted {
    /// The weighted service `name`; `previous` is that of the same name in the snapshot before, whose position goes on.
    pub fn new(
        name: Arc<str>,
        children: Children,
        cookie: Option<&Cookie>,
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        let names = children.all().iter().map(|child| &*child.name);
        let sticky = cookie.map(|cookie| Sticky::new(&name, cookie, names)).transpose()?;
        let turns = turns(children.all(), previous);
        Ok(Self { name, children, turns, sticky })
    }

    /// Whether a child can answer.
    pub fn is_up(&self) -> bool {
        self.children.is_up()
    }

    /// Whether it tells of its health.
    pub fn reports(&self) -> Reports {
        self.children.watched()
    }

    /// Sends the request to a child.
    pub async fn call(&self, request: Request, exchange: &Exchange) -> Response {
        let Some((child, line)) = self.choose(&request) else {
            exchange.note(|facts| facts.service = Some(Arc::clone(&self.name)));
            return fault::answer(Fault::NoServer);
        };
        let mut response = child.service.call_boxed(request, exchange).await;
        if let Some(line) = line {
            sticky::set(&mut response.headers, line);
        }
        response
    }

    /// A child, and the line of the cookie if the client is to be told.
    fn choose(&self, request: &Request) -> Option<(&Child, Option<http::HeaderValue>)> {
        let sticky = self.sticky.as_ref();
        let found = sticky.and_then(|sticky| sticky.find(&request.headers));
        let found =
            found.and_then(|(index, form)| Some((index, form, self.children.usable(index)?)));
        let index = match found {
            Some((_, Form::Current, child)) => return Some((child, None)),
            Some((index, Form::Legacy, _)) => index,
            None => self.turns.pick(|index| self.children.usable(index).is_some())?,
        };
        let line = sticky.and_then(|sticky| sticky.line(index));
        self.children.all().get(index).map(|child| (child, line))
    }
}

fn turns(children: &[Child], previous: Option<&Weighted>) -> Arc<Wrr> {
    let weights: Vec<f64> = children.iter().map(|child| child.weight).collect();
    let Some(previous) = previous else { return Arc::new(Wrr::new(&weights)) };
    let before = previous.children.all();
    let same = |(a, b): (&Child, &Child)| a.name == b.name && a.weight.total_cmp(&b.weight).is_eq();
    if children.len() == before.len() && children.iter().zip(before).all(same) {
        return Arc::clone(&previous.turns);
    }
    let earlier = |child: &Child| before.iter().position(|known| known.name == child.name);
    let earlier: Vec<_> = children.iter().map(earlier).collect();
    Arc::new(Wrr::after(&previous.turns, &weights, &earlier))
}
