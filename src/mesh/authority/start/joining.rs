//! A node whose authority is elsewhere: joins by a token the first time, by its own certificate from then on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use tokio::sync::Notify;

use super::CACHE;
use crate::mesh::authority::cache::{self, Cache};
use crate::mesh::authority::client::{AskError, ask};
use crate::mesh::authority::csr::NewKey;
use crate::mesh::authority::keeper::{Issue, Keeper};
use crate::mesh::authority::message::{
    BUNDLE, Binary, BundleRequest, ISSUE, IssueRequest, Issued, JOIN, JoinRequest, RECOVER,
    RecoverRequest, Roots,
};
use crate::mesh::authority::token::Token;
use crate::net::task;
use crate::tls::spiffe::{self, Expected, Holder, Id};

/// How often the authority is asked for the roots, and whether it is there.
const ASK: Duration = Duration::from_secs(5);

/// The same while it is away.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Folder and name of the node.
type About = (PathBuf, String);

pub(super) fn start(
    (directory, node): About,
    trust_domain: &str,
    (control, token_file): (Vec<String>, Option<PathBuf>),
    holder: &Arc<Holder>,
) -> Result<Arc<Keeper>, String> {
    let own = Id::node(trust_domain, &node).map_err(|error| error.to_string())?;
    if control.is_empty() && token_file.is_none() {
        return Err("expected the address of an authority, or a token that names it".to_owned());
    }
    std::fs::create_dir_all(&directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let cache = Arc::new(Cache::open(directory.join(CACHE)));
    cache.restore(trust_domain, holder);
    holder.set_default(own.clone());
    let back = Arc::new(Notify::new());
    let remote = Arc::new(Remote {
        node,
        own: own.clone(),
        control,
        token_file,
        tls: spiffe::client_config_for(holder, &own, Expected::Role("control")),
        holder: Arc::clone(holder),
        cache: Arc::clone(&cache),
    });
    let keeper = Keeper::new(holder, &cache, Arc::clone(&remote) as Arc<dyn Issue>, &back);
    keeper.want(&own);
    task::spawn_control(remote.watch(back, Arc::downgrade(&keeper)));
    Ok(keeper)
}

/// An authority elsewhere.
struct Remote {
    node: String,
    own: Id,
    control: Vec<String>,
    token_file: Option<PathBuf>,
    /// Shows the node's certificate while there is a valid one, none otherwise.
    tls: Arc<ClientConfig>,
    holder: Arc<Holder>,
    cache: Arc<Cache>,
}

impl Remote {
    /// Where to ask: what the settings say, or the token, or whoever was asked before.
    fn addresses(&self) -> Vec<String> {
        match self.control.as_slice() {
            [] => self.token().map(|token| vec![token.address]).unwrap_or_default(),
            addresses => addresses.to_vec(),
        }
    }

    fn token(&self) -> Result<Token, String> {
        let path = self.token_file.as_deref().ok_or("this node has not joined and has no token")?;
        read_token(path)
    }

    /// The first certificate of the node, by its token.
    async fn join(&self, request: &[u8]) -> Result<Issued, String> {
        let token = self.token()?;
        let addresses = match self.control.as_slice() {
            [] => vec![token.address.clone()],
            addresses => addresses.to_vec(),
        };
        let message = JoinRequest {
            token: token.id.clone(),
            node: self.node.clone(),
            request: Binary(request.to_vec()),
            proof: Binary(token.prove(&self.node, request)),
        };
        let tls = spiffe::client_config_pinned(token.pin, Expected::Role("control"));
        let issued: Issued = ask(&addresses, &tls, JOIN, &message)
            .await
            .map_err(|error| format!("this node cannot join: {error}"))?;
        if issued.bundle.trust_domain != self.own.trust_domain() {
            let found = &issued.bundle.trust_domain;
            return Err(format!("the authority is of trust domain `{found}`"));
        }
        tracing::info!(node = self.node, "this node has joined");
        Ok(issued)
    }

    /// A certificate of the node itself: with the one it has, with the key of the one that has ended, or by its token.
    async fn issue_own(&self, request: &[u8]) -> Result<Issued, String> {
        if self.holder.svid(&self.own).is_some() {
            return self.ask(&self.own, request).await.map_err(|error| error.to_string());
        }
        let kept = self.cache.key(&self.own).filter(|_| !self.no_roots());
        let Some(key) = kept else { return self.join(request).await };
        let key = NewKey::of(&key)?;
        let message =
            RecoverRequest { node: self.node.clone(), request: Binary(key.request.clone()) };
        let recovered: Result<Issued, AskError> =
            ask(&self.addresses(), &self.tls, RECOVER, &message).await;
        match recovered {
            Ok(issued) => {
                // For the old key: enough to ask for one with the new.
                let svid = cache::svid(issued.chain.clone(), &key.pem())?;
                self.holder.put(svid);
                self.ask(&self.own, request).await.map_err(|error| error.to_string())
            }
            Err(error) if error.was_heard() && self.token_file.is_some() => {
                self.join(request).await
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn no_roots(&self) -> bool {
        self.holder.bundle().roots(self.own.trust_domain()).is_empty()
    }

    async fn ask(&self, id: &Id, request: &[u8]) -> Result<Issued, AskError> {
        let message = IssueRequest { id: id.clone(), request: Binary(request.to_vec()) };
        ask(&self.addresses(), &self.tls, ISSUE, &message).await
    }

    fn believe(&self, roots: &Roots) {
        if roots.trust_domain != self.own.trust_domain() {
            return;
        }
        match cache::bundle(roots) {
            Ok(bundle) => {
                self.holder.set_bundle(bundle);
                self.cache.set_bundle(roots);
            }
            Err(error) => tracing::error!(%error, "the roots of the authority are not usable"),
        }
    }

    /// Waits until the node itself has an identity, without which nothing can be asked for.
    async fn until_joined(&self) {
        let mut changes = self.holder.changes();
        while self.holder.svid(&self.own).is_none() && changes.changed().await.is_ok() {}
    }

    /// Asks for the roots and says which ones are there, for as long as somebody has the keeper.
    async fn watch(self: Arc<Self>, back: Arc<Notify>, keeper: Weak<Keeper>) {
        let mut away = false;
        loop {
            if keeper.strong_count() == 0 {
                return;
            }
            if self.no_roots() {
                // It has not joined: the keeper says so.
                let mut changes = self.holder.changes();
                let _ = tokio::time::timeout(ASK, changes.changed()).await;
                continue;
            }
            let acknowledged = self.cache.bundle_version();
            let message = BundleRequest { acknowledged };
            let answer: Result<Roots, AskError> =
                ask(&self.addresses(), &self.tls, BUNDLE, &message).await;
            let heard = answer.as_ref().map_or_else(AskError::was_heard, |_| true);
            let mut again = false;
            match answer {
                Ok(roots) => {
                    self.believe(&roots);
                    // Said at once, so that a rotation need not wait for it.
                    again = roots.version != acknowledged;
                }
                Err(error) => tracing::debug!(%error, "the authority does not tell the roots"),
            }
            if heard && std::mem::replace(&mut away, !heard) {
                tracing::info!("the authority is back");
                back.notify_waiters();
            }
            away = !heard;
            if !again {
                tokio::time::sleep(if heard { ASK } else { ASK_AGAIN }).await;
            }
        }
    }
}

impl Issue for Remote {
    fn issue<'a>(&'a self, id: &'a Id, request: &'a [u8]) -> BoxFuture<'a, Result<Issued, String>> {
        Box::pin(async move {
            let issued = if *id == self.own {
                self.issue_own(request).await?
            } else {
                self.until_joined().await;
                self.ask(id, request).await.map_err(|error| error.to_string())?
            };
            self.believe(&issued.bundle);
            Ok(issued)
        })
    }
}

fn read_token(path: &Path) -> Result<Token, String> {
    let about = |reason: String| format!("token file {}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| about(error.to_string()))?;
    Token::parse(&text).map_err(about)
}
