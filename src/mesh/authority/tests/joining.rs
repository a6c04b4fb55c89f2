//! 2.1 and 2.3: joins, and what is refused.

use std::time::Instant;

use super::*;
use crate::mesh::authority::client::{AskError, ask};
use crate::mesh::authority::csr::NewKey;
use crate::mesh::authority::message::{
    BUNDLE, Binary, BundleRequest, ISSUE, IssueRequest, Issued, JOIN, JoinRequest, RECOVER,
    RecoverRequest, Roots,
};
use crate::tls::spiffe::{self, Expected};

const MINUTE: Duration = Duration::from_mins(1);
const ALL: &str = "ns/*/sa/*";

/// Asks to join as a node would; gives the reason of a refusal.
async fn join(token: &Token, as_node: &str, key: &NewKey) -> Result<(), String> {
    let message = JoinRequest {
        token: token.id.clone(),
        node: as_node.to_owned(),
        request: Binary(key.request.clone()),
        proof: Binary(token.prove(as_node, &key.request)),
    };
    let tls = spiffe::client_config_pinned(token.pin, Expected::Role("control"));
    let asked = ask::<Issued>(std::slice::from_ref(&token.address), &tls, JOIN, &message).await;
    asked.map(drop).map_err(reason)
}

fn reason(error: AskError) -> String {
    match error {
        AskError::Denied { reason, .. } => reason,
        AskError::Tls { refusal, .. } => refusal.reason().to_owned(),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn a_node_joins_with_a_token_alone() {
    let control = Control::new(Duration::from_hours(24)).await;
    let begun = Instant::now();
    let token = control.invite("n2", "ns/shop/sa/*", MINUTE);
    let n2 = Node::start("n2", &token);
    let own = n2.ready(&node("n2")).await;
    let cart = n2.ready(&account("shop", "cart")).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(
        (own.id.as_str(), cart.id.workload()),
        (node("n2").as_str(), Some(("shop", "cart")))
    );
    assert_eq!(n2.holder.default_svid().unwrap().id, node("n2"));
    assert_eq!(*n2.holder.bundle(), *control.holder.bundle());
    assert_eq!(mode(&n2.folder.path().join("state").join("identities.json")), 0o600);
    // The control's own node needs no token.
    assert!(control.keeper.ready(&node("c1"), LIMIT).await.is_some());
    control.keeper.want(&account("any", "thing"));
    assert!(control.keeper.ready(&account("any", "thing"), LIMIT).await.is_some());
}

#[tokio::test]
async fn whoever_has_no_right_to_join_is_refused() {
    let control = Control::new(Duration::from_hours(24)).await;
    let token = control.invite("n2", ALL, MINUTE);
    let (key, other) = (NewKey::new().unwrap(), NewKey::new().unwrap());
    let before = refused("wrong_node");
    assert_eq!(join(&token, "n3", &key).await, Err("wrong_node".to_owned()));
    assert!(refused("wrong_node") > before, "it is an event");
    let forged = Token { id: token.id.clone(), ..Token::new(&token.address, token.pin).unwrap() };
    assert_eq!(join(&forged, "n2", &key).await, Err("wrong_proof".to_owned()));
    let unknown = Token::new(&token.address, token.pin).unwrap();
    assert_eq!(join(&unknown, "n2", &key).await, Err("unknown_token".to_owned()));
    let elsewhere = Token { pin: [1; 32], ..token.clone() };
    assert_eq!(join(&elsewhere, "n2", &key).await, Err("wrong_pin".to_owned()));
    // Nothing of that has used it up. The answer may be lost; then the same key comes again.
    assert_eq!(join(&token, "n2", &key).await, Ok(()));
    assert_eq!(join(&token, "n2", &key).await, Ok(()));
    assert_eq!(join(&token, "n2", &other).await, Err("token_used".to_owned()));
    let late = control.invite("n4", ALL, Duration::ZERO);
    assert_eq!(join(&late, "n4", &key).await, Err("token_expired".to_owned()));
}

#[tokio::test]
async fn another_servers_certificate_is_no_authority() {
    let control = Control::new(Duration::from_hours(24)).await;
    // A node of the same mesh in the authority's place: the root is right, the role is not.
    let token = control.invite("n2", ALL, MINUTE);
    let n2 = Node::start("n2", &token);
    n2.ready(&node("n2")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor =
        tokio_rustls::TlsAcceptor::from(spiffe::server_config_for_any(&n2.holder, &node("n2")));
    let server = crate::net::task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    let tls = spiffe::client_config_for(&n2.holder, &node("n2"), Expected::Role("control"));
    let asked = ask::<Roots>(&[address], &tls, BUNDLE, &BundleRequest { acknowledged: 0 }).await;
    assert_eq!(asked.map(drop).map_err(reason), Err("wrong_id".to_owned()));
    server.abort();
}

#[tokio::test]
async fn a_node_gets_only_what_it_was_granted_and_runs() {
    let control = Control::new(Duration::from_hours(24)).await;
    let n1 = Node::start("n1", &control.invite("n1", "ns/shop/sa/*", MINUTE));
    n1.ready(&node("n1")).await;
    n1.ready(&account("shop", "web.n1")).await;
    let tls = spiffe::client_config_for(&n1.holder, &node("n1"), Expected::Role("control"));
    let addresses = [control.address.clone()];
    let issue = async |id: Id| {
        let request = Binary(NewKey::new().unwrap().request);
        let asked = ask::<Issued>(&addresses, &tls, ISSUE, &IssueRequest { id, request }).await;
        asked.map(drop).map_err(reason)
    };
    let before = refused("not_placed");
    assert_eq!(issue(account("shop", "web.n2")).await, Err("not_placed".to_owned()));
    assert!(refused("not_placed") > before, "it is an event");
    assert_eq!(issue(account("other", "web.n1")).await, Err("not_granted".to_owned()));
    assert_eq!(issue(node("n2")).await, Err("not_granted".to_owned()));
    assert_eq!(issue(Id::control("td", "n1").unwrap()).await, Err("not_granted".to_owned()));
    assert_eq!(issue(Id::edge("td", "n1").unwrap()).await, Ok(()));
    // A workload's certificate asks for nothing.
    let web = account("shop", "web.n1");
    let tls = spiffe::client_config_for(&n1.holder, &web, Expected::Role("control"));
    let request = Binary(NewKey::new().unwrap().request);
    let message = IssueRequest { id: web, request };
    let asked = ask::<Issued>(&addresses, &tls, ISSUE, &message).await;
    assert_eq!(asked.map(drop).map_err(reason), Err("not_a_node".to_owned()));
}

#[tokio::test]
async fn nonsense_is_refused() {
    let control = Control::new(Duration::from_hours(24)).await;
    let token = control.invite("n1", ALL, MINUTE);
    let tls = spiffe::client_config_pinned(token.pin, Expected::Role("control"));
    let addresses = [control.address.clone()];
    let post = async |path: &str, message: serde_json::Value| {
        let asked = ask::<serde_json::Value>(&addresses, &tls, path, &message).await;
        asked.map(drop).map_err(reason)
    };
    let bad = Err("bad_request".to_owned());
    assert_eq!(post(JOIN, serde_json::json!({"token": 1})).await, bad);
    assert_eq!(post("/v1/other", serde_json::json!({})).await, bad);
    let long = "a".repeat(message::LONGEST);
    assert!(post(JOIN, serde_json::json!({ "token": long })).await.is_err());
    let key = NewKey::new().unwrap();
    let recover = RecoverRequest { node: "n1".to_owned(), request: Binary(key.request.clone()) };
    let asked = ask::<Issued>(&addresses, &tls, RECOVER, &recover).await;
    assert_eq!(asked.map(drop).map_err(reason), Err("unknown_node".to_owned()));
    let ask_roots = BundleRequest { acknowledged: 0 };
    let asked = ask::<Roots>(&addresses, &tls, BUNDLE, &ask_roots).await;
    assert_eq!(asked.map(drop).map_err(reason), Err("not_a_node".to_owned()));
}
