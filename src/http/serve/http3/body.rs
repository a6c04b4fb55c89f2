//! The body of a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt as _;
use h3::error::Code;
use h3::server::RequestStream;
use http_body::{Frame, SizeHint};
use portcullis_middlewares::message::{Body, BodyError};
use tokio::time::timeout;

use super::flow::Flow;
use super::transport::Receiving;

/// DATA frames without a byte that are skipped; the next one is an error, as whoever sends so many means no good.
const EMPTY: u64 = 100;

/// A body as it comes, and the trailers after it. Its length is the one that the head announced, or it is an error: a
/// server behind would take the difference for another request.
pub(super) struct RequestBody {
    stream: RequestStream<Receiving, Bytes>,
    flow: Arc<Flow>,
    left: Option<u64>,
    empty: u64,
    first: Option<Result<Frame<Bytes>, BodyError>>,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Data,
    Trailers,
    End,
}

impl RequestBody {
    /// The body of a request that announced this length. The end of a stream may come after the head, so a request that
    /// announces nothing is given this time, if any, to show whether it has a body.
    pub(super) async fn begin(
        stream: RequestStream<Receiving, Bytes>,
        flow: Arc<Flow>,
        length: Option<u64>,
        patience: Option<Duration>,
    ) -> Body {
        if length == Some(0) {
            return Body::Empty;
        }
        let mut body = Self { stream, flow, left: length, empty: 0, first: None, at: At::Data };
        if length.is_none() {
            let first = poll_fn(|context| body.poll_next(context));
            // Without a timer where there is nothing to wait for.
            let first = match patience {
                Some(patience) => timeout(patience, first).await.ok(),
                None => first.now_or_never(),
            };
            match first {
                Some(None) => return Body::Empty,
                first => body.first = first.flatten(),
            }
        }
        Body::stream(body)
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match self.at {
            At::Data => self.poll_data(context),
            At::Trailers => self.poll_trailers(context),
            At::End => return Poll::Ready(None),
        };
        if matches!(frame, Poll::Ready(Some(Err(_)))) {
            self.at = At::End;
        }
        frame
    }

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let data = loop {
            match ready!(self.stream.poll_recv_data(context))? {
                Some(mut data) => break Some(data.copy_to_bytes(data.remaining())),
                None if self.empty < self.flow.empty().min(EMPTY) => self.empty += 1,
                None => break None,
            }
        };
        let Some(data) = data else {
            self.at = At::Trailers;
            if self.left.is_some_and(|left| left > 0) {
                return self.malformed("the request body is shorter than announced");
            }
            return self.poll_trailers(context);
        };
        let count = data.len() as u64;
        self.flow.take(count);
        if let Some(left) = &mut self.left {
            match left.checked_sub(count) {
                Some(less) => *left = less,
                None => return self.malformed("the request body is longer than announced"),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn poll_trailers(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = ready!(self.stream.poll_recv_trailers(context));
        self.at = At::End;
        Poll::Ready(read?.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn malformed(&mut self, reason: &'static str) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.at = At::End;
        self.flow.set_malformed();
        self.stream.stop_sending(Code::H3_MESSAGE_ERROR);
        Poll::Ready(Some(Err(reason.into())))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => this.poll_next(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at == At::End && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // What has been looked at is no longer counted as left, but only a body of unknown length is looked at.
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
