//! h2 on both sides: prior knowledge, gRPC-like calls with trailers, to servers that speak h2c.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{Gateway, all_to, frames};

type Frames =
    StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn streamed(receiver: mpsc::Receiver<Frame<Bytes>>) -> Frames {
    let next = |mut receiver: mpsc::Receiver<Frame<Bytes>>| async move {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    };
    StreamBody::new(Box::pin(futures_util::stream::unfold(receiver, next)))
}

/// Echoes each piece of the request body as it comes, then trailers: their number, and what the client's trailers said.
async fn echo(request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    let (sender, receiver) = mpsc::channel(1);
    let te = request.headers().get("te").cloned();
    let mut body = request.into_body();
    run(async move {
        let (mut pieces, mut trailers) = (0, HeaderMap::new());
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(data) => {
                    pieces += 1;
                    let _ = sender.send(Frame::data(data)).await;
                }
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("pieces", pieces.to_string().parse().unwrap());
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    let mut response = Response::new(streamed(receiver));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    if let Some(te) = te {
        response.headers_mut().insert("seen-te", te);
    }
    Ok(response)
}

#[allow(clippy::disallowed_methods, reason = "tests have no workers")]
fn run(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// A server of h2 with prior knowledge.
pub(crate) async fn h2c_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    run(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            run(async move {
                let _ = builder.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
            });
        }
    });
    address
}

fn h2c_routes(server: SocketAddr) -> String {
    format!(
        "[http.routers]\nall = {{ rule = \"PathPrefix(`/`)\", service = \"it\" }}\n\
         [http.services.it.loadBalancer]\nservers = [{{ url = \"h2c://{server}\" }}]\n"
    )
}

type Sender = hyper::client::conn::http2::SendRequest<Frames>;

async fn connect(address: SocketAddr) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    run(async move {
        let _ = connection.await;
    });
    sender
}

fn call(address: SocketAddr) -> (mpsc::Sender<Frame<Bytes>>, Request<Frames>) {
    let (sender, receiver) = mpsc::channel(1);
    let request = Request::post(format!("http://{address}/package.Service/Method"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(streamed(receiver))
        .unwrap();
    (sender, request)
}

#[tokio::test]
async fn a_unary_call_passes_with_its_trailers() {
    let gateway = Gateway::new(&h2c_routes(h2c_server().await));
    let mut client = connect(gateway.web).await;
    let (body, request) = call(gateway.web);
    let answer = client.send_request(request);
    body.send(Frame::data(Bytes::from_static(b"\0\0\0\0\x02hi"))).await.unwrap();
    drop(body);
    let response = answer.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["seen-te"], "trailers");
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), &b"\0\0\0\0\x02hi"[..]);
}

#[tokio::test]
async fn a_streaming_call_passes_piece_by_piece() {
    let gateway = Gateway::new(&h2c_routes(h2c_server().await));
    let mut client = connect(gateway.web).await;
    let (body, request) = call(gateway.web);
    let mut response = client.send_request(request).await.unwrap();
    for piece in ["one", "two", "three"] {
        // Each piece is back before the next is sent: nobody on the way waits for more.
        body.send(Frame::data(Bytes::from_static(piece.as_bytes()))).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    let trailers = HeaderMap::from_iter([("checked".parse().unwrap(), "yes".parse().unwrap())]);
    body.send(Frame::trailers(trailers)).await.unwrap();
    drop(body);
    let trailers = response.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["pieces"], &trailers["checked"]),
        (&"3".parse().unwrap(), &"yes".parse().unwrap())
    );
}

