//! h2 to servers: shared connections, and requests on those that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_config::routing::http::ServersTransport;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Body, Fault, Request, Response, Sent};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::net::task;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::forward::{Forwarding, HostHeader, forward};
use crate::upstream::testing::{connection, endpoint, request, text, until};

/// A server over h2 in the clear.
struct H2 {
    endpoint: Arc<Endpoint>,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// Requests wait for it if `held`.
    go: Arc<Notify>,
    /// Ends the connections.
    end: Arc<Notify>,
}

/// When a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    AtOnce,
    /// When it is told to go.
    Held,
}

impl H2 {
    async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("h2c://{}", listener.local_addr().unwrap());
        let server = Self {
            endpoint: endpoint(&url, &ServersTransport::default()),
            connections: Arc::default(),
            requests: Arc::default(),
            go: Arc::default(),
            end: Arc::default(),
        };
        let (connections, requests) =
            (Arc::clone(&server.connections), Arc::clone(&server.requests));
        let (go, end) = (Arc::clone(&server.go), Arc::clone(&server.end));
        task::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Relaxed);
                let (requests, go, end) =
                    (Arc::clone(&requests), Arc::clone(&go), Arc::clone(&end));
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (requests, go) = (Arc::clone(&requests), Arc::clone(&go));
                    async move {
                        let authority = request.uri().authority().map(ToString::to_string);
                        request.into_body().collect().await?;
                        let told = go.notified();
                        requests.fetch_add(1, Relaxed);
                        if answers == Answers::Held {
                            told.await;
                        }
                        let body = Full::new(Bytes::from(authority.unwrap_or_default()));
                        Ok::<_, hyper::Error>(http::Response::new(body))
                    }
                });
                task::spawn(async move {
                    let mut builder = http2::Builder::new(TokioExecutor::new());
                    builder.max_concurrent_streams(1000);
                    let serving = builder.serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = serving => {}
                        () = end.notified() => {}
                    }
                });
            }
        });
        server
    }

    async fn send(&self, request: Request) -> Response {
        let how = Forwarding { host: HostHeader::Client, base_path: None };
        forward(request, &self.endpoint, &how, &Exchange::begin(connection())).await
    }

    async fn get(&self) -> Response {
        self.send(request("GET", "/", &[])).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

#[tokio::test]
async fn a_burst_shares_one_connection() {
    let server = H2::start(Answers::AtOnce).await;
    let responses = futures_util::future::join_all((0..50).map(|_| server.get())).await;
    for response in responses {
        assert_eq!(text(response).await, "example.com");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_full_connection_gets_a_second_one_beside_it() {
    let server = H2::start(Answers::Held).await;
    let requests = futures_util::future::join_all((0..150).map(|_| server.get()));
    let release = async {
        until(|| server.requests.load(Relaxed) == 150).await;
        assert_eq!(server.connections(), 2);
        server.go.notify_waiters();
    };
    let (responses, ()) = tokio::join!(requests, release);
    assert!(responses.iter().all(|response| response.fault.is_none()));
}

#[tokio::test]
async fn a_request_that_can_be_repeated_survives_the_end_of_its_connection() {
    let server = H2::start(Answers::Held).await;
    let first = async {
        let response = server.get().await;
        assert_eq!(text(response).await, "example.com");
    };
    let release = async {
        until(|| server.requests.load(Relaxed) == 1).await;
        server.go.notify_waiters();
    };
    tokio::join!(first, release);
    // The second request shares the connection, which ends before the answer.
    let second = async {
        let response = server.get().await;
        assert_eq!(response.fault, None);
        assert_eq!(text(response).await, "example.com");
    };
    let cut = async {
        until(|| server.requests.load(Relaxed) == 2).await;
        server.end.notify_waiters();
        until(|| server.requests.load(Relaxed) == 3).await;
        server.go.notify_waiters();
    };
    tokio::join!(second, cut);
    assert_eq!(server.connections(), 2);
    // One with a body is not sent again.
    let third = async {
        let mut post = request("POST", "/", &[("content-length", "1")]);
        post.body = Body::from("x");
        let response = server.send(post).await;
        assert_eq!(response.fault, Some(Fault::Unreachable(Sent::Some)));
    };
    let cut = async {
        until(|| server.requests.load(Relaxed) == 4).await;
        server.end.notify_waiters();
    };
    tokio::join!(third, cut);
    assert_eq!(server.requests.load(Relaxed), 4);
}

#[tokio::test]
async fn an_idle_connection_is_closed_counted_from_its_last_stream() {
    let server = H2::start(Answers::AtOnce).await;
    let response = server.get().await;
    let pool = server.endpoint.h2.here();
    server.endpoint.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(pool.len(), 1);
    assert_eq!(text(response).await, "example.com");
    server.endpoint.sweep(Instant::now() + Duration::from_secs(89));
    assert_eq!(pool.len(), 1);
    server.endpoint.sweep(Instant::now() + Duration::from_secs(91));
    assert!(pool.is_empty());
}
