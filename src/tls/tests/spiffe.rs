//! Servers of the edge that show SPIFFE identities, with an agent that gives and renews ours.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::routing::http::{ServersTransport, Spiffe};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::install::WorkloadApi;
use crate::tls::client::{self, ClientTls, Offer, TlsStream};
use crate::tls::spiffe::tests::{svid, trusting};
use crate::tls::spiffe::workload_api::tests::{Agent, answer, until};
use crate::tls::spiffe::{Bundle, Holder, peer_id, server_config, workload_api};
use crate::tls::testing::{Authority, spawn};

const EDGE: &str = "spiffe://td/edge";
const BACK: &str = "spiffe://td/back";

/// A server that shows [`BACK`] and tells every client who it is, whenever it writes something.
async fn server(config: Arc<ServerConfig>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(config);
    spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let accepting = acceptor.accept(stream);
            spawn(async move {
                let Ok(mut stream) = accepting.await else { return };
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
                let told = format!("{}\n", peer_id(&chain).unwrap());
                while stream.read_u8().await.is_ok() {
                    stream.write_all(told.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

fn back_end(authority: &Authority) -> Arc<Holder> {
    let holder = Holder::new();
    holder.replace(vec![svid(authority, BACK, |_| {})], trusting(authority));
    holder
}

fn transport(ids: &[&str], trust_domain: &str) -> ServersTransport {
    let ids = ids.iter().map(|&id| id.to_owned()).collect();
    let spiffe = Some(Spiffe { ids, trust_domain: trust_domain.to_owned() });
    ServersTransport { spiffe, ..ServersTransport::default() }
}

fn compile(transport: &ServersTransport, holder: &Arc<Holder>) -> Result<ClientTls, String> {
    let (tls, problems) = ClientTls::compile("t@file", transport, Some(holder));
    tls.ok_or_else(|| problems.first().unwrap().message.clone())
}

type Stream = TlsStream<TcpStream>;

async fn ask(stream: &mut Stream) -> io::Result<String> {
    stream.write_all(b"?").await?;
    let mut told = vec![0; EDGE.len() + 1];
    stream.read_exact(&mut told).await?;
    Ok(String::from_utf8(told).unwrap().trim_end().to_owned())
}

/// Connects and asks the server who we are.
async fn dial(address: std::net::SocketAddr, tls: &ClientTls) -> io::Result<(Stream, String)> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut stream, _) = client::connect(stream, tls, "127.0.0.1", Offer::Any).await?;
    let told = ask(&mut stream).await?;
    Ok((stream, told))
}

#[tokio::test]
async fn servers_are_believed_by_identity() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let holder = Holder::new();
    holder.replace(vec![svid(&authority, EDGE, |_| {})], trusting(&authority));
    let address = server(server_config(&back_end(&authority))).await;
    let can = async |ids: &[&str], domain: &str| {
        let tls = compile(&transport(ids, domain), &holder).unwrap();
        match dial(address, &tls).await {
            Ok((_, told)) => {
                assert_eq!(told, EDGE);
                true
            }
            Err(error) => {
                assert!(client::is_certificate_error(&error), "{error}");
                false
            }
        }
    };
    assert!(can(&[BACK], "").await);
    assert!(can(&["spiffe://td/other", BACK], "").await);
    assert!(!can(&["spiffe://td/other"], "").await);
    // Traefik: ids win over the trust domain.
    assert!(!can(&["spiffe://td/other"], "td").await);
    assert!(can(&[BACK], "elsewhere").await);
    assert!(can(&[], "td").await && can(&[], "spiffe://td").await);
    assert!(!can(&[], "elsewhere").await);
    // Anyone of a trust domain that there are roots for.
    assert!(can(&[], "").await);
    holder.set_bundle(Bundle::of("elsewhere", vec![authority.der.clone()]).unwrap());
    assert!(!can(&[], "").await);
    holder.set_bundle(trusting(&other));
    assert!(!can(&[BACK], "").await);
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let holder = Holder::new();
    let error = |transport: &ServersTransport| compile(transport, &holder).unwrap_err();
    assert!(error(&transport(&["td/x"], "")).starts_with("spiffe.ids: `td/x`"));
    assert!(error(&transport(&[], "TD")).starts_with("spiffe.trustDomain"));
    let both = ServersTransport { insecure_skip_verify: true, ..transport(&[], "") };
    assert_eq!(error(&both), "spiffe and insecureSkipVerify exclude each other");
}

/// The agent renews our identity while we dial; connections that stand go on, and so it is when the agent restarts.
#[tokio::test]
async fn identities_are_renewed_under_use() {
    let authority = Authority::new("root");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let life = |seconds| Duration::from_secs(seconds);
    let agent = Agent::start(&path, answer(&authority, EDGE, life(100)));
    let holder = Holder::new();
    let client = workload_api::start(WorkloadApi::Unix(path.clone()), Arc::clone(&holder));
    until(&holder, |it| it.default_svid().is_some()).await;
    let back = back_end(&authority);
    let address = server(server_config(&back)).await;
    let tls = compile(&transport(&[BACK], ""), &holder).unwrap();
    let (mut first, _) = dial(address, &tls).await.unwrap();
    let renew = async |agent: &Agent, seconds| {
        let before = holder.default_svid().unwrap().not_after;
        agent.answers.send_replace(answer(&authority, EDGE, life(seconds)));
        until(&holder, |it| it.default_svid().unwrap().not_after != before).await;
        for _ in 0..3 {
            assert_eq!(dial(address, &tls).await.unwrap().1, EDGE);
        }
    };
    for seconds in 101..110 {
        renew(&agent, seconds).await;
    }
    agent.stop().await;
    assert_eq!(dial(address, &tls).await.unwrap().1, EDGE);
    let agent = Agent::start(&path, answer(&authority, EDGE, life(200)));
    until(&holder, |it| it.default_svid().unwrap().is_valid(deadline(150))).await;
    renew(&agent, 300).await;
    assert_eq!(ask(&mut first).await.unwrap(), EDGE, "the first connection still stands");
    client.abort();
}

fn deadline(seconds: u64) -> std::time::SystemTime {
    std::time::SystemTime::now() + Duration::from_secs(seconds)
}
