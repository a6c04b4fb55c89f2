//! One request and its answer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http_body::Body as _;
use portcullis_middlewares::message::Response;
use tokio::time::timeout;

use super::super::{Handler, Protocol, Session};
use super::body::RequestBody;
use super::flow::{Flow, Stopped, Tally};
use super::head;
use super::transport::{Both, Sending, Transport};
use crate::http::activity::Activity;
use crate::observe::record::{Record, Recorded};

/// How long the head of a request may take where reading has no limit.
const HEAD: Duration = Duration::from_secs(60);

/// A client that takes no byte of an answer for this long is gone, as with the other protocols.
const STALL: Duration = Duration::from_secs(60);

/// A request on its own stream.
pub(super) struct Exchange<H> {
    pub(super) session: Arc<Session<H>>,
    pub(super) activity: Arc<Activity>,
    pub(super) flow: Arc<Flow>,
    pub(super) stopped: Stopped,
    pub(super) tally: Arc<Tally>,
}

/// The request came to no answer; what was sent of one has been cut off.
struct GivenUp;

/// The half of a stream that answers.
type Answer = RequestStream<Sending, Bytes>;

impl<H: Handler> Exchange<H> {
    /// Has the request answered. Dropped halves of the stream tell the client that nothing more comes or is read.
    pub(super) async fn run(mut self, resolver: RequestResolver<Transport, Bytes>) {
        match self.answer(resolver).await {
            Ok(()) => self.tally.finished(),
            Err(GivenUp) => self.tally.given_up(),
        }
        if self.session.drain.has_begun() {
            // The connection closes next, and closing drops what has not arrived.
            drop(timeout(super::LAST_ANSWERS, self.stopped).await);
        }
    }

    async fn answer(&mut self, resolver: RequestResolver<Transport, Bytes>) -> Result<(), GivenUp> {
        let (request, stream) = self.head(resolver).await?;
        let without_body = request.method() == http::Method::HEAD;
        let Ok(length) = head::check(request.headers()) else { return malformed(stream) };
        let (mut answer, receive) = stream.split();
        let patience = head::patience(request.method());
        let body = RequestBody::begin(receive, Arc::clone(&self.flow), length, patience);
        let body = self.unless_stopped(body).await?;
        let request = request.map(|()| body);
        let received = self.session.receive(request, &self.activity, Protocol::Http2);
        let session = Arc::clone(&self.session);
        let answered = Box::pin(session.answer(received));
        let (response, record) = self.unless_stopped(answered).await?;
        if self.flow.is_malformed() {
            answer.stop_stream(Code::H3_MESSAGE_ERROR);
            return Err(GivenUp);
        }
        self.respond(&mut answer, response, record, without_body).await
    }

    async fn head(
        &mut self,
        resolver: RequestResolver<Transport, Bytes>,
    ) -> Result<(http::Request<()>, RequestStream<Both, Bytes>), GivenUp> {
        let limit = self.session.settings.read_timeout.unwrap_or(HEAD);
        let resolved = timeout(limit, resolver.resolve_request()).await;
        match resolved {
            Ok(Ok(resolved)) => Ok(resolved),
            Ok(Err(error)) => {
                tracing::trace!(%error, "a request over HTTP/3 has no head");
                Err(GivenUp)
            }
            Err(_) => Err(GivenUp),
        }
    }

    async fn respond(
        &mut self,
        answer: &mut Answer,
        response: Response,
        record: Option<Box<Record>>,
        without_body: bool,
    ) -> Result<(), GivenUp> {
        let Response { status, headers, body, .. } = response;
        let body = Recorded::new(body, record);
        let without_body = without_body || head::has_no_body(status);
        let head = head::respond(status, headers, (!without_body).then(|| body.size_hint()));
        in_time(answer.send_response(head)).await?;
        if !without_body {
            self.send_body(answer, body).await?;
        }
        in_time(answer.finish()).await
    }

    async fn send_body(&mut self, answer: &mut Answer, mut body: Recorded) -> Result<(), GivenUp> {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            let Some(frame) = self.unless_stopped(frame).await? else { return Ok(()) };
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "an answer over HTTP/3 was cut off");
                GivenUp
            })?;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => in_time(answer.send_data(data)).await?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        in_time(answer.send_trailers(trailers)).await?;
                    }
                }
            }
        }
    }

    /// What `future` gives, unless the client stops the answer before.
    async fn unless_stopped<F: Future>(&mut self, future: F) -> Result<F::Output, GivenUp> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut self.stopped).poll(context).map(|()| Err(GivenUp))
        })
        .await
    }
}

/// RFC 9114 section 4.1.2.
fn malformed<T>(mut stream: RequestStream<Both, Bytes>) -> Result<T, GivenUp> {
    stream.stop_sending(Code::H3_MESSAGE_ERROR);
    stream.stop_stream(Code::H3_MESSAGE_ERROR);
    Err(GivenUp)
}

/// One write, which the client must take in time.
async fn in_time<E: std::fmt::Display>(
    write: impl Future<Output = Result<(), E>>,
) -> Result<(), GivenUp> {
    match timeout(STALL, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::trace!(%error, "an answer over HTTP/3 was cut off");
            Err(GivenUp)
        }
        Err(_) => Err(GivenUp),
    }
}
