//! `panic@internal`: panics, so that tests over sockets see what a panic costs. Debug builds only.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use portcullis_middlewares::message::{Body, BodyError, Request, Response};
use portcullis_middlewares::{Exchange, Service};

/// Panics while it answers; for a path that ends in `/body` after the first bytes of the body.
pub(super) struct Panics;

impl Service for Panics {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        assert!(request.target.path().ends_with("/body"), "a test asked for a panic");
        Response::new(StatusCode::OK, Body::stream(Broken::default()))
    }
}

#[derive(Default)]
struct Broken {
    begun: bool,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        assert!(!self.begun, "a test asked for a panic in a body");
        self.begun = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"half")))))
    }
}
