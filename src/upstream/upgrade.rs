//! Upgrades: the wish goes to the server on a connection of its own; on 101 the two byte streams are joined.

use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Response as HttpResponse, StatusCode};
use portcullis_middlewares::message::{Body, Copied, Fault, Request, Response, Sent};

use super::dial::{self, Offer, Stream};
use super::endpoint::Endpoint;
use super::forward::{Failure, outgoing_h1};
use super::pool::h1::{Pooled, PooledBody};
use crate::h1::client::Client;
use crate::h1::switch::Switch;
use crate::net::copy::{self, Linger};

/// Asks the server for the upgrade. Any answer but 101 is an ordinary response.
pub(super) async fn exchange(
    mut request: Request,
    endpoint: &Arc<Endpoint>,
    wish: HeaderValue,
) -> Result<Response, Failure> {
    let client = request.extensions.remove::<Switch>();
    request.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers.insert(UPGRADE, wish.clone());
    let outgoing = outgoing_h1(request);
    let (stream, _) =
        dial::dial(endpoint, Offer::Http1).await.map_err(|error| Failure::dial(&error))?;
    let mut server = Pooled::new(stream);
    let answer = server.client.send(outgoing);
    let response = match endpoint.transport.response_header_timeout {
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
    .map_err(|unanswered| Failure::exchange(&unanswered.error, Sent::Some))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !agrees(&response, &wish) {
        return Err(Failure::new(
            Fault::Protocol(Sent::Some),
            "the server switched to another protocol",
        ));
    }
    Ok(joined(response, server, client, endpoint))
}

/// Whether the server switches to what the client asked for.
fn agrees(response: &HttpResponse<()>, wish: &HeaderValue) -> bool {
    let chosen = response.headers().get(UPGRADE);
    chosen.is_some_and(|chosen| chosen.as_bytes().eq_ignore_ascii_case(wish.as_bytes()))
}

fn joined(
    response: HttpResponse<()>,
    mut server: Box<Pooled>,
    client: Option<Switch>,
    endpoint: &Arc<Endpoint>,
) -> Response {
    let (head, ()) = response.into_parts();
    let mut answer = Response { status: head.status, headers: head.headers, ..Response::default() };
    match (head.status, client) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(client)) => {
            answer.tunnel = Some(Box::pin(tunnel(client, server.client)));
        }
        // Nobody asked: a server that switches by itself is not believed.
        (StatusCode::SWITCHING_PROTOCOLS, None) => answer = Response::bare(StatusCode::BAD_GATEWAY),
        // A server that got a wish to leave HTTP gets nothing more on that connection.
        _ => {
            server.client.retire();
            answer.body = Body::stream(PooledBody::new(server, Arc::clone(endpoint)));
        }
    }
    answer
}

async fn tunnel(client: Switch, server: Client<Stream>) -> Copied {
    let Some(mut client) = client.stream().await else { return Copied::default() };
    let mut server = server.into_stream();
    let mut copied = copy::Copied::default();
    copy::both(&mut client, &mut server, Linger::Forever, &mut copied).await;
    Copied { from_client: copied.forth, from_server: copied.back }
}
