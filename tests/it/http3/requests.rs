//! Requests and answers, both ways.

use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method, Request};

use crate::harness::http3::{Secure, answer, get, in_time, until};
use crate::harness::server::{Gate, Server, ok};

const MEGABYTES: usize = 8 << 20;

#[tokio::test]
async fn requests_are_answered_as_over_the_other_protocols() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let answer = client.get("/a?b=c").await.unwrap();
    assert_eq!((answer.head.status().as_u16(), &*answer.body), (200, &b"hello"[..]));
    assert!(answer.header("date").is_some());
    assert_eq!(answer.header("content-length"), Some("5"));
    // Whoever speaks HTTP/3 need not be told that there is HTTP/3.
    assert_eq!(answer.header("alt-svc"), None);
    let seen = server.last();
    assert_eq!((&*seen.method, &*seen.target), ("GET", "/a?b=c"));
    assert_eq!(seen.header("host"), Some("open.example"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("transfer-encoding"), None);
    let missing = Request::get("https://other.example/").body(()).unwrap();
    assert_eq!(client.exchange(missing, &[]).await.unwrap().head.status().as_u16(), 404);
}

#[tokio::test]
async fn bodies_go_both_ways_with_and_without_a_length() {
    let server = Server::new(|seen, stream| {
        let text = String::from_utf8_lossy(&seen.body).to_uppercase();
        stream.write_all(&ok(&text))
    });
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    for length in [None, Some("6")] {
        let mut request = Request::post("https://open.example/");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(()).unwrap();
        let answer = client.exchange(request, &[b"abc", b"def"]).await.unwrap();
        assert_eq!(answer.body, b"ABCDEF");
        assert_eq!(server.last().header("content-length"), length);
    }
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let server = Server::new(|seen, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.body.len())?;
        stream.write_all(&seen.body)
    });
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let sent: Vec<u8> = (0..MEGABYTES).map(|index| (index % 251) as u8).collect();
    let request = Request::post("https://open.example/").body(()).unwrap();
    let mut stream = client.begin(request).await.unwrap();
    for piece in sent.chunks(100_000) {
        in_time(stream.send_data(Bytes::copy_from_slice(piece))).await.unwrap();
    }
    in_time(stream.finish()).await.unwrap();
    let got = answer(&mut stream).await.unwrap();
    assert!(got.body == sent, "{} bytes came back", got.body.len());
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let server = Server::sending(
        b"HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n",
    );
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let request =
        Request::post("https://open.example/").header("trailer", "x-sum").body(()).unwrap();
    let mut stream = client.begin(request).await.unwrap();
    in_time(stream.send_data(Bytes::from_static(b"body"))).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    in_time(stream.send_trailers(trailers)).await.unwrap();
    in_time(stream.finish()).await.unwrap();
    let answer = answer(&mut stream).await.unwrap();
    assert_eq!(answer.body, b"abc");
    assert_eq!(answer.trailers.unwrap().get("x-end").unwrap(), "yes");
    assert_eq!(server.last().body, b"body");
    assert_eq!(server.last().trailers, [("X-Sum".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn calls_of_grpc_stream_both_ways() {
    let server = crate::h2::h2c_server().await;
    let service =
        format!("[http.services.it.loadBalancer]\nservers = [{{ url = \"h2c://{server}\" }}]\n");
    let secure = Secure::before(1, "", &service);
    let mut client = secure.client("open.example").await;
    let request = Request::post("https://open.example/service/call")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let mut stream = client.begin(request.body(()).unwrap()).await.unwrap();
    let head = async |stream: &mut crate::harness::http3::Stream| {
        in_time(stream.recv_response()).await.unwrap()
    };
    for piece in ["one", "two", "three"] {
        in_time(stream.send_data(Bytes::from(piece))).await.unwrap();
        if piece == "one" {
            assert_eq!(head(&mut stream).await.headers()["seen-te"], "trailers");
        }
        // Each comes back before the next is sent.
        let mut data = in_time(stream.recv_data()).await.unwrap().unwrap();
        assert_eq!(data.copy_to_bytes(data.remaining()), piece);
    }
    in_time(stream.finish()).await.unwrap();
    assert!(in_time(stream.recv_data()).await.unwrap().is_none());
    let trailers = in_time(stream.recv_trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn the_access_log_names_the_protocol() {
    let server = Server::saying("hello");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let install = format!("[accessLog]\nfilePath = {path:?}\nformat = \"json\"\n");
    let secure = Secure::with(1, &install, &[server.address]);
    let mut client = secure.client("open.example").await;
    let request = Request::post("https://open.example/a").body(()).unwrap();
    client.exchange(request, &[b"abc"]).await.unwrap();
    let line = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().find(|line| line.contains("\"/a\"")).map(str::to_owned)
    };
    until("the request is logged", || line().is_some()).await;
    let line = line().unwrap();
    for part in [
        "\"RequestProtocol\":\"HTTP/3.0\"",
        "\"RequestContentSize\":3",
        "\"DownstreamContentSize\":5",
        "\"TLSVersion\":\"1.3\"",
        "\"TLSCipher\":\"TLS_AES_",
        "\"entryPointName\":\"secure\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let server = Server::new(|seen, stream| match &*seen.target {
        "/none" => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "/same" => stream.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
        _ => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    });
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    for (path, status) in [("/none", 204), ("/same", 304)] {
        let answer = client.get(path).await.unwrap();
        assert_eq!((answer.head.status().as_u16(), answer.body.len()), (status, 0), "{path}");
    }
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let answer = client.exchange(head, &[]).await.unwrap();
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("7"), 0));
}

#[tokio::test]
async fn a_request_that_the_client_gives_up_is_given_up() {
    let gate = Gate::default();
    let inner = gate.clone();
    let server = Server::new(move |_, stream| {
        inner.wait();
        stream.write_all(&ok("late"))
    });
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let mut stream = client.begin(get("/")).await.unwrap();
    in_time(stream.finish()).await.unwrap();
    until("the server has the request", || server.count() == 1).await;
    stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
    // The connection to the server ends with the request, which the server still answers.
    until("its connection is closed", || closed_by_gateway(server.address.port())).await;
    gate.open();
    assert_eq!(client.get("/again").await.unwrap().body, b"late");
}

/// Whether the other end of a connection to `port` has said that it ends.
fn closed_by_gateway(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let server = format!(":{port:04X} ");
    // Local address first; state 08 is CLOSE_WAIT.
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() > 3 && format!("{} ", fields[1]).ends_with(&server) && fields[3] == "08"
    })
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_answer() {
    let server = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")?;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    assert!(client.get("/").await.is_err());
}

#[tokio::test]
async fn http3_is_told_to_clients_of_tls_alone() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let port = secure.gateway.secure.port();
    let told = format!("h3=\":{port}\"; ma=2592000");
    let tls = secure.over_tcp("open.example");
    assert_eq!(tls.header("alt-svc"), Some(&*told));
    let mut plain = crate::harness::client::Client::connect(secure.gateway.secure);
    plain.send("GET / HTTP/1.1\r\nHost: open.example\r\n\r\n");
    assert_eq!(plain.response().header("alt-svc"), None);
}

#[tokio::test]
async fn another_port_can_be_told() {
    let server = Server::saying("hello");
    let secure = Secure::with(1, "advertisedPort = 8443\n", &[server.address]);
    let told = "h3=\":8443\"; ma=2592000";
    assert_eq!(secure.over_tcp("open.example").header("alt-svc"), Some(told));
    assert_eq!(secure.client("open.example").await.get("/").await.unwrap().body, b"hello");
}
