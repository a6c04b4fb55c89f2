//! `Mirroring`: one service answers, others receive copies of the requests afterwards.
//!
//! Copies are sent on the worker of their request, one mirror after another, and their answers are thrown away. What they
//! cost is bounded: at most [`MOST_WAITING`] requests of a service are being copied at a time, each for [`LIMIT`] at the
//! longest; requests beyond are answered and not copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::chain::BoxedService as _;
use portcullis_middlewares::message::{Fault, Request, Response};

use super::balancer::Reports;
use super::buffer::{self, Buffered, Read};
use super::fault;
use super::service::Service;
use crate::net::task;

/// Requests of one service whose copies are under way.
pub const MOST_WAITING: usize = 1024;

/// How long one copy may take.
pub const LIMIT: Duration = Duration::from_mins(1);

/// One service answers, others receive copies of the requests.
#[derive(Debug)]
pub struct Mirroring {
    service: Arc<Service>,
    mirrors: Vec<Mirror>,
    bodies: Bodies,
    counts: Arc<Counts>,
    watched: Reports,
}

/// A service that receives copies.
#[derive(Debug)]
pub struct Mirror {
    /// Its name as the user wrote it.
    pub name: Arc<str>,
    /// Its share of the requests, 0 to 100.
    pub percent: u8,
    /// The service.
    pub service: Arc<Service>,
}

/// What becomes of request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Copied if they are not larger than this.
    Copied(u64),
    /// Only the service that answers gets them.
    LeftOut,
}

/// How many requests there were and how many each mirror got. For the process; goes on across reloads.
#[derive(Debug, Default)]
struct Counts {
    requests: Mutex<Shares>,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shares {
    total: u64,
    used: Vec<u64>,
}

impl Mirroring {
    /// `previous` is the service of the same name in the snapshot before; with equal mirrors its counts go on.
    pub fn new(
        service: Arc<Service>,
        mirrors: Vec<Mirror>,
        bodies: Bodies,
        watched: Reports,
        previous: Option<&Self>,
    ) -> Self {
        let same = |(a, b): (&Mirror, &Mirror)| a.name == b.name && a.percent == b.percent;
        let kept = previous.filter(|previous| {
            previous.mirrors.len() == mirrors.len()
                && previous.mirrors.iter().zip(&mirrors).all(same)
        });
        let counts = kept.map_or_else(Arc::default, |previous| Arc::clone(&previous.counts));
        Self { service, mirrors, bodies, counts, watched }
    }

    /// Whether the service that answers can.
    pub fn is_up(&self) -> bool {
        self.watched == Reports::Nothing || self.service.is_up()
    }

    /// Whether it tells of its health.
    pub fn reports(&self) -> Reports {
        self.watched
    }

    /// Has the request answered and then copies sent.
    pub async fn call(&self, mut request: Request, exchange: &Exchange) -> Response {
        let mirrors = self.due();
        // An upgraded connection cannot be copied.
        if mirrors.is_empty() || request.headers.contains_key(UPGRADE) {
            return self.service.call_boxed(request, exchange).await;
        }
        let body = match self.bodies {
            Bodies::LeftOut => Buffered::default(),
            Bodies::Copied(limit) => {
                match buffer::read(std::mem::take(&mut request.body), limit).await {
                    Read::Whole(body) => {
                        request.body = body.body();
                        body
                    }
                    Read::TooLarge(body) => {
                        request.body = body;
                        return self.service.call_boxed(request, exchange).await;
                    }
                    Read::Broken(_) => return fault::answer(Fault::ClientGone),
                }
            }
        };
        let mut copy = request.copy_head();
        if self.bodies == Bodies::LeftOut {
            copy.headers.remove(CONTENT_LENGTH);
            copy.headers.remove(TRANSFER_ENCODING);
        }
        let response = self.service.call_boxed(request, exchange).await;
        if let Some(place) = Place::take(&self.counts) {
            task::spawn(send(copy, body, mirrors, place));
        }
        response
    }

    /// The mirrors whose share asks for this request.
    fn due(&self) -> Vec<Arc<Service>> {
        let mut shares = self.counts.requests.lock();
        let total = shares.total.wrapping_add(1);
        shares.total = total;
        shares.used.resize(self.mirrors.len(), 0);
        let due = self.mirrors.iter().zip(&mut shares.used).filter_map(|(mirror, used)| {
            let share = u128::from(total) * u128::from(mirror.percent);
            (u128::from(*used) * 100 < share).then(|| {
                *used += 1;
                Arc::clone(&mirror.service)
            })
        });
        due.collect()
    }
}

/// Sends the copies one after another. They leave no line in the access log.
async fn send(head: Request, body: Buffered, mirrors: Vec<Arc<Service>>, place: Place) {
    for mirror in mirrors {
        let mut copy = head.copy_head();
        copy.body = body.body();
        let exchange = Exchange::begin(Arc::clone(&copy.connection));
        let sent = async {
            let mut response = mirror.call_boxed(copy, &exchange).await;
            // Read to its end, so that the connection can be used again.
            while let Some(Ok(_)) = response.body.frame().await {}
        };
        if tokio::time::timeout(LIMIT, sent).await.is_err() {
            tracing::debug!("a mirror did not answer within {LIMIT:?}");
        }
    }
    drop(place);
}

/// The right to send copies of one request.
struct Place(Arc<Counts>);

impl Place {
    fn take(counts: &Arc<Counts>) -> Option<Self> {
        // Counts itself out again if it was one too many.
        let place = Self(Arc::clone(counts));
        (counts.waiting.fetch_add(1, Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirroring(percents: &[u8], previous: Option<&Mirroring>) -> Mirroring {
        let service = Arc::new(Service::Internal(Arc::new(Nowhere)));
        let mirror = |percent: &u8| Mirror {
            name: "m".into(),
            percent: *percent,
            service: Arc::clone(&service),
        };
        let mirrors = percents.iter().map(mirror).collect();
        Mirroring::new(Arc::clone(&service), mirrors, Bodies::LeftOut, Reports::Nothing, previous)
    }

    struct Nowhere;

    impl portcullis_middlewares::Service for Nowhere {
        async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
            Response::not_found()
        }
    }

    #[test]
    fn ten_percent_is_every_tenth_request_from_the_first() {
        let mirroring = mirroring(&[10], None);
        let due: Vec<usize> = (1..=30).filter(|_| !mirroring.due().is_empty()).collect();
        assert_eq!(due, [1, 11, 21]);
    }

    #[test]
    fn shares_are_exact() {
        let mirroring = mirroring(&[0, 34, 100], None);
        let sum: usize = (0..100).map(|_| mirroring.due().len()).sum();
        assert_eq!(sum, 134);
    }

    #[test]
    fn shares_go_on_across_reloads_with_equal_mirrors() {
        let before = mirroring(&[50], None);
        assert_eq!(before.due().len(), 1);
        assert_eq!(mirroring(&[50], Some(&before)).due().len(), 0);
        assert_eq!(mirroring(&[51], Some(&before)).due().len(), 1);
    }

    #[test]
    fn copies_under_way_are_bounded() {
        let counts = Arc::new(Counts::default());
        let places: Vec<_> = (0..MOST_WAITING).map(|_| Place::take(&counts).unwrap()).collect();
        assert!(Place::take(&counts).is_none());
        drop(places);
        assert!(Place::take(&counts).is_some());
    }
}
