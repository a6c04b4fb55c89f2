//! What the tests of providers share: a double of an interface that notes what it is asked.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::super::environment::Environment;
use super::{Api, Build, LookUp, Provider, Record, Tools};

/// A provider with these variables.
pub(super) fn provider(build: Build, variables: &[(&str, &str)]) -> Box<dyn Provider> {
    let look_up = LookUp::new(&["127.0.0.1:1".to_owned()]).unwrap();
    let tools = Tools { api: Api::new().unwrap(), look_up };
    build(&Environment::of(variables), &tools).unwrap()
}

/// The record that proves `domain`.
pub(super) fn record(domain: &str, value: &str) -> Record {
    let name = format!("_acme-challenge.{domain}.");
    Record { domain: domain.into(), name, value: value.into() }
}

/// What a double was asked: method, path with query, the headers, the body.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A double of an interface: answers by `answer` and notes what it was asked.
pub(super) struct Double {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Double {
    /// `answer` gives status and body for a line such as `GET /zones?name=a.test`.
    pub(super) async fn new(
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        crate::net::task::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let asked = Asked {
                            line: format!("{} {}", parts.method, parts.uri),
                            headers: parts.headers,
                            body: String::from_utf8(body.to_vec()).unwrap(),
                        };
                        let (status, text) = answer(&asked);
                        noted.lock().push(asked);
                        let response = Response::builder().status(status);
                        response.body(Full::new(Bytes::from(text)))
                    }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                crate::net::task::spawn(async move { drop(serving.await) });
            }
        });
        Self { address, asked }
    }

    /// What it was asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// The lines of what it was asked so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}
