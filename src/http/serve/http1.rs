//! HTTP/1: one request after the other, all in the task of the connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, StatusCode};
use portcullis_middlewares::message::{Body, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Guarded, Handler, Protocol, Session};
use crate::h1::server::{After, Next, Server};
use crate::h1::switch::{Promise, Switch};
use crate::h1::{Error, Limits};
use crate::http::activity::{Activity, Phase, Watched};
use crate::net::drain::Drain;
use crate::observe::record::Recorded;
use crate::upstream::hop;

/// Bytes of a head besides its fields and its target.
const FIRST_LINE: usize = 64;

/// How long a connection that is idle when the gateway ends may still bring a request, which is answered with
/// `Connection: close`: one that is on its way must not meet a closed connection.
const LAST_REQUEST: Duration = Duration::from_secs(5);

impl<H: Handler> Session<H> {
    /// Serves HTTP/1 on `stream` to its end.
    pub(super) async fn serve_http1<S>(
        self: Arc<Self>,
        stream: Watched<S>,
        activity: Arc<Activity>,
    ) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = Limits {
            head: self.settings.max_head + self.settings.max_target + FIRST_LINE,
            fields: self.settings.max_fields,
        };
        let mut server = Server::new(stream, limits);
        loop {
            match server.next().await? {
                // Boxed, so that an idle connection does not keep room for a whole request.
                Next::Request(request) => {
                    let answered = Box::pin(self.exchange(&mut server, request, &activity)).await?;
                    match answered {
                        Answered::Open => {}
                        Answered::Close => break,
                        Answered::Switched(promise) => {
                            promise.keep(server.into_stream());
                            return Ok(());
                        }
                    }
                }
                Next::Refused(refusal) => {
                    server.refuse(refusal).await?;
                    break;
                }
                Next::End => return Ok(()),
            }
        }
        server.close().await
    }

    /// Has a request answered and writes the response.
    async fn exchange<S>(
        &self,
        server: &mut Server<Watched<S>>,
        mut request: Request<Body>,
        activity: &Arc<Activity>,
    ) -> Result<Answered, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let busy = activity.begin_request();
        let promise = hop::wanted_upgrade(request.headers()).map(|_| {
            let (promise, switch) = Switch::new();
            request.extensions_mut().insert(switch);
            promise
        });
        let received = self.receive(request, activity, Protocol::Http1);
        let mut answer = pin!(self.answer(received));
        let answer = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            // Dropping the request is what cancels it.
            Poll::Pending => server.poll_gone(context).map(|()| Err(Error::Incomplete)),
        });
        let (response, record) = answer.await?;
        let Response { status, mut headers, body, tunnel, .. } = response;
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        if self.must_close() && !switches {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(tunnel) = tunnel {
            busy.upgraded();
            server.respond(status, &headers, &mut Body::Empty).await?;
            self.run_tunnel(tunnel, record);
            return Ok(promise.map_or(Answered::Close, Answered::Switched));
        }
        let mut body = Recorded::new(body, record);
        Ok(match server.respond(status, &headers, &mut body).await? {
            After::Open => Answered::Open,
            After::Close => Answered::Close,
        })
    }
}

/// What becomes of the connection.
enum Answered {
    Open,
    Close,
    Switched(Promise),
}

/// Drives a connection to its end. Once the gateway drains, an idle one ends when nothing comes for a while.
pub(super) async fn drained<C>(guarded: Guarded<C>, drain: Drain)
where
    C: Future<Output = Result<(), Error>>,
{
    let mut guarded = pin!(guarded);
    // Polled once, so that the drain wakes this task, and no more: it would be a lock for each request.
    let mut told = Box::pin({
        let mut drain = drain.clone();
        async move { drain.begun().await }
    });
    let mut waits = false;
    poll_fn(|context| {
        if !waits {
            waits = true;
            let _ = told.as_mut().poll(context);
        }
        if drain.has_begun() {
            let this = guarded.as_mut().project();
            if this.limits.idle.is_none_or(|limit| limit > LAST_REQUEST) {
                this.limits.idle = Some(LAST_REQUEST);
                this.activity.restart(Phase::Idle);
            }
        }
        match guarded.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}
