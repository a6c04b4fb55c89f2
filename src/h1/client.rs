//! The client's end of a connection: a request goes out, its response comes in, and then the next may go.
//!
//! Everything is polled by the task of the request, its body while the head of the response is awaited, and the rest of
//! it while the body of the response is read.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use portcullis_middlewares::message::{Body, Sent};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use super::encoder::{self, Encoder};
use super::head::{self, Head};
use super::server::expects_continue;
use super::wire::Wire;
use super::{Error, Limits};
use crate::net::rewound::Rewound;

/// The client's end of a connection.
#[derive(Debug)]
pub struct Client<S> {
    wire: Wire<S>,
    upload: Upload,
    keep_alive: bool,
}

/// The body of the request on its way.
#[derive(Debug)]
struct Upload {
    body: Body,
    encoder: Encoder,
    /// The trailers that the head announced.
    announced: Vec<HeaderName>,
    /// The first error of the stream; what the server has to say about it is read all the same.
    broken: Option<Error>,
}

/// A request that was not answered.
#[derive(Debug)]
pub struct Unanswered {
    /// The request itself, if nothing of its body was read.
    pub request: Option<Request<Body>>,
    /// Whether anything was written.
    pub sent: Sent,
    /// Why.
    pub error: Error,
}

/// Bounds of what a server may send before its body.
const LIMITS: Limits = Limits { head: 256 * 1024, fields: 512 };

/// Interim responses to one request.
const INTERIM: usize = 64;

/// How long a server that was told `Expect: 100-continue` has to say so. Traefik: `ExpectContinueTimeout`.
const CONTINUE: Duration = Duration::from_secs(1);

/// The trailers that a head announces. Only those go on: servers may read others as fields of the head.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

