//! The authority's door: HTTP/2 over TLS 1.3, few and short connections, with limits on everything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::audit::Refused;
use super::issuer::Issuer;
use super::message::{self, BUNDLE, Denied, ISSUE, JOIN, RECOVER};
use crate::net::task;
use crate::tls::spiffe::{Id, Refusal, peer_id};

/// Connections at a time; others wait in the kernel's queue.
const CONNECTIONS: usize = 256;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection may take as a whole.
const WHOLE: Duration = Duration::from_secs(60);

/// Requests at a time on one connection.
const STREAMS: u32 = 8;

/// Bytes of a request's head.
const HEAD: u32 = 8 << 10;

/// Serves nodes for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, issuer: Arc<Issuer>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the authority cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, issuer) = (acceptor.clone(), Arc::clone(&issuer));
        task::spawn_control(async move {
            let _slot = slot;
            let _ = tokio::time::timeout(WHOLE, connection(stream, peer, acceptor, issuer)).await;
        });
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    issuer: Arc<Issuer>,
) {
    let refuse = |refusal: &Refusal| {
        let reason = refusal.reason();
        tracing::warn!(audit = true, reason, %peer, "the authority refuses a peer: {refusal}");
    };
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if let Some(refusal) = Refusal::of(&error) {
                refuse(&refusal);
            }
            return;
        }
        Err(_) => return,
    };
    let caller = match peer_id(stream.get_ref().1.peer_certificates().unwrap_or_default()) {
        Ok(id) => Some(id),
        Err(Refusal::NoCertificate) => None,
        Err(refusal) => return refuse(&refusal),
    };
    let caller = Arc::new(Caller { id: caller, peer });
    let service = service_fn(move |request| {
        let (issuer, caller) = (Arc::clone(&issuer), Arc::clone(&caller));
        async move { Ok::<_, Infallible>(answer(request, caller, issuer).await) }
    });
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.max_concurrent_streams(STREAMS).max_header_list_size(HEAD);
    // Whatever goes wrong here, the peer asks again.
    let _ = http2.serve_connection(TokioIo::new(stream), service).await;
}

/// Who asks.
struct Caller {
    id: Option<Id>,
    peer: SocketAddr,
}

impl Caller {
    /// The name of the node, if it is one.
    fn node(&self) -> Result<&str, Refused> {
        self.id.as_ref().and_then(|id| id.system_name("node")).ok_or(Refused::NotANode)
    }
}

async fn answer(
    request: Request<Incoming>,
    caller: Arc<Caller>,
    issuer: Arc<Issuer>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Ok(body) = Limited::new(request.into_body(), message::LONGEST).collect().await else {
        return response(StatusCode::BAD_REQUEST, Vec::new());
    };
    let body = body.to_bytes();
    // Files are read and written.
    let handled = tokio::task::spawn_blocking(move || {
        let mut about = About::default();
        handle(&path, &body, &caller, &issuer, &mut about).inspect_err(|refused| {
            refused.audit(&about.node, &caller.peer.to_string(), &about.wanted);
        })
    });
    match handled.await {
        Ok(Ok(text)) => response(StatusCode::OK, text),
        Ok(Err(refused)) => {
            let status = match &refused {
                Refused::BadRequest(_) => StatusCode::BAD_REQUEST,
                Refused::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::FORBIDDEN,
            };
            let message = match &refused {
                // Paths and the like are for the log alone.
                Refused::Broken(_) => "the authority is broken; its log says why".to_owned(),
                other => other.to_string(),
            };
            let denied = Denied { reason: refused.reason().to_owned(), message };
            response(status, json(&denied))
        }
        Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    }
}

/// What a request is about, for the audit.
#[derive(Default)]
struct About {
    node: String,
    wanted: String,
}

fn handle(
    path: &str,
    body: &[u8],
    caller: &Caller,
    issuer: &Issuer,
    about: &mut About,
) -> Result<Vec<u8>, Refused> {
    if let Some(id) = &caller.id {
        about.node = id.to_string();
    }
    match path {
        JOIN => {
            let asked: message::JoinRequest = parse(body)?;
            *about = About { node: short(&asked.node), wanted: "to join".to_owned() };
            Ok(json(&issuer.join(&asked)?))
        }
        RECOVER => {
            let asked: message::RecoverRequest = parse(body)?;
            *about = About { node: short(&asked.node), wanted: "to come back".to_owned() };
            Ok(json(&issuer.recover(&asked)?))
        }
        ISSUE => {
            let asked: message::IssueRequest = parse(body)?;
            about.wanted = asked.id.to_string();
            Ok(json(&issuer.issue(caller.node()?, &asked)?))
        }
        BUNDLE => Ok(json(&issuer.bundle(caller.node()?, &parse(body)?)?)),
        other => Err(Refused::BadRequest(format!("there is no `{}`", short(other)))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::BadRequest(error.to_string()))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("messages are plain data")
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
