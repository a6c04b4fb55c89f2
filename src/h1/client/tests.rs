use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

fn pair() -> (Client<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(256 * 1024);
    (Client::new(client), server)
}

fn request(method: Method, body: Body) -> Request<Body> {
    let builder = Request::builder().method(method).uri("/p?q").header("host", "h");
    builder.body(body).unwrap()
}

async fn usable(client: &mut Client<DuplexStream>) -> bool {
    poll_fn(|context| Poll::Ready(client.is_usable(context))).await
}

async fn body(client: &mut Client<DuplexStream>) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|context| client.poll_body(context)).await {
        all.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok(all)
}

async fn read(server: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let count = server.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_exchange_after_the_other() {
    let (mut client, mut server) = pair();
    for _ in 0..2 {
        assert!(usable(&mut client).await);
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        let response = client.send(request(Method::GET, Body::Empty)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(read(&mut server).await, "GET /p?q HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(!usable(&mut client).await, "the body has not been read");
        assert_eq!(client.whole_body().unwrap(), "abc");
    }
}

#[tokio::test]
async fn a_small_body_goes_out_with_the_head() {
    let (mut client, mut server) = pair();
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    client.send(request(Method::POST, Body::from("abc"))).await.unwrap();
    let expected = "POST /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(read(&mut server).await, expected);
    assert!(usable(&mut client).await);
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let (mut client, mut server) = pair();
    let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
    server.write_all(text).await.unwrap();
    let response = client.send(request(Method::GET, Body::Empty)).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let (mut client, mut server) = pair();
    server.write_all(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)).await.unwrap();
    assert!(client.send(request(Method::GET, Body::Empty)).await.is_err());
}

#[tokio::test]
async fn a_response_may_come_before_the_request_is_sent_whole() {
    let (mut client, mut server) = pair();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, portcullis_middlewares::message::BodyError>(Frame::data(bytes)), receiver))
    });
    let upload = Body::stream(http_body_util::StreamBody::new(Box::pin(frames)));
    server.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    client.send(request(Method::POST, upload)).await.unwrap();
    assert!(read(&mut server).await.ends_with("Transfer-Encoding: chunked\r\n\r\n"));
    let all = tokio::join!(body(&mut client), async {
        sender.send(Bytes::from_static(b"ping")).await.unwrap();
        assert_eq!(read(&mut server).await, "4\r\nping\r\n");
        server.write_all(b"4\r\npong\r\n0\r\n\r\n").await.unwrap();
    });
    assert_eq!(all.0.unwrap(), b"pong");
    assert!(!usable(&mut client).await, "the request has not ended");
}

#[tokio::test]
async fn an_unsent_request_comes_back_whole() {
    let (mut client, server) = pair();
    drop(server);
    let unanswered = client.send(request(Method::POST, Body::from("abc"))).await.unwrap_err();
    assert_eq!(unanswered.sent, Sent::Nothing);
    assert!(unanswered.error.is_lost());
    let body = unanswered.request.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_is_lost() {
    let (mut client, mut server) = pair();
    let (answer, ()) = tokio::join!(client.send(request(Method::GET, Body::Empty)), async {
        read(&mut server).await;
        drop(server);
    });
    let unanswered = answer.unwrap_err();
    assert_eq!(unanswered.sent, Sent::Some);
    assert!(unanswered.error.is_lost() && unanswered.request.is_some());
    let (mut client, mut server) = pair();
    server.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let unanswered = client.send(request(Method::GET, Body::Empty)).await.unwrap_err();
    assert!(!unanswered.error.is_lost());
}

#[tokio::test]
async fn surplus_bytes_and_ends_make_a_connection_unusable() {
    let (mut client, mut server) = pair();
    server.write_all(b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n").await.unwrap();
    client.send(request(Method::GET, Body::Empty)).await.unwrap();
    assert!(!usable(&mut client).await);
    let (mut client, server) = pair();
    assert!(usable(&mut client).await);
    drop(server);
    assert!(!usable(&mut client).await);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let (mut client, mut server) = pair();
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    client.send(request(Method::GET, Body::Empty)).await.unwrap();
    drop(server);
    assert!(matches!(body(&mut client).await, Err(Error::Incomplete)));
    let (mut client, mut server) = pair();
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nabc").await.unwrap();
    client.send(request(Method::GET, Body::Empty)).await.unwrap();
    drop(server);
    assert_eq!(body(&mut client).await.unwrap(), b"abc");
    assert!(!usable(&mut client).await);
}
