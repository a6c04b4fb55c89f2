//! Identities from files that somebody else renews: a chain and a key for each, and the roots of their trust domain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::units::FileOrContent;
use sha2::{Digest as _, Sha256};

use super::{Bundle, Holder, Svid};
use crate::net::task;
use crate::tls::pem::Source;

/// How often the files are looked at: links that are changed to another folder are noticed as well as writes.
const LOOK: Duration = Duration::from_secs(2);

/// Where identities are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Chain (the leaf first) and key of each identity, in PEM. The first is the default.
    pub identities: Vec<(PathBuf, PathBuf)>,
    /// The roots, in PEM.
    pub bundle: PathBuf,
}

/// Keeps `holder` as the files say, for the life of the process. What cannot be read or does not fit is an error in the log,
/// and what was there before stays. What can be read now is there when this returns.
pub fn start(files: Files, holder: Arc<Holder>) -> tokio::task::JoinHandle<()> {
    let mut seen = None;
    look(&files, &holder, &mut seen);
    task::spawn_control(async move {
        let mut seen = seen;
        loop {
            tokio::time::sleep(LOOK).await;
            look(&files, &holder, &mut seen);
        }
    })
}

/// What was seen last: a digest, or what was wrong.
type Seen = Option<Result<[u8; 32], String>>;

fn look(files: &Files, holder: &Holder, seen: &mut Seen) {
    let read = files.read();
    let now = read.as_ref().map(Content::digest).map_err(Clone::clone);
    if seen.as_ref() == Some(&now) {
        return;
    }
    match read.and_then(|content| content.understand()) {
        Ok((svids, bundle)) => {
            for svid in &svids {
                let until = jiff::Timestamp::try_from(svid.not_after).unwrap_or_default();
                tracing::info!(id = %svid.id, %until, "an identity was read");
            }
            holder.replace(svids, bundle);
        }
        Err(error) => tracing::error!(%error, "identities cannot be read; the last ones stay"),
    }
    *seen = Some(now);
}

/// The bytes of all files, with their names.
struct Content {
    identities: Vec<[(FileOrContent, Vec<u8>); 2]>,
    bundle: (FileOrContent, Vec<u8>),
}

impl Files {
    fn read(&self) -> Result<Content, String> {
        let one = |field: &str, path: &PathBuf| {
            let name = FileOrContent(path.to_string_lossy().into_owned());
            let bytes = Source::new(field, &name).read()?;
            Ok::<_, String>((name, bytes))
        };
        let pair =
            |(chain, key): &(PathBuf, PathBuf)| Ok([one("certFile", chain)?, one("keyFile", key)?]);
        let identities = self.identities.iter().map(pair).collect::<Result<_, String>>()?;
        Ok(Content { identities, bundle: one("bundle", &self.bundle)? })
    }
}

impl Content {
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for (_, bytes) in self.identities.iter().flatten().chain([&self.bundle]) {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        digest.finalize().into()
    }

    fn understand(&self) -> Result<(Vec<Svid>, Bundle), String> {
        let mut svids = Vec::with_capacity(self.identities.len());
        for [(chain_name, chain), (key_name, key)] in &self.identities {
            let about = |error: String| format!("certFile `{}`: {error}", chain_name.0);
            let chain = Source::new("certFile", chain_name).certificates(chain)?;
            let key = Source::new("keyFile", key_name).key(key)?;
            svids.push(Svid::new(chain, key).map_err(about)?);
        }
        let domain = svids.first().ok_or("there is no identity")?.id.trust_domain().to_owned();
        let roots = Source::new("bundle", &self.bundle.0).certificates(&self.bundle.1)?;
        Ok((svids, Bundle::of(&domain, roots)?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::tls::spiffe::Id;
    use crate::tls::spiffe::tests::issue;
    use crate::tls::spiffe::workload_api::tests::until;
    use crate::tls::testing::Authority;

    #[tokio::test]
    async fn files_are_followed_and_a_mistake_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let authority = Authority::new("root");
        let write = |hours: u64| {
            let end = SystemTime::now() + Duration::from_hours(hours);
            let issued = issue(&authority, "spiffe://td/x", |it| it.not_after = end.into());
            std::fs::write(at("key"), issued.key_pem().0).unwrap();
            std::fs::write(at("chain"), issued.pem().0).unwrap();
        };
        std::fs::write(at("bundle"), &authority.pem).unwrap();
        write(1);
        let files = Files { identities: vec![(at("chain"), at("key"))], bundle: at("bundle") };
        let holder = Holder::new();
        let following = start(files.clone(), Arc::clone(&holder));
        let first = holder.svid(&Id::parse("spiffe://td/x").unwrap()).expect("there at once");
        assert_eq!(holder.bundle().roots("td").len(), 1);
        let mut seen = None;
        std::fs::write(at("chain"), "nonsense").unwrap();
        look(&files, &holder, &mut seen);
        assert!(matches!(seen, Some(Ok(_))));
        std::fs::remove_file(at("bundle")).unwrap();
        look(&files, &holder, &mut seen);
        let Some(Err(error)) = &seen else { panic!("{seen:?}") };
        assert!(error.contains("bundle"), "{error}");
        assert!(Arc::ptr_eq(&holder.default_svid().unwrap(), &first));
        std::fs::write(at("bundle"), &authority.pem).unwrap();
        write(2);
        until(&holder, |it| it.default_svid().unwrap().not_after != first.not_after).await;
        following.abort();
    }
}
