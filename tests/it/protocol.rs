//! HTTP/1 as clients and servers speak it.

use std::io::{Read as _, Write as _};

use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, all_to};

fn behind(server: &Server) -> Gateway {
    Gateway::new(&all_to(&[server.address]))
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = Server::saying("hello");
    let gateway = behind(&server);
    let mut client = gateway.client();
    client.send("GET /old HTTP/1.0\r\nHost: it.example\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "hello"));
    assert!(client.rest().is_empty());
    assert_eq!(server.last().target, "/old");
}

#[test]
fn http_1_0_may_ask_to_keep_the_connection() {
    let server = Server::saying("hello");
    let gateway = behind(&server);
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: it.example\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn requests_share_connections_on_both_sides() {
    let server = Server::saying("hello");
    let gateway = behind(&server);
    let mut client = gateway.client();
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!((server.count(), server.connections()), (5, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::new(|seen, stream| stream.write_all(&ok(&seen.target)));
    let gateway = behind(&server);
    let mut client = gateway.client();
    let requests: String =
        (0..10).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: it.example\r\n\r\n")).collect();
    client.send(requests);
    for i in 0..10 {
        assert_eq!(client.response().text(), format!("/{i}"));
    }
}

#[test]
fn chunked_bodies_and_trailers_pass_both_ways() {
    let server = Server::sending(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
          3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let gateway = behind(&server);
    let response = gateway.exchange(
        "POST /up HTTP/1.1\r\nHost: it.example\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Check\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nX-Check: 6\r\n\r\n",
    );
    assert_eq!(response.text(), "abcdefg");
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "7".to_owned())]);
    let seen = server.last();
    assert_eq!(seen.body, b"hello!");
    assert_eq!(seen.trailers, [("X-Check".to_owned(), "6".to_owned())]);
}

#[test]
fn a_client_that_expects_100_is_told_to_continue() {
    let server = Server::saying("thanks");
    let gateway = behind(&server);
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: it.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "thanks");
    assert_eq!(server.last().body, b"body");
}

#[test]
fn responses_without_body_leave_the_connection_usable() {
    let server = Server::new(|seen, stream| {
        stream.write_all(match seen.target.as_str() {
            "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            _ => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 55\r\n\r\n",
        })
    });
    let gateway = behind(&server);
    let mut client = gateway.client();
    client.send("HEAD /head HTTP/1.1\r\nHost: it.example\r\n\r\n");
    let response = client.response_to("HEAD");
    assert_eq!((response.status, response.header("content-length")), (200, Some("1234")));
    client.send("GET /204 HTTP/1.1\r\nHost: it.example\r\n\r\n");
    assert_eq!(client.response().status, 204);
    client.send("GET /304 HTTP/1.1\r\nHost: it.example\r\n\r\n");
    assert_eq!(client.response().status, 304);
    assert_eq!(server.count(), 3);
}

#[test]
fn a_web_socket_is_two_byte_streams() {
    let server = Server::new(|seen, stream| {
        assert_eq!(seen.header("sec-websocket-key"), Some("eA=="));
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )?;
        let mut piece = [0; 1024];
        loop {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => stream.write_all(&piece[..count])?,
            }
        }
    });
    let gateway = behind(&server);
    let mut client = gateway.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: it.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let response = client.response();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("websocket")));
    for message in [&b"\x81\x05hello"[..], b"\x82\x03\0\xff\x01"] {
        client.send(message);
        assert_eq!(client.bytes(message.len()), message);
    }
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let server = Server::new(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")?;
        Err(std::io::ErrorKind::Other.into())
    });
    let gateway = behind(&server);
    let response = gateway.get("/");
    assert_eq!((response.status, response.text()), (200, "until the end"));
}
