//! What clients must not get away with.

use bytes::Bytes;
use h3::error::Code;
use http::Request;
use quinn::VarInt;

use crate::harness::http3::{Client, Secure, answer, get, in_time};
use crate::harness::server::Server;

/// HEADERS for `GET https://open.example/`: nothing of the dynamic table (RFC 9204 appendix A).
fn head() -> Vec<u8> {
    let mut block = vec![0, 0, 0xd1, 0xd7, 0xc1, 0x50, 12];
    block.extend_from_slice(b"open.example");
    let mut frame = vec![1, block.len() as u8];
    frame.extend_from_slice(&block);
    frame
}

/// HEADERS for `POST https://open.example/`.
fn post() -> Vec<u8> {
    let mut frame = head();
    frame[4] = 0xd4;
    frame
}

fn code(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap()
}

/// The code that the gateway closes a connection with.
async fn end(connection: &quinn::Connection) -> Option<VarInt> {
    match in_time(connection.closed()).await {
        quinn::ConnectionError::ApplicationClosed(close) => Some(close.error_code),
        _ => None,
    }
}

#[tokio::test]
async fn a_body_is_as_long_as_announced() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let bodies: [&[&'static [u8]]; 3] = [&[], &[b"abc"], &[b"abcdef"]];
    for pieces in bodies {
        let request = Request::post("https://open.example/").header("content-length", "5");
        let refused = client.exchange(request.body(()).unwrap(), pieces).await;
        assert!(refused.is_err(), "{pieces:?}: {refused:?}");
    }
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
    assert!(server.seen().iter().all(|seen| seen.method == "GET"), "{:?}", server.seen());
    assert_eq!(server.malformed(), [] as [String; 0]);
}

#[tokio::test]
async fn cve_2026_33555_a_stream_that_ends_within_a_frame_is_no_whole_request() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let mut client = Client::on(connection.clone()).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&post()).await.unwrap();
    // DATA of 100 bytes, of which three come before the end.
    send.write_all(&[0, 0x40, 100, b'a', b'b', b'c']).await.unwrap();
    tokio::task::yield_now().await;
    send.finish().unwrap();
    let answer = in_time(receive.read_to_end(1 << 16)).await;
    let got = answer.unwrap_or_default();
    assert!(!got.windows(5).any(|it| it == b"hello"), "{got:?}");
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
    assert_eq!(server.seen().iter().filter(|seen| seen.method == "POST").count(), 0);
}

#[tokio::test]
async fn frames_without_a_byte_do_not_end_a_body_but_too_many_do() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let _client = Client::on(connection.clone()).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let frames = [&post()[..], &[0, 3], b"abc", &[0, 0, 0, 0, 0, 3], b"def", &[0, 0]].concat();
    send.write_all(&frames).await.unwrap();
    send.finish().unwrap();
    let answer = in_time(receive.read_to_end(1 << 16)).await.unwrap();
    assert!(answer.ends_with(b"hello"), "{answer:?}");
    assert_eq!(server.last().body, b"abcdef");
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&[&post()[..], &[0; 1000]].concat()).await.unwrap();
    assert_eq!(end(&connection).await, Some(code(Code::H3_FRAME_UNEXPECTED)));
}

#[tokio::test]
async fn fields_of_http1_connections_are_refused() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("content-length", "+1"),
    ] {
        let request = Request::get("https://open.example/").header(name, value).body(()).unwrap();
        assert!(client.exchange(request, &[]).await.is_err(), "{name}");
    }
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn heads_have_the_limits_of_the_other_protocols() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let mut client = secure.client("open.example").await;
    let large = "x".repeat(65 * 1024);
    let request = Request::get("https://open.example/").header("x-large", large);
    let answer = client.exchange(request.body(()).unwrap(), &[]).await.unwrap();
    assert_eq!(answer.head.status().as_u16(), 431);
    let mut many = get("/");
    for number in 0..300 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        many.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(client.exchange(many, &[]).await.unwrap().head.status().as_u16(), 431);
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
}

#[tokio::test]
async fn a_frame_without_end_is_not_collected() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let mut client = Client::on(connection.clone()).await;
    // HEADERS, and a frame of an unknown type, that claim 2^30 bytes.
    for kind in [1, 0x21] {
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&[kind, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]).await.unwrap();
        let stopped = in_time(send.stopped()).await.unwrap();
        assert_eq!(stopped, Some(code(Code::H3_EXCESSIVE_LOAD)), "{kind}");
    }
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
}

