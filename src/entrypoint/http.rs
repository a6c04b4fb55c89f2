//! The handler of HTTP requests: snapshot, route, chain, record.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, OnceLock};

use ::http::header::{ALT_SVC, HeaderValue};
use ::http::{Method, StatusCode, Version};
use futures_util::FutureExt;
use portcullis_middlewares::message::{Body, Fault, Request, Response};
use portcullis_middlewares::path::{self, EncodedCharacters};

use crate::http::serve::Handler;
use crate::net::live::Live;
use crate::observe::Observer;
use crate::observe::record::Record;
use crate::observe::series::{RouterSeries, Switch};
use crate::snapshot::{EntryPoint, Route, Snapshot, subject};
use crate::tls::acme::challenges::Challenges;
use crate::upstream::fault;

/// Answers the requests of one entry point through the newest snapshot.
pub struct Http {
    /// Index of the entry point in snapshots.
    pub index: usize,
    /// The newest snapshot.
    pub live: Arc<Live<Snapshot>>,
    /// Takes the records.
    pub observer: Arc<Observer>,
    /// Escapes that paths may not hold.
    pub denied: EncodedCharacters,
    /// Proofs that authorities may ask for here, before any router is asked.
    pub challenges: Option<Arc<Challenges>>,
    /// What clients of HTTP/1 and h2 over TLS are told of HTTP/3 (RFC 7838), once it is served.
    pub alternative: OnceLock<HeaderValue>,
}

impl Handler for Http {
    async fn handle(
        &self,
        request: Request,
        body_bytes: Option<Arc<AtomicU64>>,
    ) -> (Response, Option<Box<Record>>) {
        let told = self.told(&request);
        let snapshot = self.live.load();
        let Some(entry_point) = snapshot.entry_points.get(self.index) else {
            return (Response::not_found(), None);
        };
        let mut record = Record::begin(&request, &entry_point.series, &self.observer);
        record.request_bytes = body_bytes;
        if request.method == Method::GET
            && let Some(response) = self.proof(request.target.path()).await
        {
            record.router = Some(acme_router());
            record.answer(&response);
            return (response, Some(record));
        }
        let mut response = match self.find(entry_point, &request) {
            Ok(route) => {
                drop(snapshot);
                record.router = Some(Arc::clone(&route.series));
                run(&route, request, &record).await
            }
            Err(response) => *response,
        };
        if let Some(alternative) = told {
            response.headers.append(ALT_SVC, alternative.clone());
        }
        record.answer(&response);
        (response, Some(record))
    }
}

impl Http {
    /// The answer to an authority that asks for a proof (RFC 8555 section 8.3), whatever routers say of its path.
    async fn proof(&self, path: &str) -> Option<Response> {
        let challenges =
            self.challenges.as_ref().filter(|_| path.starts_with(Challenges::PREFIX))?;
        let proof = challenges.file(path).await?;
        Some(Response::text(StatusCode::OK, &proof))
    }

    /// What the client is told of HTTP/3. Traefik: every answer over TLS but those over HTTP/3 has it.
    fn told(&self, request: &Request) -> Option<&HeaderValue> {
        let alternative = self.alternative.get()?;
        let may = request.connection.tls.is_some() && request.version < Version::HTTP_3;
        may.then_some(alternative)
    }

    /// The route of a request, or the answer where it has none.
    fn find(
        &self,
        entry_point: &EntryPoint,
        request: &Request,
    ) -> Result<Arc<Route>, Box<Response>> {
        let routes = match &request.connection.tls {
            Some(_) => &entry_point.secure,
            None => &entry_point.plain,
        };
        let (found, admitted) = subject::with(request, |subject| {
            let admitted = request.connection.tls.as_ref().is_none_or(|tls| {
                entry_point
                    .policy
                    .admits(&tls.options, crate::http::matcher::Subject::host(subject))
            });
            (routes.find(subject).cloned(), admitted)
        });
        let Some(route) = found else { return Err(Box::new(Response::not_found())) };
        if !self.denied.is_empty()
            && path::find_encoded(request.target.path(), self.denied).is_some()
        {
            return Err(Box::new(Response::new(StatusCode::BAD_REQUEST, Body::Empty)));
        }
        if !admitted {
            // RFC 9110 section 15.5.20: the connection was accepted on other terms than the host asks for.
            let text = "Misdirected Request";
            return Err(Box::new(Response::text(StatusCode::MISDIRECTED_REQUEST, text)));
        }
        Ok(route)
    }
}

/// What authorities' requests are logged under. Traefik: the same name.
fn acme_router() -> Arc<RouterSeries> {
    static SERIES: LazyLock<Arc<RouterSeries>> = LazyLock::new(|| {
        let name: Arc<str> = "acme-http@internal".into();
        let service = Arc::clone(&name);
        Arc::new(RouterSeries { name, service, access_log: Switch::On, metrics: Switch::On })
    });
    Arc::clone(&SERIES)
}

/// A panic ends one request, with a 500, and nothing else.
async fn run(route: &Route, request: Request, record: &Record) -> Response {
    let answer = AssertUnwindSafe(route.run(request, &record.exchange)).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        tracing::error!(router = %route.series.name, "a request ended in a panic");
        record.exchange.note(|facts| facts.fault = Some(Fault::Panic));
        fault::answer(Fault::Panic)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::future_size::{assert_within, of_3};

    #[test]
    fn a_request_takes_little_memory() {
        assert_within("a request", of_3(<Http as Handler>::handle), 1000..=2560);
        assert_within("a request after its routing", of_3(run), 1000..=2560);
    }
}
