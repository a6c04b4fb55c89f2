//! Upgrades: the wish goes to the server on a connection of its own; on 101 the two byte streams are joined.

use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Response as HttpResponse, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use portcullis_middlewares::message::{Body, Copied, Fault, Request, Response, Sent};

use super::dial::{self, Offer};
use super::endpoint::Endpoint;
use super::forward::{Failure, outgoing_h1};
use super::pool::h1;
use crate::net::task;

/// Asks the server for the upgrade. Any answer but 101 is an ordinary response.
pub(super) async fn exchange(
    mut request: Request,
    endpoint: &Arc<Endpoint>,
    wish: HeaderValue,
) -> Result<Response, Failure> {
    let client = request.extensions.remove::<OnUpgrade>();
    request.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers.insert(UPGRADE, wish.clone());
    let outgoing = outgoing_h1(request)?;
    let (stream, _) =
        dial::dial(endpoint, Offer::Http1).await.map_err(|error| Failure::dial(&error))?;
    let lost = |error: &hyper::Error| Failure::exchange(error, Sent::Some);
    let (mut sender, connection) =
        h1::builder().handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
    task::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upgraded connection to a server ended");
        }
    });
    let limit = endpoint.transport.response_header_timeout;
    let answer = sender.send_request(outgoing);
    let response = match limit {
        None => answer.await,
        Some(limit) => match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                return Err(Failure::new(
                    Fault::Timeout(Sent::Some),
                    "no answer to the upgrade in time",
                ));
            }
        },
    }
    .map_err(|error| lost(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !agrees(&response, &wish) {
        return Err(Failure::new(
            Fault::Protocol(Sent::Some),
            "the server switched to another protocol",
        ));
    }
    Ok(joined(response, client))
}

/// Whether the server switches to what the client asked for.
fn agrees(response: &HttpResponse<Incoming>, wish: &HeaderValue) -> bool {
    let chosen = response.headers().get(UPGRADE);
    chosen.is_some_and(|chosen| chosen.as_bytes().eq_ignore_ascii_case(wish.as_bytes()))
}

fn joined(mut response: HttpResponse<Incoming>, client: Option<OnUpgrade>) -> Response {
    let server = hyper::upgrade::on(&mut response);
    let (head, incoming) = response.into_parts();
    let mut answer = Response { status: head.status, headers: head.headers, ..Response::default() };
    match (head.status, client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => {
            answer.tunnel = Some(Box::pin(async move {
                match (client.await, server.await) {
                    (Ok(client), Ok(server)) => copy(client, server).await,
                    _ => Copied::default(),
                }
            }));
        }
        // Nobody asked: a server that switches by itself is not believed.
        (StatusCode::SWITCHING_PROTOCOLS, None) => answer = Response::bare(StatusCode::BAD_GATEWAY),
        _ => answer.body = Body::Incoming(incoming),
    }
    answer
}

async fn copy(client: Upgraded, server: Upgraded) -> Copied {
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    match tokio::io::copy_bidirectional(&mut client, &mut server).await {
        Ok((from_client, from_server)) => Copied { from_client, from_server },
        Err(error) => {
            tracing::debug!(%error, "upgraded connection broke");
            Copied::default()
        }
    }
}
