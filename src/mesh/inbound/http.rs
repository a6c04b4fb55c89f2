//! `Inside`: the requests of a call, judged one by one and answered through the server-side middlewares.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use ::http::header::HeaderValue;
use ::http::{HeaderName, StatusCode};
use futures_util::FutureExt;
use portcullis_config::Name;
use portcullis_middlewares::Service as _;
use portcullis_middlewares::exchange::MeshCall;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::{Call, Inbound, asked, destination};
use crate::http::serve::Handler;
use crate::mesh::catalog::Workload;
use crate::mesh::figures::Opened;
use crate::mesh::policy::HttpAsked;
use crate::observe::record::Record;
use crate::upstream::fault;

/// Answers the requests of one call.
pub(super) struct Inside {
    pub(super) inbound: Arc<Inbound>,
    pub(super) call: Call,
    pub(super) workload: Arc<Workload>,
    /// The port of the service.
    pub(super) port: u16,
    /// What stands for the workload's port in snapshots.
    pub(super) service: Name,
    pub(super) opened: Opened,
    /// What logs say of the call.
    pub(super) told: Arc<MeshCall>,
}

const POLICY: HeaderName = HeaderName::from_static("portcullis-policy");

impl Handler for Inside {
    async fn handle(
        &self,
        request: Request,
        body_bytes: Option<Arc<AtomicU64>>,
    ) -> (Response, Option<Box<Record>>) {
        let begun = Instant::now();
        let mut record = Record::begin(&request, &self.inbound.series, &self.inbound.observer);
        record.request_bytes = body_bytes;
        record.exchange.note(|facts| facts.mesh = Some(Arc::clone(&self.told)));
        let response = match self.judge(&request) {
            Some(refusal) => refusal,
            None => self.run(request, &record).await,
        };
        self.opened.request(response.status, begun.elapsed());
        record.answer(&response);
        (response, Some(record))
    }
}

impl Inside {
    /// The refusal that a request meets, if it does. Asked anew for each: policies change while connections stand.
    fn judge(&self, request: &Request) -> Option<Response> {
        let state = self.inbound.state.load();
        let destination = destination(&self.workload);
        let asked = asked(&self.call, &self.workload, self.port, &destination);
        let http = HttpAsked {
            method: request.method.as_str(),
            path: request.target.path(),
            headers: &request.headers,
        };
        let decision = state.policies.decide(&super::Asked { http: Some(http), ..asked });
        decision.note();
        if let Some(policy) = &decision.audit {
            tracing::info!(
                source = %self.call.source,
                destination = %self.workload.id,
                method = %request.method,
                path = request.target.path(),
                policy = &**policy,
                "a request would be refused by a policy in audit mode"
            );
        }
        if decision.allowed {
            return None;
        }
        let policy = decision.rule.as_deref().unwrap_or("default");
        tracing::warn!(
            source = %self.call.source,
            destination = %self.workload.id,
            method = %request.method,
            path = request.target.path(),
            policy,
            "a request was refused"
        );
        let mut response = Response::text(StatusCode::FORBIDDEN, "Forbidden");
        if let Ok(name) = HeaderValue::from_str(policy) {
            response.headers.insert(POLICY, name);
        }
        Some(response)
    }

    /// A panic ends one request, with a 500, and nothing else.
    async fn run(&self, request: Request, record: &Record) -> Response {
        let found = self.inbound.live.with(|live| live.kept.services.get(&self.service).cloned());
        // The workload has gone, or its middlewares are broken: nothing may go around them.
        let Some(service) = found else { return fault::answer(Fault::NoServer) };
        let answer = AssertUnwindSafe(service.call(request, &record.exchange)).catch_unwind();
        answer.await.unwrap_or_else(|_| {
            tracing::error!(service = %self.service, "a request ended in a panic");
            record.exchange.note(|facts| facts.fault = Some(Fault::Panic));
            fault::answer(Fault::Panic)
        })
    }
}