fn keep_announced(trailers: &mut HeaderMap, announced: &[HeaderName]) {
    let names: Vec<HeaderName> = trailers.keys().cloned().collect();
    for name in names.iter().filter(|name| !announced.contains(name)) {
        trailers.remove(name);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The client's end of `stream`.
    pub fn new(stream: S) -> Self {
        let upload = Upload {
            body: Body::Empty,
            encoder: Encoder::None,
            announced: Vec::new(),
            broken: None,
        };
        Self { wire: Wire::new(stream), upload, keep_alive: true }
    }

    /// Whether a request can be sent: the last exchange came to a clean end, the server is still there, and it has sent
    /// nothing that nobody asked for.
    pub fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.keep_alive
            && self.wire.decoder.is_done()
            && self.upload.encoder == Encoder::None
            && self.upload.broken.is_none()
            && self.wire.output.is_empty()
            && self.wire.is_quiet(context)
    }

    /// Sends `request`, whose target is in origin form and which has its `Host`, and waits for the head of the
    /// response. The body is then read with [`Client::poll_body`].
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response<()>, Box<Unanswered>> {
        let mut request = request;
        let encoder = match self.write_head(&request) {
            Ok(encoder) => encoder,
            Err(error) => {
                self.wire.output.clear();
                return Err(Box::new(Unanswered { request: None, sent: Sent::Nothing, error }));
            }
        };
        self.upload.encoder = encoder;
        self.upload.body = std::mem::take(request.body_mut());
        let spare = match &self.upload.body {
            Body::Full(bytes) => Some(bytes.clone()),
            _ => None,
        };
        let untouched = self.upload.body.is_end();
        let waits = encoder != Encoder::None && expects_continue(request.headers());
        let mut progress = Progress {
            interim: 0,
            first: !waits,
            hold: waits.then(|| Box::pin(tokio::time::sleep(CONTINUE))),
        };
        self.upload.announced = announced(request.headers());
        let method = request.method().clone();
        let answer = poll_fn(|context| self.poll_exchange(context, &method, &mut progress)).await;
        answer.map_err(|error| {
            self.keep_alive = false;
            let sent = if self.wire.output.has_written() { Sent::Some } else { Sent::Nothing };
            // A body is read only after something was written, but for one that is at hand.
            *request.body_mut() = match spare {
                Some(bytes) => Body::Full(bytes),
                None => std::mem::take(&mut self.upload.body),
            };
            let whole = untouched || sent == Sent::Nothing;
            Box::new(Unanswered { request: whole.then_some(request), sent, error })
        })
    }

    fn write_head(&mut self, request: &Request<Body>) -> Result<Encoder, Error> {
        self.wire.output.clear();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let out = self.wire.output.head();
        encoder::request_line(out, request.method(), target);
        let said = encoder::fields_but_framing(out, request.headers())?;
        let encoder = Encoder::of_request(out, said.length, request.body().size_hint().exact());
        out.extend_from_slice(b"\r\n");
        Ok(encoder)
    }

    fn poll_exchange(
        &mut self,
        context: &mut Context<'_>,
        method: &Method,
        progress: &mut Progress,
    ) -> Poll<Result<Response<()>, Error>> {
        self.poll_upload(context, progress)?;
        loop {
            let head = match self.wire.poll_head(context, LIMITS.head, head::may_become_response) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(head))) => head,
                Poll::Ready(ended) => {
                    let error = ended.err().unwrap_or(Error::Incomplete);
                    let broken = self.upload.broken.take().filter(|_| error.is_lost());
                    return Poll::Ready(Err(broken.unwrap_or(error)));
                }
            };
            let Head { message, body, keep_alive } = head::parse_response(&head, LIMITS, method)?;
            let status = message.status();
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                if status == StatusCode::CONTINUE {
                    progress.hold = None;
                    self.poll_upload(context, progress)?;
                }
                progress.interim += 1;
                if progress.interim > INTERIM {
                    return Poll::Ready(Err(Error::Malformed("no end of interim responses")));
                }
                continue;
            }
            self.wire.decoder = body;
            self.keep_alive = keep_alive && status != StatusCode::SWITCHING_PROTOCOLS;
            return Poll::Ready(Ok(message));
        }
    }

    /// Writes as much of the request as there is and goes. An error is that of the request's own body.
    fn poll_upload(
        &mut self,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        if self.upload.broken.is_some() {
            return Ok(());
        }
        match self.poll_upload_all(context, progress) {
            Poll::Ready(Err(error @ Error::Body(_))) => return Err(error),
            Poll::Ready(Err(error)) => {
                self.upload.broken = Some(error);
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Ok(())
    }

    fn poll_upload_all(
        &mut self,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Poll<Result<(), Error>> {
        let Upload { body, encoder, announced, .. } = &mut self.upload;
        loop {
            // A body that is at hand goes out with the head.
            let joins = std::mem::take(&mut progress.first) && matches!(body, Body::Full(_));
            if !joins {
                ready!(self.wire.poll_write(context))?;
            }
            if let Some(hold) = &mut progress.hold {
                let _ = self.wire.poll_flush(context)?;
                ready!(hold.as_mut().poll(context));
                progress.hold = None;
            }
            if *encoder == Encoder::None || body.is_end() {
                // Dropped at its end: limits and permits may wait for that.
                *body = Body::Empty;
                encoder.end(&mut self.wire.output)?;
                return self.wire.poll_flush(context).map_err(Error::from);
            }
            match Pin::new(&mut *body).poll_frame(context) {
                Poll::Ready(Some(Ok(mut frame))) => {
                    if let Some(trailers) = frame.trailers_mut() {
                        keep_announced(trailers, announced);
                    }
                    encoder.frame(frame, &mut self.wire.output)?;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Error::Body(error))),
                Poll::Ready(None) => {
                    *body = Body::Empty;
                    encoder.end(&mut self.wire.output)?;
                }
                Poll::Pending => {
                    let _ = self.wire.poll_flush(context)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// The connection takes no further request.
    pub fn retire(&mut self) {
        self.keep_alive = false;
    }

    /// Whether the response has no more frames.
    pub fn is_end(&self) -> bool {
        self.wire.decoder.is_done()
    }

    /// The number of bytes that are still to come of the response, if that is known.
    pub fn left(&self) -> Option<u64> {
        self.wire.decoder.left()
    }

    /// The whole body of the response, if it has come already.
    pub fn whole_body(&mut self) -> Option<Bytes> {
        self.wire.whole_body()
    }

    /// The next frame of the response, while the request goes on being sent.
    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.upload.encoder != Encoder::None || !self.wire.output.is_empty() {
            let mut progress = Progress { interim: 0, first: false, hold: None };
            self.poll_upload(context, &mut progress)?;
        }
        self.wire.poll_body(context)
    }

    /// The byte stream after `101 Switching Protocols`.
    pub fn into_stream(self) -> Rewound<S> {
        let (stream, prefix) = self.wire.into_parts();
        Rewound::new(stream, prefix)
    }
}

/// How far an exchange has come.
#[derive(Debug)]
struct Progress {
    /// Interim responses so far.
    interim: usize,
    /// Whether nothing has been tried yet.
    first: bool,
    /// How long the body is held back until the server says that it wants it.
    hold: Option<Pin<Box<Sleep>>>,
}

#[cfg(test)]
mod tests;
