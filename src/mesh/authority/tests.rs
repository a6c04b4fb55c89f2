//! An authority, its door and nodes, over real sockets.

mod joining;
mod life;
mod rotating;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;

use super::*;
use crate::tls::spiffe::{Holder, Id, Svid};

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(30);

/// An authority with its door.
struct Control {
    folder: tempfile::TempDir,
    address: String,
    lives: Lives,
    holder: Arc<Holder>,
    keeper: Arc<Keeper>,
    running: Vec<tokio::runtime::Runtime>,
}

/// Accounts run where their name says: `web.n2` runs on `n2`; others anywhere.
struct ByName;

impl Placement for ByName {
    fn placed(&self, id: &Id, node: &str) -> Placed {
        match id.workload().and_then(|(_, account)| account.split_once('.')) {
            Some((_, place)) if place == node => Placed::Here,
            Some(_) => Placed::Elsewhere,
            None => Placed::Unknown,
        }
    }
}

fn lives(leaf: Duration) -> Lives {
    Lives { leaf, ..Lives::default() }
}

impl Control {
    /// Makes an authority whose leaves live for `leaf`, and opens its door.
    async fn new(leaf: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lives = lives(leaf);
        Ca::create(&folder.path().join("ca"), "td", lives).unwrap();
        Self::at(folder, "127.0.0.1:0", lives).await
    }

    /// Opens the door of the authority in `folder` at `address`.
    async fn at(folder: tempfile::TempDir, address: &str, lives: Lives) -> Self {
        let holder = Holder::new();
        // Of its own, so that it can be stopped with everything that it began.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (address, directory) = (address.to_owned(), folder.path().join("ca"));
        let held = Arc::clone(&holder);
        let started = runtime.spawn(async move {
            let listener = TcpListener::bind(&address).await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let source =
                Source::Control { listener: Some(listener), lives, placement: Arc::new(ByName) };
            let (trust_domain, node) = ("td".to_owned(), "c1".to_owned());
            let settings = Settings { directory, trust_domain, node, source };
            (start(settings, &held).unwrap(), address)
        });
        let (keeper, address) = started.await.unwrap();
        Self { folder, address, lives, holder, keeper, running: vec![runtime] }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    /// Ends as a killed process does. Gives what a restart needs.
    fn stop(mut self) -> (tempfile::TempDir, String, Lives) {
        self.running.drain(..).for_each(tokio::runtime::Runtime::shutdown_background);
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (folder, std::mem::take(&mut self.address), self.lives)
    }

    fn invite(&self, node: &str, allow: &str, life: Duration) -> Token {
        let pin = Ca::open(&self.directory()).unwrap().pin();
        let token = Token::new(&self.address, pin).unwrap();
        let allow = vec![Pattern::parse(allow).unwrap()];
        Ledger::change(&self.directory(), |ledger| {
            ledger.invite(&token.invitation(), node, allow, life);
            Ok::<(), CaError>(())
        })
        .unwrap();
        token
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.running.drain(..).for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// A node in a folder of its own.
struct Node {
    folder: tempfile::TempDir,
    holder: Arc<Holder>,
    keeper: Arc<Keeper>,
}

impl Node {
    /// Starts node `name` with a token in its file.
    fn start(name: &str, token: &Token) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("join"), token.text()).unwrap();
        Self::again(name, folder)
    }

    /// Starts it from what it has.
    fn again(name: &str, folder: tempfile::TempDir) -> Self {
        let holder = Holder::new();
        let token_file = Some(folder.path().join("join"));
        let settings = Settings {
            directory: folder.path().join("state"),
            trust_domain: "td".to_owned(),
            node: name.to_owned(),
            source: Source::Join { control: Vec::new(), token_file },
        };
        let keeper = start(settings, &holder).unwrap();
        Self { folder, holder, keeper }
    }

    async fn ready(&self, id: &Id) -> Arc<Svid> {
        self.keeper.want(id);
        self.keeper.ready(id, LIMIT).await.unwrap_or_else(|| panic!("there is no {id}"))
    }
}

fn node(name: &str) -> Id {
    Id::node("td", name).unwrap()
}

fn account(namespace: &str, account: &str) -> Id {
    Id::workload_of("td", namespace, account).unwrap()
}

/// How often something was refused for `reason` in this process.
fn refused(reason: &str) -> u64 {
    refusals().find(|(name, _)| *name == reason).unwrap().1
}

/// Waits until `is` holds.
async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_is_a_folder_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("a").join("ca");
    let ca = Ca::create(&directory, "td", Lives::default()).unwrap();
    assert_eq!(ca.trust_domain(), "td");
    assert_eq!(mode(&directory), 0o700);
    for name in ["root.pem", "root.key", "intermediate.pem", "intermediate.key"] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
    assert!(matches!(Ca::create(&directory, "td", Lives::default()), Err(CaError::Exists(_))));
    let opened = Ca::open(&directory).unwrap();
    assert_eq!(opened.pin(), ca.pin());
    assert!(matches!(Ca::open(folder.path()), Err(CaError::Missing(_))));
    let other = folder.path().join("other");
    assert!(Ca::create(&other, "not a domain", Lives::default()).is_err());
    use std::os::unix::fs::PermissionsExt as _;
    let key = directory.join("intermediate.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Ca::open(&directory).err().unwrap().to_string();
    assert!(error.contains("too open") && error.contains("intermediate.key"), "{error}");
}

#[test]
fn a_leaf_never_outlives_its_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let hour = Duration::from_hours(1);
    let lives = Lives { intermediate: hour, ..Lives::default() };
    let ca = Ca::create(folder.path(), "td", lives).unwrap();
    let issue = |life| {
        let key = csr::NewKey::new().unwrap();
        let public = csr::public_key(&key.request).unwrap();
        Svid::new(ca.issue(&account("a", "b"), &public, life).unwrap(), key.private()).unwrap()
    };
    assert!(issue(hour * 24).not_after <= ca.ends());
    let svid = issue(hour / 2);
    let now = SystemTime::now();
    assert!(svid.not_after <= now + hour / 2);
    assert!(svid.not_before <= now - Duration::from_secs(59), "clocks may differ");
    assert!(!ca.wants_renewal(now) && ca.wants_renewal(now + hour / 2 + Duration::from_secs(60)));
    let key = csr::NewKey::new().unwrap();
    let public = csr::public_key(&key.request).unwrap();
    let foreign = Id::parse("spiffe://other/ns/a/sa/b").unwrap();
    assert!(ca.issue(&foreign, &public, hour).unwrap_err().to_string().contains("another"));
}

#[test]
fn an_intermediate_without_its_key_is_made_again() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |folder: &Path| {
        issuer::Issuer::open(folder, Lives::default(), Arc::new(Anywhere)).map(|_| ())
    };
    for folder in [&folder, &other] {
        Ca::create(folder.path(), "td", Lives::default()).unwrap();
    }
    // The state that a stop between the two files leaves.
    let key = "intermediate.key";
    std::fs::copy(other.path().join(key), folder.path().join(key)).unwrap();
    assert!(Ca::open(folder.path()).is_err());
    open(folder.path()).unwrap();
    Ca::open(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("root.key")).unwrap();
    open(folder.path()).unwrap();
    std::fs::copy(other.path().join(key), folder.path().join(key)).unwrap();
    assert!(open(folder.path()).is_err(), "without the root's key nothing can be made");
}
