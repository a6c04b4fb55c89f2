//! The record of one request, from its head to the end of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body::{Frame, SizeHint};
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Body, BodyError, Request, Response, Target};

use super::Observer;
use super::metrics::Protocol;
use super::series::{EntryPointSeries, RouterSeries};

/// The record of one request. Finished when it is dropped, however that comes.
#[derive(Debug)]
pub struct Record {
    /// The facts that the chain notes.
    pub exchange: Exchange,
    /// The method.
    pub method: Method,
    /// Path and query as they came, in canonical form.
    pub target: Target,
    /// The client's protocol.
    pub version: Version,
    /// The entry point.
    pub entry_point: Arc<EntryPointSeries>,
    /// The router, once one was found.
    pub router: Option<Arc<RouterSeries>>,
    /// The status that the client got; 499 until there is one.
    pub status: StatusCode,
    /// Bytes of the request body so far.
    pub request_bytes: Option<Arc<AtomicU64>>,
    /// Bytes of the response body so far.
    pub response_bytes: u64,
    /// What the request speaks beyond HTTP.
    pub protocol: Protocol,
    /// The status of a gRPC call, once there is one.
    pub grpc_status: Option<u16>,
    /// The values of header labels, if metrics have such.
    pub labels: Option<Box<[Box<str>]>>,
    /// Headers, if there is an access log.
    pub heads: Option<Heads>,
    observer: Arc<Observer>,
}

/// What the access log wants of the headers.
#[derive(Debug, Default)]
pub struct Heads {
    /// `Host`.
    pub host: Option<HeaderValue>,
    /// The first `X-Forwarded-For` line that the entry point let through.
    pub forwarded_for: Option<HeaderValue>,
    /// `Referer`.
    pub referer: Option<HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// All of the request's and of the response's.
    pub all: Option<Box<(HeaderMap, HeaderMap)>>,
}

impl Record {
    /// Begins the record of `request`.
    pub fn begin(
        request: &Request,
        entry_point: &Arc<EntryPointSeries>,
        observer: &Arc<Observer>,
    ) -> Box<Self> {
        let metrics = observer.metrics();
        let heads = observer.lines().map(|lines| lines.heads(&request.headers));
        let exchange = Exchange::begin(Arc::clone(&request.connection));
        if heads.as_ref().is_some_and(|heads| heads.all.is_some()) {
            exchange.note(|facts| facts.origin_headers = Some(Box::default()));
        }
        Box::new(Self {
            protocol: metrics.map_or(Protocol::Http, |_| Protocol::of(&request.headers)),
            grpc_status: None,
            labels: metrics.and_then(|metrics| metrics.labels(&request.headers)),
            exchange,
            method: request.method.clone(),
            target: request.target.clone(),
            version: request.version,
            entry_point: Arc::clone(entry_point),
            router: None,
            status: StatusCode::from_u16(499).expect("499 is in the range of codes"),
            request_bytes: None,
            response_bytes: 0,
            heads,
            observer: Arc::clone(observer),
        })
    }
}

impl Record {
    /// Notes the head of the response that the client gets.
    pub fn answer(&mut self, response: &Response) {
        self.status = response.status;
        self.note_grpc_status(&response.headers);
        if let Some(all) = self.heads.as_mut().and_then(|heads| heads.all.as_mut()) {
            all.1 = response.headers.clone();
        }
    }
}

impl Record {
    /// Bytes of the request body that came.
    pub fn request_bytes(&self) -> u64 {
        self.request_bytes.as_ref().map_or(0, |bytes| bytes.load(Relaxed))
    }

    /// Notes the status of a gRPC call, which stands in the trailers or, if there is no body, in the head.
    fn note_grpc_status(&mut self, headers: &HeaderMap) {
        if !matches!(self.protocol, Protocol::Grpc | Protocol::GrpcWeb) {
            return;
        }
        let text = headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok());
        // Codes go up to 16; the metric must not grow with what servers make up.
        let code = text.and_then(|text| text.parse().ok()).filter(|code| *code <= 16);
        self.grpc_status = code.or(self.grpc_status);
    }
}

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");

impl Drop for Record {
    fn drop(&mut self) {
        self.observer.finish(self);
    }
}

/// A response body that ends the record of its request.
#[derive(Debug, Default)]
pub struct Recorded {
    body: Body,
    record: Option<Box<Record>>,
}

impl Recorded {
    /// `body` as the response to the recorded request; without a record for what is not recorded.
    pub fn new(body: Body, record: Option<Box<Record>>) -> Self {
        Self { body, record }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if let Some(record) = &mut this.record {
            match &frame {
                Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                    Some(data) => record.response_bytes += data.len() as u64,
                    None => {
                        if let Some(trailers) = frame.trailers_ref() {
                            record.note_grpc_status(trailers);
                        }
                    }
                },
                Poll::Ready(_) => this.record = None,
                Poll::Pending => {}
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
