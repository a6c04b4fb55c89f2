//! Terms by name: the same as over TCP.

use crate::harness::http3::Secure;
use crate::harness::server::Server;

#[tokio::test]
async fn ghsa_gv8r_9rw9_9697_client_certificates_are_asked_for() {
    let server = Server::saying("secret");
    let secure = Secure::new(&[server.address]);
    assert_eq!(secure.status("strict.example", "strict.example", true).await, Ok(200));
    assert!(secure.status("strict.example", "strict.example", false).await.is_err());
    assert!(secure.status("STRICT.example", "strict.example", false).await.is_err());
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_host_of_other_terms_is_misdirected() {
    let server = Server::saying("secret");
    let secure = Secure::new(&[server.address]);
    assert_eq!(secure.status("open.example", "strict.example", true).await, Ok(421));
    assert_eq!(secure.status("open.example", "STRICT.example.", true).await, Ok(421));
    assert_eq!(secure.status("open.example", "old.example", true).await, Ok(421));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_host_without_tls_1_3_has_no_http3() {
    let server = Server::saying("old");
    let secure = Secure::new(&[server.address]);
    assert!(secure.status("old.example", "old.example", false).await.is_err());
    assert_eq!(secure.status("open.example", "open.example", false).await, Ok(200));
}

#[tokio::test]
async fn cve_2024_39321_early_data_is_not_taken() {
    let server = Server::saying("secret");
    let secure = Secure::new(&[server.address]);
    let mut tls = secure.tls(false);
    tls.enable_early_data = true;
    // The same settings remember the session.
    for _ in 0..2 {
        let mut quic = tls.clone();
        quic.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(quic).unwrap();
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(crypto)));
        let connecting = endpoint.connect(secure.gateway.secure, "open.example").unwrap();
        let connection = match connecting.into_0rtt() {
            Ok(_) => panic!("the ticket allows early data"),
            Err(connecting) => connecting.await.unwrap(),
        };
        let mut client = crate::harness::http3::Client::on(connection).await;
        assert_eq!(client.get("/").await.unwrap().body, b"secret");
    }
}

#[tokio::test]
async fn new_routes_serve_open_connections() {
    let (first, second) = (Server::saying("first"), Server::saying("second"));
    let mut secure = Secure::new(&[first.address]);
    let mut client = secure.client("open.example").await;
    assert_eq!(client.get("/").await.unwrap().body, b"first");
    secure.reload(&[second.address]);
    assert_eq!(client.get("/").await.unwrap().body, b"second");
}

#[tokio::test]
async fn a_client_that_moves_stays_connected() {
    let server = Server::saying("hello");
    let secure = Secure::new(&[server.address]);
    let (endpoint, mut client) = secure.moving_client("open.example").await;
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
    let before = server.last().header("x-forwarded-for").map(str::to_owned);
    let elsewhere = std::net::UdpSocket::bind("127.0.0.3:0").unwrap();
    endpoint.rebind(elsewhere).unwrap();
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
    assert_eq!(before.as_deref(), Some("127.0.0.1"));
    let now = || {
        let last = server.last();
        last.header("x-forwarded-for") == Some("127.0.0.3")
    };
    for _ in 0..100 {
        if now() {
            break;
        }
        client.get("/").await.unwrap();
    }
    assert!(now(), "the address of requests is the one before the move");
}

#[tokio::test]
async fn a_client_that_moves_stays_connected_whatever_worker_its_packets_come_to() {
    let server = Server::saying("hello");
    let secure = Secure::with(4, "", &[server.address]);
    let (endpoint, mut client) = secure.moving_client("open.example").await;
    for last in 3..15 {
        assert_eq!(client.get("/").await.unwrap().body, b"hello");
        let elsewhere =
            std::net::UdpSocket::bind(std::net::SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        endpoint.rebind(elsewhere).unwrap();
    }
    assert_eq!(client.get("/").await.unwrap().body, b"hello");
}

#[tokio::test]
async fn every_worker_serves() {
    let server = Server::saying("hello");
    let secure = Secure::with(3, "", &[server.address]);
    for _ in 0..12 {
        let mut client = secure.client("open.example").await;
        assert_eq!(client.get("/").await.unwrap().body, b"hello");
    }
}