#[tokio::test]
async fn prior_knowledge_is_served_from_http_1_servers() {
    let server = Server::saying("hello");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = connect(gateway.web).await;
    let (_, receiver) = mpsc::channel(1);
    let request = Request::get(format!("http://{}/x?y=1", gateway.web)).body(streamed(receiver));
    let response = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    let seen = server.last();
    assert_eq!(seen.target, "/x?y=1");
    assert_eq!(seen.header("host"), Some(&*gateway.web.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_clients_reach_h2_servers() {
    let gateway = Gateway::new(&h2c_routes(h2c_server().await));
    let response = gateway.exchange(
        "POST / HTTP/1.1\r\nHost: it.example\r\nContent-Length: 5\r\nTE: trailers\r\n\r\nhello",
    );
    assert_eq!((response.status, response.text()), (200, "hello"));
}

#[test]
fn fields_of_a_connection_have_no_place_in_h2() {
    // RFC 9113 section 8.2.2; a downgrade of such a request is the classic of h2 smuggling.
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for field in [
        &b"\x00\x11transfer-encoding\x07chunked"[..],
        b"\x00\x0aconnection\x05close",
        b"\x00\x07upgrade\x03h2c",
        b"\x00\x02te\x04gzip",
    ] {
        let block = [frames::POST, field].concat();
        let mut client = frames::begin(gateway.web);
        client.send(frames::frame(frames::HEADERS, frames::END_HEADERS, 1, &block));
        client.send(frames::frame(frames::DATA, frames::END_STREAM, 1, b"0\r\n\r\nGET /smuggled "));
        assert!(!answered(&mut client), "{:?}", String::from_utf8_lossy(field));
    }
    assert_eq!(gateway.get("/after").text(), "served");
    assert_eq!(server.count(), 1, "{:?}", server.seen());
}

#[test]
fn a_length_that_h2_data_does_not_keep_is_refused() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for (length, data) in [(&b"\x01\x32"[..], &b"more than two"[..]), (b"\x02\x35\x30", b"less")] {
        let block = [frames::POST, b"\x0f\x0d", length].concat();
        let mut client = frames::begin(gateway.web);
        client.send(frames::frame(frames::HEADERS, frames::END_HEADERS, 1, &block));
        client.send(frames::frame(frames::DATA, frames::END_STREAM, 1, data));
        assert!(!answered(&mut client));
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn line_ends_in_h2_fields_are_refused() {
    let server = Server::saying("served");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for field in [
        &b"\x00\x03x-a\x09b\r\nx-b: c"[..],
        b"\x00\x03x\na\x01b",
        b"\x00\x03x-a\x03b\0c",
        b"\x00\x05x-a: \x01b",
        b"\x00\x03X-A\x01b",
    ] {
        let block = [frames::GET, field].concat();
        let mut client = frames::begin(gateway.web);
        client.send(frames::frame(
            frames::HEADERS,
            frames::END_HEADERS | frames::END_STREAM,
            1,
            &block,
        ));
        assert!(!answered(&mut client), "{:?}", String::from_utf8_lossy(field));
    }
    assert_eq!(server.count(), 0);
}

/// Whether stream 1 gets a response of a server; not if it is reset or refused.
fn answered(client: &mut Client) -> bool {
    loop {
        let (kind, _, stream, payload) = frames::read(client);
        match kind {
            frames::RST_STREAM | frames::GOAWAY => return false,
            // 200 and 400 are entries 8 and 12 of HPACK's static table.
            frames::HEADERS if stream == 1 => return payload.first() == Some(&0x88),
            _ => {}
        }
    }
}

#[test]
fn a_connection_that_had_its_requests_is_told_to_go_and_answers_what_came() {
    let server = Server::saying("served");
    let install = "[entryPoints.web.transport]\nkeepAliveMaxRequests = 2\n";
    let gateway = Gateway::with(install, &all_to(&[server.address]));
    let mut client = frames::begin(gateway.web);
    let ask = |client: &mut Client, stream| {
        let flags = frames::END_STREAM | frames::END_HEADERS;
        client.send(frames::frame(frames::HEADERS, flags, stream, frames::GET));
    };
    ask(&mut client, 1);
    loop {
        let (kind, flags, stream, _) = frames::read(&mut client);
        assert_ne!(kind, frames::GOAWAY, "after one request");
        if kind == frames::DATA && flags & frames::END_STREAM != 0 && stream == 1 {
            break;
        }
    }
    ask(&mut client, 3);
    let (mut told, mut answered) = (false, false);
    while !(told && answered) {
        let (kind, _, stream, payload) = frames::read(&mut client);
        told |= kind == frames::GOAWAY && payload[4..8] == [0; 4];
        answered |= kind == frames::HEADERS && stream == 3;
    }
}
