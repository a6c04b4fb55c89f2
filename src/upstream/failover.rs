//! `Failover`: a second service answers while the first is down or, if asked for, when it fails.

use std::ops::RangeInclusive;
use std::sync::Arc;

use http::StatusCode;
use portcullis_config::routing::http::FailoverErrors;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::chain::BoxedService as _;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::balancer::Reports;
use super::buffer::{self, Read};
use super::child::must_report;
use super::fault;
use super::service::Service;

/// A second service answers while the first is down.
#[derive(Debug)]
pub struct Failover {
    service: Arc<Service>,
    fallback: Arc<Service>,
    errors: Option<Errors>,
    watched: Reports,
}

/// Answers of the first service that make the second one answer instead.
#[derive(Debug)]
struct Errors {
    status: Vec<RangeInclusive<u16>>,
    /// `None`: what is larger than [`buffer::MOST`] is sent once only.
    most: Option<u64>,
}

impl Failover {
    /// `service` and `fallback` come with the names that the user wrote.
    pub fn new(
        service: (&str, Arc<Service>),
        fallback: (&str, Arc<Service>),
        errors: Option<&FailoverErrors>,
        watched: Reports,
    ) -> Result<Self, String> {
        let errors = errors.filter(|errors| !errors.status.is_empty()).map(Errors::parse);
        let errors = errors.transpose()?;
        if errors.is_none() {
            must_report(service.0, &service.1)
                .map_err(|error| format!("{error}, or the failover needs errors.status"))?;
        }
        if watched == Reports::Health {
            must_report(fallback.0, &fallback.1)?;
        }
        Ok(Self { service: service.1, fallback: fallback.1, errors, watched })
    }

    /// Whether one of the two can answer, as far as is watched.
    pub fn is_up(&self) -> bool {
        self.service_is_up() || self.fallback_is_up()
    }

    /// Whether it tells of its health.
    pub fn reports(&self) -> Reports {
        self.watched
    }

    fn service_is_up(&self) -> bool {
        self.service.reports() == Reports::Nothing || self.service.is_up()
    }

    fn fallback_is_up(&self) -> bool {
        self.watched == Reports::Nothing || self.fallback.is_up()
    }

    /// Has the request answered by the first of the two that can.
    pub async fn call(&self, request: Request, exchange: &Exchange) -> Response {
        match &self.errors {
            Some(errors) => self.call_again(errors, request, exchange).await,
            None if self.service_is_up() => self.service.call_boxed(request, exchange).await,
            None => self.fall_back(request, exchange).await,
        }
    }

    async fn fall_back(&self, request: Request, exchange: &Exchange) -> Response {
        if self.fallback_is_up() {
            return self.fallback.call_boxed(request, exchange).await;
        }
        // Traefik: another text than where a balancer has no server.
        Response::text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            .because(Fault::NoServer)
    }

    async fn call_again(
        &self,
        errors: &Errors,
        mut request: Request,
        exchange: &Exchange,
    ) -> Response {
        let limit = errors.most.unwrap_or(buffer::MOST);
        let body = match buffer::read(std::mem::take(&mut request.body), limit).await {
            Read::Whole(body) => body,
            Read::TooLarge(_) if errors.most.is_some() => {
                return Response::text(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large");
            }
            Read::TooLarge(body) => {
                request.body = body;
                let up = self.service_is_up();
                let once = if up { &self.service } else { &self.fallback };
                return once.call_boxed(request, exchange).await;
            }
            Read::Broken(_) => return fault::answer(Fault::ClientGone),
        };
        request.body = body.body();
        if !self.service_is_up() {
            return self.fall_back(request, exchange).await;
        }
        let mut copy = request.copy_head();
        // A wish to upgrade can be copied; whichever service agrees redeems it.
        copy.extensions = request.extensions.clone();
        let response = self.service.call_boxed(request, exchange).await;
        if !errors.lists(response.status) {
            return response;
        }
        drop(response);
        exchange.note(|facts| {
            facts.fault = None;
            facts.cause = None;
        });
        copy.body = body.body();
        self.fall_back(copy, exchange).await
    }
}

impl Errors {
    fn parse(settings: &FailoverErrors) -> Result<Self, String> {
        let status: Result<_, String> = settings.status.iter().map(|text| statuses(text)).collect();
        let most = u64::try_from(settings.max_request_body_bytes).ok();
        Ok(Self { status: status?, most })
    }

    fn lists(&self, status: StatusCode) -> bool {
        status != StatusCode::SWITCHING_PROTOCOLS
            && self.status.iter().any(|range| range.contains(&status.as_u16()))
    }
}

/// Reads `503` or `502-504`.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => {
            Err(format!("errors.status: `{text}` is neither a status nor a range such as 502-504"))
        }
    }
}
