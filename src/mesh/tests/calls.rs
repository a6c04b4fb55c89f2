//! Requests through services of the mesh.

use http::StatusCode;

use super::lab::{Authority, EDGE, Node, WEB, catalog, echo};
use crate::install::DefaultPolicy;
use crate::tls::spiffe::Holder;
use crate::upstream::testing::{TestServer, ok, request, text};

#[tokio::test]
async fn requests_pass_the_middlewares_of_both_sides() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    let workload = TestServer::start(|seen| ok(&seen.head)).await;
    let routing = catalog(&two, "n2", &[workload.address], "http")
        .replace("account: web } }", "account: web }, middlewares: { client: [c], server: [s] } }")
        + "
http:
  middlewares:
    c: { headers: { customRequestHeaders: { X-Client: here } } }
    s: { addPrefix: { prefix: /served } }
";
    assert_eq!(one.serve(&routing), Vec::<String>::new());
    assert_eq!(two.serve(&routing), Vec::<String>::new());
    for _ in 0..3 {
        let response = one.call("web.default-80@mesh", request("GET", "/a", &[])).await;
        assert_eq!(response.status, StatusCode::OK);
        let head = text(response).await;
        assert!(head.starts_with("get /served/a http/1.1"), "{head}");
        assert!(head.contains("x-client: here") && head.contains("host: example.com"), "{head}");
    }
    // Three requests, one call, one connection to the workload.
    assert_eq!(one.tunnels(), 1);
    assert!(workload.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_workload_of_the_same_node_is_called_without_the_wire() {
    let authority = Authority::new();
    let holder = authority.holder(&[EDGE, WEB]);
    let one = Node::start("n1", holder, DefaultPolicy::AllowMesh).await;
    let workload = TestServer::named("here").await;
    assert!(one.serve(&catalog(&one, "n1", &[workload.address], "http")).is_empty());
    let response = one.call("web.default-80@mesh", request("GET", "/", &[])).await;
    assert_eq!(text(response).await, "here");
    assert_eq!(one.tunnels(), 0);
}

#[tokio::test]
async fn nor_without_identity_or_leave() {
    let authority = Authority::new();
    for (holder, default, kind) in [
        (authority.holder(&[EDGE]), DefaultPolicy::AllowMesh, std::io::ErrorKind::InvalidData),
        (Holder::new(), DefaultPolicy::AllowMesh, std::io::ErrorKind::InvalidData),
        (authority.holder(&[EDGE, WEB]), DefaultPolicy::Deny, std::io::ErrorKind::PermissionDenied),
    ] {
        let one = Node::start("n1", holder, default).await;
        let workload = echo().await;
        one.serve(&catalog(&one, "n1", &[workload], "tcp"));
        let error = one.dial(EDGE, ("n1", one.address), WEB, workload).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_refused_request_is_told_so_in_http() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::Deny).await;
    let workload = TestServer::named("never").await;
    let routing = catalog(&two, "n2", &[workload.address], "http");
    one.serve(&routing);
    two.serve(&routing);
    let response = one.call("web.default-80@mesh", request("GET", "/", &[])).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.headers["portcullis-policy"], "default");
    assert!(workload.seen().is_empty());
}

#[tokio::test]
async fn health_checks_go_through_the_mesh() {
    let authority = Authority::new();
    let one = Node::start("n1", authority.holder(&[EDGE]), DefaultPolicy::AllowMesh).await;
    let two = Node::start("n2", authority.holder(&[WEB]), DefaultPolicy::AllowMesh).await;
    let workload = TestServer::named("well").await;
    let routing = catalog(&two, "n2", &[workload.address], "http").replace(
        "account: web } }",
        "account: web }, loadBalancer: { healthCheck: { path: /health, interval: 20ms } } }",
    );
    two.serve(&routing);
    assert_eq!(one.serve(&routing), Vec::<String>::new());
    let seen = workload.wait_seen(1).await;
    assert!(seen[0].head.starts_with("get /health"), "{}", seen[0].head);
}
