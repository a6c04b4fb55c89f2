//! Handshakes over real sockets.

use std::io;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::tls::testing::{Authority, Issued, spawn, uri};

const WEB: &str = "spiffe://td/ns/default/sa/web";
const SHOP: &str = "spiffe://td/ns/shop/sa/cart";

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

/// A certificate of the right form for `id`, changed.
pub(in crate::tls) fn issue(
    authority: &Authority,
    id: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Issued {
    authority.issue_with(&[], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.subject_alt_names = vec![uri(id)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(params);
    })
}

pub(in crate::tls) fn svid(
    authority: &Authority,
    id: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> Svid {
    let issued = issue(authority, id, change);
    Svid::new(vec![issued.der.clone()], issued.key()).unwrap()
}

pub(in crate::tls) fn trusting(authority: &Authority) -> Bundle {
    Bundle::of("td", vec![authority.der.clone()]).unwrap()
}

/// Somebody with identities who trusts `authority`.
fn holder(authority: &Authority, ids: &[&str]) -> Arc<Holder> {
    let holder = Holder::new();
    holder.set_bundle(trusting(authority));
    for id in ids {
        holder.put(svid(authority, id, |_| {}));
    }
    holder
}

/// A client that shows whatever it likes.
fn hostile_client(authority: &Authority, shown: Option<&Issued>) -> Arc<ClientConfig> {
    let verifier = VerifyServer::new(&holder(authority, &[]), Expected::Anyone, &Arc::default());
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Arc::new(match shown {
        Some(issued) => {
            builder.with_client_auth_cert(vec![issued.der.clone()], issued.key()).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// A server that shows whatever it likes.
fn hostile_server(shown: &Issued) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![shown.der.clone()], shown.key()).unwrap())
}

/// What one side saw of the other.
#[derive(Debug)]
struct Seen {
    id: Id,
    kind: HandshakeKind,
    group: NamedGroup,
    alpn: Option<Vec<u8>>,
    version: ProtocolVersion,
}

impl Seen {
    fn of(connection: &rustls::CommonState, kind: HandshakeKind) -> Result<Self, Refusal> {
        Ok(Self {
            id: peer_id(connection.peer_certificates().unwrap_or_default())?,
            kind,
            group: connection.negotiated_key_exchange_group().unwrap().name(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            version: connection.protocol_version().unwrap(),
        })
    }
}

/// One word for a failure: the reason of the refusal.
fn reason(error: &io::Error) -> String {
    Refusal::of(error).map_or_else(|| error.to_string(), |refusal| refusal.reason().to_owned())
}

type Sight = Result<Seen, String>;

/// Shakes hands; gives what the client and the server saw.
async fn meet(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: ServerName<'static>,
) -> (Sight, Sight) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    let accepting = spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.map_err(|error| reason(&error))?;
        let connection = stream.get_ref().1;
        let seen = Seen::of(connection, connection.handshake_kind().unwrap());
        stream.write_all(b"hi").await.map_err(|error| error.to_string())?;
        stream.shutdown().await.map_err(|error| error.to_string())?;
        seen.map_err(|refusal| refusal.reason().to_owned())
    });
    let connector = TlsConnector::from(Arc::clone(client));
    let connecting = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(name, stream).await?;
        let mut greeting = Vec::new();
        stream.read_to_end(&mut greeting).await?;
        let connection = stream.get_ref().1;
        let seen = Seen::of(connection, connection.handshake_kind().unwrap());
        io::Result::Ok(seen.map_err(|refusal| refusal.reason().to_owned()))
    };
    let seen = match connecting.await {
        Ok(seen) => seen,
        Err(error) => Err(reason(&error)),
    };
    (seen, accepting.await.unwrap())
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let authority = Authority::new("root");
    let (shop, web) = (holder(&authority, &[SHOP]), holder(&authority, &[WEB]));
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let (seen, told) = meet(&client, &server_config(&web), server_name(&id(WEB))).await;
    let (seen, told) = (seen.unwrap(), told.unwrap());
    assert_eq!((seen.id, told.id), (id(WEB), id(SHOP)));
    assert_eq!(seen.group, NamedGroup::X25519MLKEM768);
    assert_eq!(seen.version, ProtocolVersion::TLSv1_3);
    assert_eq!(seen.alpn.as_deref(), Some(&b"h2"[..]));
}

