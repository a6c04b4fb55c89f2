//! Bytes through tunnels.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::lab::{Authority, EDGE, Node, WEB, catalog, deaf, echo};
use crate::install::DefaultPolicy;
use crate::upstream::testing::until;

/// Two nodes: `n1` calls as an edge, `n2` has the workload `web`.
async fn two() -> (Node, Node) {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    (one, two)
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_end_is_passed_on() {
    let (one, two) = two().await;
    let workload = echo().await;
    assert!(two.serve(&catalog(&two, "n2", &[workload], "tcp")).is_empty());
    let stream = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..9_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let bytes = sent.clone();
    let writing = crate::net::task::spawn(async move {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
        write
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    drop(writing.await.unwrap());
    assert_eq!(one.tunnels(), 1);
    // Both sides counted the same.
    let shown = |node: &Node| {
        crate::observe::metrics::prometheus::text(&crate::snapshot::extension::Extension::families(
            &*node.mesh,
        ))
    };
    drop(read);
    until(|| {
        shown(&two).contains(
            "portcullis_mesh_tcp_connections_closed_total{destination_namespace=\"default\"",
        ) && shown(&two).contains("} 9000000")
    })
    .await;
    assert!(shown(&one).contains("reporter=\"source\"") && shown(&one).contains("} 9000000"));
}

#[tokio::test]
async fn slow_streams_do_not_stall_others() {
    let (one, two) = two().await;
    let (slow, quick) = (deaf().await, echo().await);
    assert!(two.serve(&catalog(&two, "n2", &[slow, quick], "tcp")).is_empty());
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut stream = one.dial(EDGE, ("n2", two.address), WEB, slow).await.unwrap();
        let block = vec![0; 64 * 1024];
        // Until neither the sockets nor the window take any more.
        while tokio::time::timeout(Duration::from_millis(300), stream.write_all(&block))
            .await
            .is_ok()
        {}
        stuck.push(stream);
    }
    let mut stream = one.dial(EDGE, ("n2", two.address), WEB, quick).await.unwrap();
    assert_eq!(one.tunnels(), 1, "all share a connection");
    let talk = async {
        for _ in 0..20 {
            stream.write_all(&vec![7; 50_000]).await.unwrap();
            let mut back = vec![0; 50_000];
            stream.read_exact(&mut back).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), talk).await.expect("others go on");
    assert_eq!(stuck.len(), 3);
}

#[tokio::test]
async fn a_burst_shares_connections_of_a_hundred_streams() {
    let (one, two) = two().await;
    let workload = echo().await;
    assert!(two.serve(&catalog(&two, "n2", &[workload], "tcp")).is_empty());
    let dials = (0..250).map(|_| one.dial(EDGE, ("n2", two.address), WEB, workload));
    let streams = futures_util::future::join_all(dials).await;
    assert!(streams.iter().all(Result::is_ok), "{:?}", streams.iter().find(|it| it.is_err()));
    assert_eq!(one.tunnels(), 3);
}

#[tokio::test]
async fn a_connection_that_the_node_gave_up_is_replaced() {
    let (one, two) = two().await;
    let workload = echo().await;
    assert!(two.serve(&catalog(&two, "n2", &[workload], "tcp")).is_empty());
    let mut stream = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap();
    // The node ends: what runs goes on, what begins goes elsewhere.
    two.drainer.begin();
    stream.write_all(b"still").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"still");
    let mut next = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap();
    next.write_all(b"fresh").await.unwrap();
    next.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"fresh");
}