#[tokio::test]
async fn tiny_data_frames_do_not_pile_up() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let mut client = Client::on(connection.clone()).await;
    let before = secure.gateway.resident();
    let request = Request::post("https://open.example/").body(()).unwrap();
    let mut stream = client.begin(request).await.unwrap();
    for _ in 0..200_000 {
        in_time(stream.send_data(Bytes::from_static(b"x"))).await.unwrap();
    }
    in_time(stream.finish()).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().body, b"hello");
    assert_eq!(server.last().body.len(), 200_000);
    let grown = secure.gateway.resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn cve_2023_44487_giving_up_in_a_loop_ends_the_connection() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let _client = Client::on(connection.clone()).await;
    let mut begun = 0;
    while let Ok(Ok((mut send, mut receive))) =
        tokio::time::timeout(crate::harness::DEADLINE, connection.open_bi()).await
    {
        begun += 1;
        assert!(begun < 5_000, "the connection goes on");
        if send.write_all(&head()[..3]).await.is_err() {
            break;
        }
        let _ = send.reset(code(Code::H3_REQUEST_CANCELLED));
        let _ = receive.stop(code(Code::H3_REQUEST_CANCELLED));
    }
    assert_eq!(end(&connection).await, Some(code(Code::H3_EXCESSIVE_LOAD)));
    let mut other = secure.client("open.example").await;
    assert_eq!(other.get("/").await.unwrap().body, b"hello");
}

#[tokio::test]
async fn streams_in_one_direction_without_end_end_the_connection() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let _client = Client::on(connection.clone()).await;
    let mut opened = 0;
    while let Ok(Ok(mut send)) =
        tokio::time::timeout(crate::harness::DEADLINE, connection.open_uni()).await
    {
        opened += 1;
        assert!(opened < 1_000, "the connection goes on");
        // A reserved type (RFC 9114 section 6.2.3).
        if send.write_all(&[0x21]).await.is_err() || send.finish().is_err() {
            break;
        }
    }
    assert_eq!(end(&connection).await, Some(code(Code::H3_EXCESSIVE_LOAD)));
}

#[tokio::test]
async fn the_dynamic_table_is_refused_so_nothing_waits_for_it() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let connection = secure.quic("open.example").await.unwrap();
    let _client = Client::on(connection.clone()).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    // A field section that needs one entry (RFC 9204 section 4.5.1).
    send.write_all(&[1, 3, 2, 0, 0x80]).await.unwrap();
    assert_eq!(end(&connection).await, Some(code(Code::QPACK_DECOMPRESSION_FAILED)));
}

/// First packets for the gateway, caught on their way.
async fn first_packets(secure: &Secure, count: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for _ in 0..count {
        let trap = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (_endpoint, _connecting) =
            secure.connecting("open.example", trap.local_addr().unwrap());
        let mut packet = vec![0; 2048];
        let length = in_time(trap.recv(&mut packet)).await.unwrap();
        packet.truncate(length);
        packets.push(packet);
    }
    packets
}

#[tokio::test]
async fn under_load_clients_prove_their_address_and_get_no_more_than_they_send() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let mut sockets = Vec::new();
    let mut kinds = Vec::new();
    for packet in first_packets(&secure, 40).await {
        // Each from an address of its own, which never says another word.
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&packet, secure.gateway.secure).await.unwrap();
        let mut answer = vec![0; 2048];
        let length = in_time(socket.recv(&mut answer)).await.unwrap();
        kinds.push(answer[0] >> 4 & 3);
        let mut total = length;
        while let Ok(Ok(length)) =
            tokio::time::timeout(std::time::Duration::from_millis(20), socket.recv(&mut answer))
                .await
        {
            total += length;
        }
        assert!(total <= 3 * packet.len(), "{total} bytes for {}", packet.len());
        sockets.push(socket);
    }
    // RFC 9000 section 17.2: a Retry is of type 3, an Initial of type 0.
    assert_eq!(kinds[..32], [0; 32]);
    assert_eq!(kinds[33..], [3; 7]);
    let mut client = secure.client("open.example").await;
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
}