/// Certificates that nobody may believe, each with the reason.
fn wrong(authority: &Authority) -> Vec<(Issued, &'static str)> {
    let now = SystemTime::now();
    let ago = |seconds| now - Duration::from_secs(seconds);
    let of = |change: &dyn Fn(&mut CertificateParams)| issue(authority, WEB, change);
    vec![
        (issue(&Authority::new("root"), WEB, |_| {}), "untrusted_root"),
        (issue(authority, "spiffe://other/ns/default/sa/web", |_| {}), "untrusted_domain"),
        (of(&|it| it.not_after = ago(90).into()), "expired"),
        (of(&|it| it.not_before = (now + Duration::from_secs(90)).into()), "clock"),
        (of(&|it| it.subject_alt_names.push(uri(SHOP))), "several_ids"),
        (of(&|it| it.subject_alt_names.clear()), "no_id"),
        (of(&|it| it.subject_alt_names = vec![uri("https://td/x")]), "bad_id"),
        (of(&|it| it.subject_alt_names = vec![uri("spiffe://td")]), "bad_id"),
        (of(&|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "not_a_leaf"),
        (of(&|it| it.key_usages.push(KeyUsagePurpose::KeyCertSign)), "not_a_leaf"),
        (of(&|it| it.key_usages.clear()), "wrong_usage"),
        (of(&|it| it.key_usages = vec![KeyUsagePurpose::KeyAgreement]), "wrong_usage"),
        (
            of(&|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "wrong_usage",
        ),
    ]
}

#[tokio::test]
async fn a_wrong_server_is_refused_for_its_own_reason() {
    let authority = Authority::new("root");
    let shop = holder(&authority, &[SHOP]);
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let account = issue(&authority, "spiffe://td/ns/default/sa/db", |_| {});
    for (shown, expected) in wrong(&authority).into_iter().chain([(account, "wrong_id")]) {
        let (seen, _) = meet(&client, &hostile_server(&shown), server_name(&id(WEB))).await;
        assert_eq!(seen.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_wrong_client_is_refused_for_its_own_reason() {
    let authority = Authority::new("root");
    let server = server_config(&holder(&authority, &[WEB]));
    for (shown, expected) in wrong(&authority) {
        let client = hostile_client(&authority, Some(&shown));
        let (seen, told) = meet(&client, &server, server_name(&id(WEB))).await;
        assert_eq!(told.unwrap_err(), expected);
        assert!(seen.is_err(), "{expected}");
    }
    let (_, told) = meet(&hostile_client(&authority, None), &server, server_name(&id(WEB))).await;
    assert_eq!(told.unwrap_err(), "no_certificate");
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    let authority = Authority::new("root");
    let shop = holder(&authority, &[SHOP]);
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let now = SystemTime::now();
    let late = issue(&authority, WEB, |it| it.not_before = (now + Duration::from_secs(40)).into());
    let early = issue(&authority, WEB, |it| it.not_after = (now - Duration::from_secs(40)).into());
    for shown in [late, early] {
        let (seen, _) = meet(&client, &hostile_server(&shown), server_name(&id(WEB))).await;
        assert_eq!(seen.unwrap().id, id(WEB));
    }
}

#[tokio::test]
async fn an_expired_identity_is_never_shown() {
    let authority = Authority::new("root");
    let shop = holder(&authority, &[SHOP, WEB]);
    let server = server_config(&holder(&authority, &[WEB]));
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    shop.put(svid(&authority, SHOP, |it| it.not_after = SystemTime::now().into()));
    assert!(shop.svid(&id(SHOP)).is_none() && shop.default_svid().is_none());
    let refused = client_config(&shop, &id(SHOP), id(WEB)).unwrap_err();
    assert_eq!(refused.reason(), "no_identity");
    let (seen, told) = meet(&client, &server, server_name(&id(WEB))).await;
    assert_eq!(
        (seen.unwrap_err().as_str(), told.unwrap_err().as_str()),
        ("refused_by_peer", "no_certificate")
    );
    assert_eq!(shop.svids().len(), 2, "they are still shown to operators");
}

#[tokio::test]
async fn servers_show_whom_the_client_asks_for() {
    let authority = Authority::new("root");
    let (shop, node) = (holder(&authority, &[SHOP]), Id::node("td", "n2").unwrap());
    let web = holder(&authority, &[node.as_str(), WEB, "spiffe://td/ns/a/sa/b"]);
    let server = server_config(&web);
    for wanted in [WEB, "spiffe://td/ns/a/sa/b", node.as_str()] {
        let client = client_config(&shop, &id(SHOP), id(wanted)).unwrap();
        let (seen, _) = meet(&client, &server, server_name(&id(wanted))).await;
        assert_eq!(seen.unwrap().id, id(wanted));
    }
    // No name, and a name that nobody here has.
    let unnamed = ServerName::try_from("127.0.0.1").unwrap();
    for name in [unnamed.clone(), server_name(&id("spiffe://td/ns/a/sa/gone"))] {
        let client = client_config(&shop, &id(SHOP), node.clone()).unwrap();
        assert_eq!(meet(&client, &server, name).await.0.unwrap().id, node);
    }
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let (seen, _) = meet(&client, &server_config_as(&web, &id(WEB)), unnamed).await;
    assert_eq!(seen.unwrap().id, id(WEB));
}

#[tokio::test]
async fn sessions_end_with_what_they_were_made_with() {
    let authority = Authority::new("root");
    let (shop, web) = (holder(&authority, &[SHOP]), holder(&authority, &[WEB]));
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let server = server_config(&web);
    let kind = async || {
        let (seen, told) = meet(&client, &server, server_name(&id(WEB))).await;
        assert_eq!(told.unwrap().id, id(SHOP));
        seen.unwrap().kind
    };
    assert_eq!(kind().await, HandshakeKind::Full);
    assert_eq!(kind().await, HandshakeKind::Resumed);
    // Our own identity is renewed: the server must see the new certificate.
    let later = SystemTime::now() + Duration::from_hours(1);
    shop.put(svid(&authority, SHOP, |it| it.not_after = later.into()));
    assert_eq!(kind().await, HandshakeKind::Full);
    assert_eq!(kind().await, HandshakeKind::Resumed);
    // The server trusts others, too; it asks anew.
    let mut roots = vec![authority.der.clone(), Authority::new("next").der];
    web.set_bundle(Bundle::of("td", roots.clone()).unwrap());
    assert_eq!(kind().await, HandshakeKind::Full);
    // We do.
    roots.reverse();
    shop.set_bundle(Bundle::of("td", roots).unwrap());
    assert_eq!(kind().await, HandshakeKind::Full);
    assert_eq!(kind().await, HandshakeKind::Resumed);
    // The root is gone.
    shop.set_bundle(trusting(&Authority::new("root")));
    let (seen, _) = meet(&client, &server, server_name(&id(WEB))).await;
    assert_eq!(seen.unwrap_err(), "untrusted_root");
}

#[tokio::test]
async fn sessions_end_with_the_certificate_of_the_peer() {
    let authority = Authority::new("root");
    let (shop, web) = (holder(&authority, &[SHOP]), holder(&authority, &[]));
    let soon = SystemTime::now() + Duration::from_secs(2);
    web.put(svid(&authority, WEB, |it| it.not_after = soon.into()));
    let client = client_config(&shop, &id(SHOP), id(WEB)).unwrap();
    let server = server_config(&web);
    let (seen, _) = meet(&client, &server, server_name(&id(WEB))).await;
    assert_eq!(seen.unwrap().kind, HandshakeKind::Full);
    web.put(svid(&authority, WEB, |_| {}));
    let (seen, _) = meet(&client, &server, server_name(&id(WEB))).await;
    assert_eq!(seen.unwrap().kind, HandshakeKind::Resumed);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let (seen, _) = meet(&client, &server, server_name(&id(WEB))).await;
        if seen.unwrap().kind == HandshakeKind::Full {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the session outlives the certificate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn older_versions_are_refused() {
    let authority = Authority::new("root");
    let server = server_config(&holder(&authority, &[WEB]));
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    client.alpn_protocols = vec![H2.to_vec()];
    let (seen, told) = meet(&Arc::new(client), &server, server_name(&id(WEB))).await;
    assert!(seen.is_err() && told.is_err());
}

#[test]
fn nothing_shows_a_key() {
    let authority = Authority::new("root");
    let issued = issue(&authority, WEB, |_| {});
    let svid = Svid::new(vec![issued.der.clone()], issued.key()).unwrap();
    assert!(!format!("{svid:?}").contains("key"), "{svid:?}");
    let other = issue(&authority, WEB, |_| {});
    let error = Svid::new(vec![issued.der.clone()], other.key()).unwrap_err();
    assert!(error.contains("does not fit"), "{error}");
    assert!(Svid::new(Vec::new(), other.key()).unwrap_err().contains("empty"));
}

#[test]
fn changes_are_told() {
    let authority = Authority::new("root");
    let holder = holder(&authority, &[WEB]);
    let mut changes = holder.changes();
    let version = holder.bundle_version();
    holder.set_bundle(trusting(&authority));
    assert_eq!(holder.bundle_version(), version, "the same bundle is no other");
    holder.replace(vec![svid(&authority, SHOP, |_| {})], trusting(&authority));
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), 4);
    assert!(holder.svid(&id(WEB)).is_none());
    assert_eq!(holder.default_svid().unwrap().id, id(SHOP));
    holder.remove(&id(SHOP));
    assert!(holder.default_svid().is_none());
    holder.set_default(id(WEB));
    holder.put(svid(&authority, SHOP, |_| {}));
    assert!(holder.default_svid().is_none(), "another is not shown in its place");
}
