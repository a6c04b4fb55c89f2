//! A Workload API of our own over a real socket, and what the client makes of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::messages::X509Svid;
use super::*;
use crate::tls::spiffe::Id;
use crate::tls::spiffe::tests::{issue, trusting};
use crate::tls::testing::{Authority, spawn};

/// An agent: tells everybody who asks the newest answer, and every later one.
pub(in crate::tls) struct Agent {
    pub(in crate::tls) answers: watch::Sender<Bytes>,
    serving: JoinHandle<()>,
    /// One for each call, with whether it had the header that the standard demands.
    pub(in crate::tls) calls: mpsc::UnboundedReceiver<bool>,
}

impl Agent {
    /// Begins to listen; `answer` is empty for one that refuses everybody.
    pub(in crate::tls) fn start(path: &Path, answer: Bytes) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let answers = watch::Sender::new(answer);
        let (told, calls) = mpsc::unbounded_channel();
        let newest = answers.subscribe();
        let serving = spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, newest.clone(), told.clone()));
            }
        });
        Self { answers, serving, calls }
    }

    /// Ends with all connections, as a process does.
    pub(in crate::tls) async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

async fn serve(
    stream: tokio::net::UnixStream,
    newest: watch::Receiver<Bytes>,
    told: mpsc::UnboundedSender<bool>,
) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let right = request.uri().path() == FETCH
            && request.headers().get("workload.spiffe.io").is_some_and(|value| value == "true");
        let _ = told.send(right);
        let mut newest = newest.clone();
        calls.spawn(async move {
            let head = Response::builder().header("content-type", "application/grpc");
            if newest.borrow().is_empty() {
                let refusal = head.header("grpc-status", "7").body(()).unwrap();
                respond.send_response(refusal, true).unwrap();
                return;
            }
            let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
            loop {
                let answer = newest.borrow_and_update().clone();
                if answer.is_empty() {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", "14".parse().unwrap());
                    let _ = body.send_trailers(trailers);
                    return;
                }
                // In two pieces, as networks do.
                let (first, second) = answer.split_at(answer.len() / 2);
                body.send_data(Bytes::copy_from_slice(first), false).unwrap();
                body.send_data(Bytes::copy_from_slice(second), false).unwrap();
                if newest.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// An answer with one identity, which lives for `life`.
pub(in crate::tls) fn answer(authority: &Authority, id: &str, life: Duration) -> Bytes {
    let issued = issue(authority, id, |it| it.not_after = (SystemTime::now() + life).into());
    let svid = X509Svid {
        spiffe_id: id.to_owned(),
        x509_svid: issued.der.to_vec(),
        x509_svid_key: issued.key().secret_der().to_vec(),
        bundle: authority.der.to_vec(),
    };
    framed(&X509SvidResponse { svids: vec![svid], ..Default::default() })
}

fn framed(message: &X509SvidResponse) -> Bytes {
    let message = prost::Message::encode_to_vec(message);
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&message);
    bytes.into()
}

const EDGE: &str = "spiffe://td/edge";
const HOUR: Duration = Duration::from_hours(1);

/// Waits until `holder` has what `is` wants.
pub(in crate::tls) async fn until(holder: &Holder, is: impl Fn(&Holder) -> bool) {
    let mut changes = holder.changes();
    let waiting = async {
        while !is(holder) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("nothing has come");
}

struct Setting {
    _folder: tempfile::TempDir,
    path: PathBuf,
    holder: Arc<Holder>,
    client: JoinHandle<()>,
}

fn client() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let holder = Holder::new();
    let client = start(WorkloadApi::Unix(path.clone()), Arc::clone(&holder));
    Setting { _folder: folder, path, holder, client }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.client.abort();
    }
}

#[tokio::test]
async fn identities_and_roots_are_those_that_the_agent_says() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let setting = client();
    // The client is there first and asks until somebody answers.
    let mut agent = Agent::start(&setting.path, answer(&authority, EDGE, HOUR));
    until(&setting.holder, |it| it.default_svid().is_some()).await;
    assert!(agent.calls.recv().await.unwrap(), "the header of the standard is there");
    assert_eq!(*setting.holder.bundle(), trusting(&authority));
    let first = setting.holder.default_svid().unwrap();
    // Another certificate for the same identity.
    agent.answers.send_replace(answer(&authority, EDGE, HOUR * 2));
    until(&setting.holder, |it| it.default_svid().unwrap().not_after != first.not_after).await;
    // Another identity and other roots: the old ones are gone.
    agent.answers.send_replace(answer(&other, "spiffe://td/other", HOUR));
    until(&setting.holder, |it| it.svid(&Id::parse("spiffe://td/other").unwrap()).is_some()).await;
    assert!(setting.holder.svid(&Id::parse(EDGE).unwrap()).is_none());
    assert_eq!(*setting.holder.bundle(), trusting(&other));
    assert!(agent.calls.try_recv().is_err(), "all of it on one stream");
}

#[tokio::test]
async fn an_agent_may_restart() {
    let authority = Authority::new("root");
    let setting = client();
    let mut agent = Agent::start(&setting.path, answer(&authority, EDGE, HOUR));
    until(&setting.holder, |it| it.default_svid().is_some()).await;
    assert!(agent.calls.recv().await.unwrap());
    let first = setting.holder.default_svid().unwrap();
    agent.stop().await;
    // It is back, at first without anything for us.
    let mut agent = Agent::start(&setting.path, Bytes::new());
    assert!(agent.calls.recv().await.unwrap());
    assert!(agent.calls.recv().await.unwrap(), "asked again");
    let kept = setting.holder.default_svid().unwrap();
    assert!(Arc::ptr_eq(&kept, &first), "what is valid is never dropped");
    agent.answers.send_replace(answer(&authority, EDGE, HOUR * 2));
    until(&setting.holder, |it| it.default_svid().unwrap().not_after != first.not_after).await;
}

#[test]
fn answers_are_understood_as_a_whole_or_not_at_all() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let good = answer(&authority, EDGE, HOUR);
    let parse = |bytes: &[u8]| prost::Message::decode(&bytes[5..]).unwrap();
    let mut message: X509SvidResponse = parse(&good);
    message.federated_bundles.insert("spiffe://far".to_owned(), other.der.to_vec());
    let read = |message: &X509SvidResponse| understand(&prost::Message::encode_to_vec(message));
    let (svids, bundle) = read(&message).unwrap();
    assert_eq!((svids.len(), bundle.roots("td").len(), bundle.roots("far").len()), (1, 1, 1));
    let mut twice = message.clone();
    twice.svids[0].bundle.extend_from_slice(&other.der);
    assert_eq!(read(&twice).unwrap().1.roots("td").len(), 2);
    assert!(read(&X509SvidResponse::default()).unwrap_err().contains("no identity"));
    let mut wrong = message.clone();
    wrong.svids[0].spiffe_id = "spiffe://td/x".to_owned();
    assert!(read(&wrong).unwrap_err().contains("its certificate is for"));
    let mut wrong = message.clone();
    wrong.svids[0].x509_svid_key.clear();
    assert!(read(&wrong).unwrap_err().contains("PKCS#8"));
    let mut wrong = message;
    wrong.svids[0].bundle.clear();
    assert!(read(&wrong).is_err());
    assert!(understand(b"\xff\xff").is_err());
    assert!(!format!("{twice:?}").contains("x509_svid_key"));
}
