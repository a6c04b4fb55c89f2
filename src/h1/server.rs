//! The server's end of a connection: requests come in, one after the other, and each is answered.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use portcullis_middlewares::message::{Body, BodyError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::encoder::{self, Encoder};
use super::head;
use super::wire::Wire;
use super::{Error, Limits, Refusal};
use crate::net::rewound::Rewound;

/// The server's end of a connection.
#[derive(Debug)]
pub struct Server<S> {
    shared: Arc<Mutex<Shared<S>>>,
    limits: Limits,
    turn: Turn,
}

/// What the bodies of requests share with their connection.
#[derive(Debug)]
struct Shared<S> {
    wire: Wire<S>,
    /// The number of the request whose body is being read: older bodies that somebody still holds get nothing.
    number: u64,
    /// Whether the client waits for `100 Continue` before it sends the body.
    awaited: bool,
}

/// What must be known of a request to answer it.
#[derive(Clone, Debug)]
struct Turn {
    method: Method,
    version: Version,
    keep_alive: bool,
}

/// What comes next.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is nearly every one, and is taken apart at once"
)]
pub enum Next {
    /// A request. Its body, unless it is at hand already, is read as it is polled.
    Request(Request<Body>),
    /// Something that is no acceptable request: to be answered with [`Server::refuse`].
    Refused(Refusal),
    /// The client has ended the connection.
    End,
}

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another request may come.
    Open,
    /// Nothing more: to be ended with [`Server::close`].
    Close,
}

/// Bytes of a request that nobody wanted that are read so that its connection can go on, or end without a reset that
/// would take the response with it. Traefik: Go's server reads as much.
const UNWANTED: usize = 256 * 1024;

