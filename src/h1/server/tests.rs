use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const LIMITS: Limits = Limits { head: 4096, fields: 64 };

fn pair() -> (DuplexStream, Server<DuplexStream>) {
    let (client, server) = duplex(256 * 1024);
    (client, Server::new(server, LIMITS))
}

async fn request(server: &mut Server<DuplexStream>) -> Request<Body> {
    match server.next().await.unwrap() {
        Next::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

async fn answer(server: &mut Server<DuplexStream>, body: Body) -> After {
    let (mut headers, mut body) = (HeaderMap::new(), body);
    headers.insert(http::header::DATE, http::HeaderValue::from_static("now"));
    server.respond(StatusCode::OK, &headers, &mut body).await.unwrap()
}

async fn written(client: &mut DuplexStream) -> String {
    let mut bytes = vec![0; 64 * 1024];
    let count = client.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn stream(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Body {
    Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn a_request_is_answered_in_one_write() {
    let (mut client, mut server) = pair();
    client.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(request(&mut server).await.uri().path(), "/a");
    assert_eq!(answer(&mut server, Body::from("hello")).await, After::Open);
    let expected = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(written(&mut client).await, expected);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let (mut client, mut server) = pair();
    let two = b"POST /1 HTTP/1.1\r\ncontent-length: 2\r\n\r\nabGET /2 HTTP/1.0\r\n\r\n";
    client.write_all(two).await.unwrap();
    let first = request(&mut server).await;
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "ab");
    assert_eq!(answer(&mut server, Body::Empty).await, After::Open);
    assert_eq!(request(&mut server).await.uri().path(), "/2");
    assert_eq!(answer(&mut server, Body::Empty).await, After::Close);
    let text = written(&mut client).await;
    assert!(text.contains("HTTP/1.0 200 OK\r\n") && !text.contains("Connection"), "{text}");
}

#[tokio::test]
async fn a_body_comes_as_it_is_sent_and_is_asked_for() {
    let (mut client, mut server) = pair();
    let head = b"PUT / HTTP/1.1\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head).await.unwrap();
    let mut body = request(&mut server).await.into_body();
    let first = tokio::join!(body.frame(), async {
        assert_eq!(written(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"3\r\nabc\r\n").await.unwrap();
    });
    assert_eq!(first.0.unwrap().unwrap().into_data().unwrap(), "abc");
    client.write_all(b"0\r\nx-sum: 1\r\n\r\n").await.unwrap();
    let last = body.frame().await.unwrap().unwrap();
    assert_eq!(last.trailers_ref().unwrap()["x-sum"], "1");
    assert!(body.is_end() && body.frame().await.is_none());
}

#[tokio::test]
async fn a_stream_goes_out_in_chunks_with_its_trailers() {
    let (mut client, mut server) = pair();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    request(&mut server).await;
    let trailers: HeaderMap =
        [("x-sum".parse().unwrap(), http::HeaderValue::from_static("1"))].into_iter().collect();
    let large = Bytes::from(vec![b'x'; 5000]);
    let frames = vec![
        Ok(Frame::data(Bytes::from_static(b"abc"))),
        Ok(Frame::data(large)),
        Ok(Frame::trailers(trailers)),
    ];
    answer(&mut server, stream(frames)).await;
    let text = written(&mut client).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("Transfer-Encoding: chunked"), "{head}");
    let expected = format!("3\r\nabc\r\n1388\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", "x".repeat(5000));
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_ended() {
    let (mut client, mut server) = pair();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    request(&mut server).await;
    let frames = vec![Ok(Frame::data(Bytes::from_static(b"abc"))), Err("gone".into())];
    let headers = HeaderMap::new();
    let result = server.respond(StatusCode::OK, &headers, &mut stream(frames)).await;
    assert!(matches!(result, Err(Error::Body(_))));
    drop(server);
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert!(!text.contains("0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn what_nobody_read_is_skipped_or_ends_the_connection() {
    let (mut client, mut server) = pair();
    client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    let unwanted = request(&mut server).await;
    client.write_all(b"defghiGET /next HTTP/1.1\r\n\r\n").await.unwrap();
    drop(unwanted);
    assert_eq!(answer(&mut server, Body::Empty).await, After::Open);
    assert_eq!(request(&mut server).await.uri().path(), "/next");
    answer(&mut server, Body::Empty).await;
    let head = b"POST / HTTP/1.1\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    client.write_all(head).await.unwrap();
    request(&mut server).await;
    assert_eq!(answer(&mut server, Body::Empty).await, After::Close);
}

#[tokio::test]
async fn a_body_that_somebody_kept_gets_nothing_of_the_next_request() {
    let (mut client, mut server) = pair();
    client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n").await.unwrap();
    let mut kept = request(&mut server).await.into_body();
    client.write_all(b"abcPOST / HTTP/1.1\r\ncontent-length: 6\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut server, Body::Empty).await, After::Open);
    let mut next = request(&mut server).await.into_body();
    client.write_all(b"secret").await.unwrap();
    assert!(kept.frame().await.unwrap().is_err());
    assert_eq!(next.frame().await.unwrap().unwrap().into_data().unwrap(), "secret");
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let (mut client, mut server) = pair();
    let head = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(5000));
    client.write_all(head.as_bytes()).await.unwrap();
    let next = server.next().await.unwrap();
    assert!(matches!(next, Next::Refused(Refusal::TOO_LARGE)), "{next:?}");
    server.refuse(Refusal::TOO_LARGE).await.unwrap();
    let text = written(&mut client).await;
    assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n431 Request Header Fields Too Large"), "{text}");
}

#[tokio::test]
async fn what_cannot_become_a_head_is_not_waited_for() {
    for text in ["PROXY TCP4 192.0.2.8 198.51.100.1 1 2\r\n", "\x16\x03\x01", "GET / HTTP/3\r\n"] {
        let (mut client, mut server) = pair();
        client.write_all(text.as_bytes()).await.unwrap();
        let next = server.next().await.unwrap();
        assert!(matches!(next, Next::Refused(Refusal::MALFORMED)), "{text:?} {next:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_client_is_an_end() {
    let (client, mut server) = pair();
    drop(client);
    assert!(matches!(server.next().await, Ok(Next::End)));
    let (mut client, mut server) = pair();
    client.write_all(b"GET / HT").await.unwrap();
    drop(client);
    assert!(matches!(server.next().await, Err(Error::Incomplete)));
}

#[tokio::test]
async fn a_switched_stream_begins_with_what_was_read_too_much() {
    let (mut client, mut server) = pair();
    client.write_all(b"GET / HTTP/1.1\r\nupgrade: x\r\n\r\nearly").await.unwrap();
    request(&mut server).await;
    let (headers, mut body) = (HeaderMap::new(), Body::Empty);
    let status = StatusCode::SWITCHING_PROTOCOLS;
    server.respond(status, &headers, &mut body).await.unwrap();
    let mut stream = server.into_stream().unwrap();
    client.write_all(b" late").await.unwrap();
    let mut bytes = [0; 10];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"early late");
}

#[tokio::test]
async fn a_client_that_goes_is_noticed_and_one_that_sends_more_is_not_gone() {
    let (mut client, mut server) = pair();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    request(&mut server).await;
    let gone = |server: &Server<DuplexStream>, context: &mut Context<'_>| {
        Poll::Ready(server.poll_gone(context).is_ready())
    };
    assert!(!poll_fn(|context| gone(&server, context)).await);
    client.write_all(b"GET /next HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(!poll_fn(|context| gone(&server, context)).await);
    answer(&mut server, Body::Empty).await;
    assert_eq!(request(&mut server).await.uri().path(), "/next");
    let waits = Body::stream(http_body_util::StreamBody::new(futures_util::stream::pending()));
    drop(client);
    assert!(poll_fn(|context| gone(&server, context)).await);
    let (headers, mut body) = (HeaderMap::new(), waits);
    assert!(server.respond(StatusCode::OK, &headers, &mut body).await.is_err());
}
