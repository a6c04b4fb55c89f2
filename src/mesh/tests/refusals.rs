//! Who is not believed, and calls that are not taken.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::lab::{Authority, EDGE, Node, WEB, catalog, echo};
use crate::install::DefaultPolicy;
use crate::snapshot::extension::Extension as _;
use crate::tls::spiffe::{Bundle, Holder};
use crate::upstream::testing::until;

/// What a node counts of handshakes that failed where tunnels arrive.
fn failures(node: &Node) -> String {
    let text = crate::observe::metrics::prometheus::text(&node.mesh.families());
    let lines =
        text.lines().filter(|line| line.starts_with("portcullis_mesh_handshake_failures_total"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn each_bad_caller_is_refused_with_its_reason() {
    let (good, other) = (Authority::new(), Authority::new());
    let two = Node::start("n2", good.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    let workload = echo().await;
    assert!(two.serve(&catalog(&two, "n2", &[workload], "tcp")).is_empty());
    let of = |svid| {
        let holder = Holder::new();
        holder.set_bundle(good.bundle());
        holder.put(svid);
        holder
    };
    // The caller believes the node; the node must not believe the caller.
    let expired = good.svid_with(EDGE, |params| {
        params.not_before = (SystemTime::now() - Duration::from_hours(2)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(1)).into();
    });
    // In TLS 1.3 the caller learns only after its handshake that it was not believed.
    for (reason, holder) in [("untrusted_root", of(other.svid(EDGE)))] {
        let one = Node::start("n1", holder, DefaultPolicy::AllowMesh).await;
        let error = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        until(|| failures(&two).contains(&format!("reason=\"{reason}\"}}"))).await;
    }
    // One that ends while it is held: nothing is sent with it.
    let holder = of(expired);
    let one = Node::start("n1", std::sync::Arc::clone(&holder), DefaultPolicy::AllowMesh).await;
    until(|| holder.svid(&Node::id(EDGE)).is_none()).await;
    let error = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap_err();
    assert!(error.to_string().contains("there is no valid certificate for"), "{error}");
    assert_eq!(one.mesh.pool.failures(), [("no_identity", 1)]);
}

#[tokio::test]
async fn a_node_that_is_somebody_else_gets_nothing() {
    let (good, other) = (Authority::new(), Authority::new());
    let one = Node::start("n1", good.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let stranger = Holder::new();
    stranger.set_bundle(Bundle::of("td", vec![good.root(), other.root()]).unwrap());
    stranger.put(other.svid(WEB));
    let cases = [
        ("wrong_id", good.holder(&["spiffe://td/ns/default/sa/db"])),
        ("untrusted_root", stranger),
    ];
    for (reason, holder) in cases {
        let two = Node::start("n2", holder, DefaultPolicy::AllowMesh).await;
        let error = one.dial(EDGE, ("n2", two.address), WEB, two.address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains(&format!("is not taken for `{WEB}`")), "{error}");
        assert!(one.mesh.pool.failures().contains(&(reason, 1)), "{reason}");
    }
    assert_eq!(one.tunnels(), 0);
}

#[tokio::test]
async fn what_went_wrong_says_what_to_do() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    let closed = free().await;
    let target: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let error = one.dial(EDGE, ("n2", closed), WEB, target).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("no route to n2 at {closed}")), "{text}");
    assert!(text.contains("does portcullis run there"), "{text}");
    let error = one.dial(EDGE, ("n2", two.address), WEB, target).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "n2 has no workload at 127.0.0.1:9; do the catalogs of the nodes agree?"
    );
    assert!(two.serve(&catalog(&two, "n2", &[closed], "tcp")).is_empty());
    let error = one.dial(EDGE, ("n2", two.address), WEB, closed).await.unwrap_err();
    assert!(
        error.to_string().ends_with("cannot be reached from n2; does it listen there?"),
        "{error}"
    );
    // The tunnel stands all the same.
    assert_eq!(one.tunnels(), 1);
}

#[tokio::test]
async fn the_default_decides_where_no_policy_does() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::Deny).await;
    let workload = echo().await;
    two.serve(&catalog(&two, "n2", &[workload], "tcp"));
    let error = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("n2 refuses the call to"), "{error}");
}

#[tokio::test]
async fn a_call_ends_when_its_workload_goes() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    let workload = echo().await;
    two.serve(&catalog(&two, "n2", &[workload], "tcp"));
    let mut stream = one.dial(EDGE, ("n2", two.address), WEB, workload).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    two.serve(&catalog(&two, "n2", &[], "tcp").replace("workloads:\n", "workloads: {}\n"));
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut back)).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
}

/// An address at which nobody listens.
async fn free() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
