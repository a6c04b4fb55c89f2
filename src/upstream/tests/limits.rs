//! How long the parts of an exchange may take.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use portcullis_config::routing::http::{ForwardingTimeouts, ServersTransport};
use portcullis_config::units;
use portcullis_middlewares::Exchange;
use portcullis_middlewares::message::{Body, BodyError, Fault, Sent};

use crate::upstream::forward::{Forwarding, HostHeader, forward};
use crate::upstream::testing::{TestServer, Then, connection, endpoint, ok, raw, request, text};

fn limited(milliseconds: i64) -> ServersTransport {
    let response_header_timeout = units::Duration::milliseconds(milliseconds);
    let timeouts = ForwardingTimeouts { response_header_timeout, ..ForwardingTimeouts::default() };
    ServersTransport { forwarding_timeouts: Some(timeouts), ..ServersTransport::default() }
}

const HOW: Forwarding = Forwarding { host: HostHeader::Client, base_path: None };

#[tokio::test]
async fn a_silent_server_is_a_timeout() {
    let server = TestServer::start(|_| raw("", Then::Keep)).await;
    let endpoint = endpoint(&server.url(), &limited(50));
    let exchange = Exchange::begin(connection());
    let response = forward(request("GET", "/", &[]), &endpoint, &HOW, &exchange).await;
    assert_eq!((response.status.as_u16(), response.fault), (504, Some(Fault::Timeout(Sent::Some))));
    assert!(endpoint.h1.here().is_empty());
}

#[tokio::test]
async fn a_slow_upload_does_not_count_as_a_slow_answer() {
    let server = TestServer::start(|seen| ok(&seen.body)).await;
    let endpoint = endpoint(&server.url(), &limited(300));
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, BodyError>>(1);
    let feed = crate::net::task::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.send(Ok(Frame::data(Bytes::from_static(b"x")))).await.unwrap();
        }
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    let mut post = request("POST", "/", &[("content-length", "5")]);
    post.body = Body::stream(StreamBody::new(Box::pin(frames)));
    let exchange = Exchange::begin(connection());
    let response = forward(post, &endpoint, &HOW, &exchange).await;
    assert_eq!(response.fault, None);
    assert_eq!(text(response).await, "xxxxx");
    feed.await.unwrap();
}

#[tokio::test]
async fn a_slow_body_of_a_response_is_no_slow_head() {
    let server =
        TestServer::start(|_| raw("HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\npart", Then::Keep))
            .await;
    let endpoint = endpoint(&server.url(), &limited(50));
    let exchange = Exchange::begin(connection());
    let response = forward(request("GET", "/", &[]), &endpoint, &HOW, &exchange).await;
    assert_eq!(response.fault, None);
    let rest = tokio::time::timeout(Duration::from_millis(150), response.body.collect()).await;
    assert!(rest.is_err());
}
