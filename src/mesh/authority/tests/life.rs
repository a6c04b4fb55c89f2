//! 2.2 and the authority's absence (5.14): short lives under load, a restart without it, the end, and its return.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::net::task;
use crate::tls::spiffe::{self, peer_id};

/// Accepts connections for `own` and greets each peer that is who it must be.
async fn serve(holder: &Arc<Holder>, own: &Id, peer: Id) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(spiffe::server_config_as(holder, own));
    task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (accepting, peer) = (acceptor.accept(stream), peer.clone());
            task::spawn(async move {
                let Ok(mut stream) = accepting.await else { return };
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
                if peer_id(&chain).is_ok_and(|id| id == peer) {
                    let _ = stream.write_all(b"hello").await;
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// One handshake and a greeting.
async fn greet(
    address: std::net::SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    expected: &Id,
) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(spiffe::server_name(expected), stream).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let found = peer_id(&chain).map_err(|refusal| refusal.to_string())?;
    let mut told = String::new();
    stream.read_to_string(&mut told).await.map_err(|error| error.to_string())?;
    if found == *expected && told == "hello" { Ok(()) } else { Err(format!("{found}: `{told}`")) }
}

/// 2.2 in small: leaves of four seconds, handshakes all the time from one node to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_identities_are_renewed() {
    let control = Control::new(Duration::from_secs(4)).await;
    let nodes = ["n1", "n2"]
        .map(|name| Node::start(name, &control.invite(name, "ns/*/sa/*", Duration::from_mins(1))));
    let [n1, n2] = &nodes;
    let (shop, web) = (account("shop", "cart"), account("default", "web"));
    n1.ready(&shop).await;
    n2.ready(&web).await;
    let renewals = [(n1, &shop), (n2, &web)].map(|(node, id)| count(&node.holder, id.clone()));
    let address = serve(&n2.holder, &web, shop.clone()).await;
    let tls = spiffe::client_config(&n1.holder, &shop, web.clone()).unwrap();
    let mut shaken = 0;
    let until = tokio::time::Instant::now() + LIMIT * 4;
    while renewals.iter().any(|count| count.load(Relaxed) < 6) {
        assert!(tokio::time::Instant::now() < until, "they are not renewed");
        let greeted = greet(address, &tls, &web).await;
        assert_eq!(greeted, Ok(()), "after {shaken} handshakes");
        shaken += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(shaken > 300, "{shaken}");
}

/// Counts how often `id` is renewed.
fn count(holder: &Arc<Holder>, id: Id) -> Arc<AtomicU64> {
    let (holder, count) = (Arc::clone(holder), Arc::new(AtomicU64::new(0)));
    let (mut changes, counted) = (holder.changes(), Arc::clone(&count));
    let mut last = holder.svid(&id).map(|svid| svid.not_after);
    task::spawn(async move {
        while changes.changed().await.is_ok() {
            let now = holder.svid(&id).map(|svid| svid.not_after);
            if now.is_some() && now != last {
                last = now;
                counted.fetch_add(1, Relaxed);
            }
        }
    });
    count
}

#[tokio::test]
async fn without_the_authority_nothing_fails_until_the_end_and_then_closed() {
    let control = Control::new(Duration::from_secs(8)).await;
    let n1 = Node::start("n1", &control.invite("n1", "ns/*/sa/*", Duration::from_mins(1)));
    let web = account("default", "web");
    let svid = n1.ready(&web).await;
    let Node { folder, holder, keeper } = n1;
    let (ca, address, lives) = control.stop();
    drop((holder, keeper));
    // A restart needs only what is on the disk.
    let n1 = Node::again("n1", folder);
    let kept = n1.holder.svid(&web).expect("kept over the restart");
    assert!(kept.not_after >= svid.not_after);
    n1.keeper.want(&web);
    let peer = serve(&n1.holder, &web, web.clone()).await;
    let tls = spiffe::client_config(&n1.holder, &web, web.clone()).unwrap();
    while n1.holder.svid(&web).is_some() {
        let greeted = greet(peer, &tls, &web).await;
        // It may end between the question and the answer.
        assert!(greeted.is_ok() || n1.holder.svid(&web).is_none(), "{greeted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(greet(peer, &tls, &web).await.is_err(), "an expired identity is not shown");
    let refusal = spiffe::client_config(&n1.holder, &web, web.clone()).unwrap_err();
    assert_eq!(refusal.reason(), "no_identity");
    // It is back: the node knows its key, and the authority the node.
    until("the node's own ends, too", || n1.holder.svid(&node("n1")).is_none()).await;
    until("the old door is closed", || std::net::TcpListener::bind(&address).is_ok()).await;
    let back = tokio::time::Instant::now();
    let _control = Control::at(ca, &address, lives).await;
    n1.ready(&web).await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    greet(peer, &tls, &web).await.unwrap();
}
