//! Where accounts and certificates are kept, and what several instances that share the place agree on there.

mod document;
mod etcd;
pub(super) mod file;
mod kept;
mod leases;
#[cfg(feature = "redis")]
mod redis;
pub(super) mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_config::units::Secret;

use super::names::Names;

/// A place for accounts and certificates. Several instances may share one: then a lease keeps two of them from ordering the
/// same certificate, and proofs put there are answered by all of them.
pub(super) trait Storage: Send + Sync + fmt::Debug {
    /// What changes whenever somebody writes; cheap to ask. `None` if there is nothing yet.
    fn version(&self) -> BoxFuture<'_, Result<Option<String>, StorageError>>;

    /// All that is kept for `resolver`.
    fn load<'a>(&'a self, resolver: &'a str) -> BoxFuture<'a, Result<Stored, StorageError>>;

    /// Keeps a certificate in place of one for the same names.
    fn put_certificate<'a>(
        &'a self,
        resolver: &'a str,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Keeps the credentials of the account.
    fn put_account<'a>(
        &'a self,
        resolver: &'a str,
        account: &'a Secret,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Takes the lease `key` for `holder`, or prolongs it; whether it holds it now. A lease that is not prolonged lapses.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<bool, StorageError>>;

    /// Gives the lease `key` back, if `holder` has it.
    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, ()>;

    /// Shows a proof to all instances for at most `duration`.
    fn announce<'a>(
        &'a self,
        key: &'a str,
        proof: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Takes a proof back.
    fn withdraw<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()>;

    /// A proof that some instance shows. Asked for by what clients send, so it must cost little.
    fn proof<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>>;
}

/// The storage that `address` names: a database of Redis (`redis://host:port/number`, `rediss://…`), a cluster of etcd
/// (`etcd://host:port,host:port/prefix`, `etcds://…`), or a file.
pub(super) fn open(address: &str) -> Result<Arc<dyn Storage>, String> {
    match address.split_once("://") {
        Some(("redis" | "rediss", _)) => open_redis(address),
        Some(("etcd" | "etcds", _)) => {
            etcd::EtcdStorage::new(address).map(|it| Arc::new(it) as Arc<dyn Storage>)
        }
        Some((other, _)) => Err(format!(
            "`storage`: `{other}://` is not served; expected a path, `redis://` or `etcd://`"
        )),
        None => Ok(Arc::new(file::FileStorage::new(address))),
    }
}

#[cfg(feature = "redis")]
fn open_redis(address: &str) -> Result<Arc<dyn Storage>, String> {
    redis::RedisStorage::new(address).map(|it| Arc::new(it) as Arc<dyn Storage>)
}

#[cfg(not(feature = "redis"))]
fn open_redis(_: &str) -> Result<Arc<dyn Storage>, String> {
    Err("`storage`: Redis is not part of this build".to_owned())
}

/// All that is kept for one resolver.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The certificates with their keys.
    pub(super) certificates: Vec<Entry>,
    /// The credentials of the account, as JSON.
    pub(super) account: Option<Secret>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    /// The names that it was ordered for.
    pub(super) names: Names,
    /// The chain in PEM, the certificate itself first.
    pub(super) chain: String,
    /// The key in PEM.
    pub(super) key: Secret,
}

/// Why something could not be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// Others could read the keys. Traefik: the same.
    #[error("permissions {mode:o} of `{path}` are too open; expected 600")]
    Permissions {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else than certificates.
    #[error("`{path}` is not understood and is left as it is: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Where and why, without any of the content.
        reason: String,
    },
    /// It cannot be read.
    #[error("`{path}` cannot be read: {reason}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It cannot be written.
    #[error("`{path}` cannot be written: {reason}")]
    Write {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
}
