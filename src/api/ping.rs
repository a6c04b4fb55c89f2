//! `ping@internal`: the answer to health checks.

use std::sync::Arc;

use ::http::StatusCode;
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service};

use crate::observe::Observer;

/// Answers `OK` to any method, until the process is about to stop.
pub struct Ping {
    /// Knows whether the process is about to stop.
    pub observer: Arc<Observer>,
    /// The status from then on.
    pub terminating: StatusCode,
}

impl Service for Ping {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        if self.observer.is_stopping() {
            return Response::bare(self.terminating);
        }
        Response::new(StatusCode::OK, "OK")
    }
}
