//! The chain of one route: steps of two shapes and the walk over them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::message::{Request, Response};

/// A boxed future.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A step that looks at or edits heads and never waits.
///
/// It has no memory between its two halves except the [`Exchange`]; what needs more is a [`Wrap`].
pub trait Filter: Send + Sync + 'static {
    /// Sees the request on its way in; may answer at once.
    fn request(&self, request: &mut Request, exchange: &Exchange) -> Flow {
        let _ = (request, exchange);
        Flow::Next
    }

    /// Sees every response on its way out, also those that later steps made.
    fn response(&self, response: &mut Response, exchange: &Exchange) {
        let _ = (response, exchange);
    }
}

/// Where a request goes after a filter.
#[derive(Debug)]
pub enum Flow {
    /// On.
    Next,
    /// Back, with this answer.
    Stop(Box<Response>),
}

/// A step that waits, repeats, replaces or rewrites bodies: it holds the rest of the chain in its hand.
pub trait Wrap: Send + Sync + 'static {
    /// Handles the request, usually by running `next`, which is `Copy`: it can be run again.
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Later<'a, Response>;
}

/// What stands at the end of a chain. It cannot fail: a failure is a response with its [`crate::Fault`].
pub trait Service: Send + Sync {
    /// Answers the request.
    fn call<'a>(
        &'a self,
        request: Request,
        exchange: &'a Exchange,
    ) -> impl Future<Output = Response> + Send + 'a;
}

/// A [`Service`] behind a pointer.
pub trait BoxedService: Send + Sync {
    /// Answers the request.
    fn call_boxed<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Later<'a, Response>;
}

impl<S: Service> BoxedService for S {
    fn call_boxed<'a>(&'a self, request: Request, exchange: &'a Exchange) -> Later<'a, Response> {
        Box::pin(self.call(request, exchange))
    }
}

/// One compiled step.
#[derive(Clone)]
pub enum Step {
    /// Plain calls on the way in and out.
    Filter(Arc<dyn Filter>),
    /// One boxed future around the rest.
    Wrap(Arc<dyn Wrap>),
}

impl Step {
    /// A filter step.
    pub fn filter(filter: impl Filter) -> Self {
        Self::Filter(Arc::new(filter))
    }

    /// A wrap step.
    pub fn wrap(wrap: impl Wrap) -> Self {
        Self::Wrap(Arc::new(wrap))
    }
}

/// The compiled steps of one route, in the order in which requests meet them.
#[derive(Clone, Default)]
pub struct Chain {
    steps: Box<[Step]>,
}

impl Chain {
    /// A chain of `steps`.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into() }
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs a request through all steps and `service`. Without wraps nothing is boxed.
    pub async fn run<S: Service>(
        &self,
        mut request: Request,
        service: &S,
        exchange: &Exchange,
    ) -> Response {
        let (passed, turn) = walk(&self.steps, &mut request, exchange);
        let mut response = match turn {
            Turn::End => service.call(request, exchange).await,
            Turn::Stop(response) => *response,
            Turn::Wrap(wrap, steps) => wrap.call(request, Next { steps, service, exchange }).await,
        };
        walk_back(passed, &mut response, exchange);
        response
    }
}

impl Chain {
    /// Runs a request through all steps and a service behind a pointer, for chains inside chains.
    pub fn run_boxed<'a>(
        &'a self,
        request: Request,
        service: &'a dyn BoxedService,
        exchange: &'a Exchange,
    ) -> Later<'a, Response> {
        Next { steps: &self.steps, service, exchange }.run(request)
    }
}

/// The rest of a chain. `Copy`, so that a retry can run it again.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    steps: &'a [Step],
    service: &'a dyn BoxedService,
    exchange: &'a Exchange,
}

impl<'a> Next<'a> {
    /// Runs the rest of the chain.
    pub fn run(self, mut request: Request) -> Later<'a, Response> {
        let (passed, turn) = walk(self.steps, &mut request, self.exchange);
        let exchange = self.exchange;
        let inner: Later<'a, Response> = match turn {
            Turn::End => self.service.call_boxed(request, exchange),
            Turn::Stop(response) => Box::pin(std::future::ready(*response)),
            Turn::Wrap(wrap, steps) => wrap.call(request, Next { steps, ..self }),
        };
        if passed.is_empty() {
            return inner;
        }
        Box::pin(async move {
            let mut response = inner.await;
            walk_back(passed, &mut response, exchange);
            response
        })
    }

    /// The record of the request.
    pub fn exchange(self) -> &'a Exchange {
        self.exchange
    }
}

/// Where a walk forward ended.
enum Turn<'a> {
    End,
    Stop(Box<Response>),
    Wrap(&'a dyn Wrap, &'a [Step]),
}

/// Walks over the filters up to the first answer, wrap or the end; returns the filters passed.
fn walk<'a>(
    steps: &'a [Step],
    request: &mut Request,
    exchange: &Exchange,
) -> (&'a [Step], Turn<'a>) {
    for (index, step) in steps.iter().enumerate() {
        let (passed, rest) = steps.split_at(index);
        match step {
            Step::Filter(filter) => match filter.request(request, exchange) {
                Flow::Next => {}
                Flow::Stop(response) => return (passed, Turn::Stop(response)),
            },
            Step::Wrap(wrap) => return (passed, Turn::Wrap(&**wrap, rest.get(1..).unwrap_or(&[]))),
        }
    }
    (steps, Turn::End)
}

fn walk_back(passed: &[Step], response: &mut Response, exchange: &Exchange) {
    for step in passed.iter().rev() {
        if let Step::Filter(filter) = step {
            filter.response(response, exchange);
        }
    }
}