/// How long such bytes are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Server<S> {
    /// The server's end of `stream`.
    pub fn new(stream: S, limits: Limits) -> Self {
        let shared = Shared { wire: Wire::new(stream), number: 0, awaited: false };
        let turn = Turn { method: Method::GET, version: Version::HTTP_11, keep_alive: false };
        Self { shared: Arc::new(Mutex::new(shared)), limits, turn }
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Result<Next, Error> {
        let limit = self.limits.head;
        let head = poll_fn(|context| {
            self.shared.lock().wire.poll_head(context, limit, head::may_become_request)
        })
        .await;
        let head = match head {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Next::End),
            Err(Error::TooLarge) => return Ok(Next::Refused(Refusal::TOO_LARGE)),
            Err(Error::Malformed(_)) => return Ok(Next::Refused(Refusal::MALFORMED)),
            Err(error) => return Err(error),
        };
        Ok(match head::parse_request(&head, self.limits) {
            Ok(parsed) => Next::Request(self.begin(parsed)),
            Err(refusal) => Next::Refused(refusal),
        })
    }

    fn begin(&mut self, head: head::Head<Request<()>>) -> Request<Body> {
        let head::Head { message, body, keep_alive } = head;
        let version = message.version();
        self.turn = Turn { method: message.method().clone(), version, keep_alive };
        if body.is_done() {
            return message.map(|()| Body::Empty);
        }
        let mut shared = self.shared.lock();
        shared.number += 1;
        shared.wire.decoder = body;
        shared.awaited = version == Version::HTTP_11 && expects_continue(message.headers());
        if !shared.awaited
            && let Some(whole) = shared.wire.whole_body()
        {
            return message.map(|()| Body::Full(whole));
        }
        let (number, left) = (shared.number, shared.wire.decoder.left());
        let shared = Arc::clone(&self.shared);
        message.map(|()| Body::stream(RequestBody { shared, number, left, ended: false }))
    }

    /// Ready when the client has gone, or at least sends nothing any more, while it waits for a response. Traefik: its
    /// request is given up then, even if the client still reads.
    pub fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().wire.poll_gone(context)
    }

    /// Writes a response: `headers`, `Connection` included, and `body`.
    pub async fn respond<B>(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<After, Error>
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
    {
        let mut encoder = self.write_head(status, headers, body.size_hint().exact())?;
        if encoder == Encoder::None {
            // Whatever it is, it ends here: a body that is only dropped would look broken off.
            drop_body(body).await;
        }
        let mut first = true;
        poll_fn(|context| self.poll_respond(context, body, &mut encoder, &mut first)).await?;
        self.after(status).await
    }

    fn write_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        size: Option<u64>,
    ) -> Result<Encoder, Error> {
        let Turn { method, version, keep_alive } = &mut self.turn;
        let mut shared = self.shared.lock();
        if shared.awaited && !shared.wire.decoder.is_done() {
            // The client may or may not send the body now; nobody can tell it from the next request.
            *keep_alive = false;
        }
        let out = shared.wire.output.head();
        encoder::status_line(out, *version, status);
        let said = encoder::fields_but_framing(out, headers)?;
        let encoder = Encoder::of_response(out, (status, *version), method, said.length, size);
        encoder::date(out, said);
        if said.closes || encoder == Encoder::UntilEnd {
            *keep_alive = false;
        }
        match (*keep_alive, *version) {
            _ if status == StatusCode::SWITCHING_PROTOCOLS || said.closes => {}
            (false, Version::HTTP_11) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::HTTP_10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
        Ok(encoder)
    }

    fn poll_respond<B>(
        &self,
        context: &mut Context<'_>,
        body: &mut B,
        encoder: &mut Encoder,
        first: &mut bool,
    ) -> Poll<Result<(), Error>>
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
    {
        loop {
            // The first frame, if it is at hand, goes out with the head.
            if !std::mem::take(first) {
                ready!(self.shared.lock().wire.poll_write(context))?;
            }
            if *encoder == Encoder::None {
                return self.shared.lock().wire.poll_flush(context).map_err(Error::from);
            }
            // The body may read from this connection, so it is not locked here.
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let output = &mut self.shared.lock().wire.output;
                    encoder.frame(frame, output)?;
                    if body.is_end_stream() {
                        encoder.end(output)?;
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Error::Body(error))),
                Poll::Ready(None) => {
                    encoder.end(&mut self.shared.lock().wire.output)?;
                    *encoder = Encoder::None;
                }
                Poll::Pending => {
                    let wire = &mut self.shared.lock().wire;
                    let _ = wire.poll_flush(context)?;
                    return wire.poll_gone(context).map(|()| Err(Error::Incomplete));
                }
            }
        }
    }

    /// Readies the connection for the next request.
    async fn after(&mut self, status: StatusCode) -> Result<After, Error> {
        if !self.turn.keep_alive || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(After::Close);
        }
        let unread = {
            let shared = self.shared.lock();
            !shared.wire.decoder.is_done()
        };
        if unread && !Box::pin(self.read_unwanted()).await {
            return Ok(After::Close);
        }
        Ok(After::Open)
    }

    /// Reads the rest of a request body that nobody wants. `false` = the connection cannot go on.
    async fn read_unwanted(&self) -> bool {
        let mut left = UNWANTED;
        let read = poll_fn(|context| {
            let mut shared = self.shared.lock();
            loop {
                match ready!(shared.wire.poll_body(context)) {
                    None => return Poll::Ready(true),
                    Some(Err(_)) => return Poll::Ready(false),
                    Some(Ok(frame)) => {
                        let count = frame.data_ref().map_or(0, Bytes::len);
                        left = left.saturating_sub(count);
                        if left == 0 {
                            return Poll::Ready(false);
                        }
                    }
                }
            }
        });
        tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
    }

    /// Answers what is no acceptable request, in plain text; the connection is to be closed.
    pub async fn refuse(&mut self, refusal: Refusal) -> Result<(), Error> {
        let reason = refusal.status.canonical_reason().unwrap_or_default();
        let text = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{}",
            refusal.status.as_str(),
            refusal.text,
        );
        self.shared.lock().wire.output.head().extend_from_slice(text.as_bytes());
        poll_fn(|context| self.shared.lock().wire.poll_flush(context)).await?;
        Ok(())
    }

    /// Ends the connection so that the client gets all that was written: bytes that it still sends are read for a while,
    /// since a reset in answer to them would take the response with it.
    pub async fn close(self) -> Result<(), Error> {
        poll_fn(|context| self.shared.lock().wire.poll_shutdown(context)).await?;
        let unread = {
            let shared = self.shared.lock();
            shared.wire.has_surplus() || !shared.wire.decoder.is_done()
        };
        // The end of a request that was read whole: nothing can be under way but another request.
        let (mut left, patience) = if unread { (UNWANTED, PATIENCE) } else { (UNWANTED, LINGER) };
        let discard = poll_fn(|context| {
            loop {
                match ready!(self.shared.lock().wire.poll_discard(context)) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(count) => left = left.saturating_sub(count),
                }
                if left == 0 {
                    return Poll::Ready(());
                }
            }
        });
        let _ = tokio::time::timeout(patience, Box::pin(discard)).await;
        Ok(())
    }

    /// The byte stream after `101 Switching Protocols`. `None` if somebody still holds a request's body.
    pub fn into_stream(self) -> Option<Rewound<S>> {
        let shared = Arc::into_inner(self.shared)?;
        let (stream, prefix) = shared.into_inner().wire.into_parts();
        Some(Rewound::new(stream, prefix))
    }
}

/// Whether a client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    let expects = headers.get(EXPECT);
    expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// How long a client has to take note of the end.
const LINGER: Duration = Duration::from_millis(500);

/// Polls a body to its end if that is at hand.
async fn drop_body<B>(body: &mut B)
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
{
    poll_fn(|context| {
        if !body.is_end_stream() {
            let _ = Pin::new(&mut *body).poll_frame(context);
        }
        Poll::Ready(())
    })
    .await;
}

/// The body of a request; reads from the connection as it is polled.
struct RequestBody<S> {
    shared: Arc<Mutex<Shared<S>>>,
    number: u64,
    /// The bytes that are still to come, if that was told.
    left: Option<u64>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> http_body::Body for RequestBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut shared = this.shared.lock();
        if shared.number != this.number {
            let gone = Error::Malformed("the connection has gone on");
            return Poll::Ready(Some(Err(gone.into())));
        }
        if std::mem::take(&mut shared.awaited) && shared.wire.output.is_empty() {
            shared.wire.output.head().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let _ = shared.wire.poll_flush(context);
        let frame = shared.wire.poll_body(context);
        if let Poll::Ready(frame) = &frame {
            this.ended = frame.is_none() || shared.wire.decoder.is_done();
            if let (Some(left), Some(Ok(frame))) = (&mut this.left, frame) {
                *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            }
        }
        frame.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
