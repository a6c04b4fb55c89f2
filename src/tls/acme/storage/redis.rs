//! Accounts and certificates in a database of Redis, which several instances share.
//!
//! | Key below `portcullis/acme/` | Holds |
//! |---|---|
//! | `<resolver>/certificates` | a hash: sorted names to JSON |
//! | `<resolver>/account` | the credentials of the account |
//! | `version` | a number that grows with each change |
//! | `leases/…`, `proofs/…` | holders and proofs, which lapse by themselves |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use portcullis_config::units::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{Entry, Storage, StorageError, Stored, kept};
use crate::net::task;
use crate::tls::client::load_system_roots;

const PREFIX: &str = "portcullis/acme/";

/// How long an operation may take, a new connection included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes a lease that is free or one's own.
const LEASE: &str = "if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end \
                     if redis.call('get', KEYS[1]) == ARGV[1] then \
                     redis.call('pexpire', KEYS[1], ARGV[2]) return 1 end return 0";

/// Gives a lease of one's own back.
const RELEASE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

/// A database of Redis.
#[derive(Clone)]
pub(super) struct RedisStorage(Arc<Inner>);

struct Inner {
    /// Without secrets.
    address: String,
    host: String,
    port: u16,
    encryption: Encryption,
    info: RedisConnectionInfo,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// `rediss:`.
    Tls,
    /// `redis:`.
    None,
}

impl RedisStorage {
    /// The database at `redis://host:port/number`. User and password are read from `PORTCULLIS_ACME_REDIS_USERNAME` and
    /// `PORTCULLIS_ACME_REDIS_PASSWORD`, or from the files that their twins with `_FILE` name, so that no configuration shows them.
    pub(super) fn new(address: &str) -> Result<Self, String> {
        let bad = |expected: &str| format!("`storage`: {expected}");
        let uri: http::Uri = address.parse().map_err(|_| bad(EXPECTED))?;
        let authority = uri.authority().ok_or_else(|| bad(EXPECTED))?;
        if authority.as_str().contains('@') {
            return Err(bad(
                "write the password into PORTCULLIS_ACME_REDIS_PASSWORD, not into the address",
            ));
        }
        let number = match uri.path().trim_matches('/') {
            "" => 0,
            text => text.parse().map_err(|_| bad(EXPECTED))?,
        };
        let mut info = RedisConnectionInfo::default().set_db(number);
        if let Some(user) = variable("PORTCULLIS_ACME_REDIS_USERNAME")? {
            info = info.set_username(user.0);
        }
        if let Some(password) = variable("PORTCULLIS_ACME_REDIS_PASSWORD")? {
            info = info.set_password(password.0);
        }
        let encryption =
            if uri.scheme_str() == Some("rediss") { Encryption::Tls } else { Encryption::None };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self(Arc::new(Inner {
            address: address.to_owned(),
            host,
            port: authority.port_u16().unwrap_or(6379),
            encryption,
            info,
            connection: Mutex::new(None),
        })))
    }

    fn read_error(&self, reason: String) -> StorageError {
        StorageError::Read { path: self.0.address.clone(), reason }
    }

    fn write_error(&self, reason: String) -> StorageError {
        StorageError::Write { path: self.0.address.clone(), reason }
    }

    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        let asking = async {
            let mut connection = self.0.connection().await?;
            command.query_async(&mut connection).await.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if answer.is_err() {
            // Whatever it was, the next one begins on a new connection.
            *self.0.connection.lock().await = None;
        }
        answer
    }

    /// Sets `key`, and tells everybody that something is new.
    async fn put(&self, command: &redis::Cmd) -> Result<(), StorageError> {
        let failed = |reason| self.write_error(reason);
        self.ask::<()>(command).await.map_err(failed)?;
        let mut grow = redis::cmd("INCR");
        grow.arg(format!("{PREFIX}version"));
        self.ask::<()>(&grow).await.map_err(failed)
    }
}

const EXPECTED: &str = "expected an address such as `redis://host:6379/0`";

/// A variable, or the content of the file that its twin names.
fn variable(name: &str) -> Result<Option<Secret>, String> {
    super::super::environment::Environment::of_process().optional(&[name])
}

impl Inner {
    async fn connection(&self) -> Result<MultiplexedConnection, String> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let connection = match self.encryption {
            Encryption::None => self.greet(stream).await?,
            Encryption::Tls => self.greet(self.encrypt(stream).await?).await?,
        };
        *kept = Some(connection.clone());
        Ok(connection)
    }

    async fn greet<IO>(&self, stream: IO) -> Result<MultiplexedConnection, String>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let greeted = MultiplexedConnection::new_with_config(&self.info, stream, config).await;
        let (connection, driver) = greeted.map_err(|error| error.to_string())?;
        task::spawn_control(driver);
        Ok(connection)
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
        let provider = Arc::clone(crate::tls::provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(Arc::clone(load_system_roots()))
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.map_err(|error| error.to_string())
    }
}

impl fmt::Debug for RedisStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisStorage").field(&self.0.address).finish()
    }
}

impl Storage for RedisStorage {
    fn version(&self) -> BoxFuture<'_, Result<Option<String>, StorageError>> {
        async move {
            let mut command = redis::cmd("GET");
            command.arg(format!("{PREFIX}version"));
            self.ask(&command).await.map_err(|reason| self.read_error(reason))
        }
        .boxed()
    }

    fn load<'a>(&'a self, resolver: &'a str) -> BoxFuture<'a, Result<Stored, StorageError>> {
        async move {
            let mut all = redis::cmd("HVALS");
            all.arg(format!("{PREFIX}{resolver}/certificates"));
            let all: Vec<String> = self.ask(&all).await.map_err(|it| self.read_error(it))?;
            let mut account = redis::cmd("GET");
            account.arg(format!("{PREFIX}{resolver}/account"));
            let account: Option<String> =
                self.ask(&account).await.map_err(|it| self.read_error(it))?;
            let certificates = kept::read(resolver, all.iter().map(String::as_str));
            Ok(Stored { certificates, account: account.map(Secret) })
        }
        .boxed()
    }

    fn put_certificate<'a>(
        &'a self,
        resolver: &'a str,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            let text = kept::write(entry).map_err(|reason| self.write_error(reason))?;
            let mut command = redis::cmd("HSET");
            command.arg(format!("{PREFIX}{resolver}/certificates"));
            self.put(command.arg(entry.names.key()).arg(text)).await
        }
        .boxed()
    }

    fn put_account<'a>(
        &'a self,
        resolver: &'a str,
        account: &'a Secret,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            let mut command = redis::cmd("SET");
            self.put(command.arg(format!("{PREFIX}{resolver}/account")).arg(&account.0)).await
        }
        .boxed()
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        async move {
            let mut command = redis::cmd("EVAL");
            command.arg(LEASE).arg(1).arg(format!("{PREFIX}leases/{key}"));
            command.arg(holder).arg(duration.as_millis() as u64);
            self.ask(&command).await.map_err(|reason| self.write_error(reason))
        }
        .boxed()
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let mut command = redis::cmd("EVAL");
            command.arg(RELEASE).arg(1).arg(format!("{PREFIX}leases/{key}")).arg(holder);
            // Otherwise it lapses.
            let _: Result<(), String> = self.ask(&command).await;
        }
        .boxed()
    }

    fn announce<'a>(
        &'a self,
        key: &'a str,
        proof: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            let mut command = redis::cmd("SET");
            command.arg(format!("{PREFIX}proofs/{key}")).arg(proof);
            command.arg("PX").arg(duration.as_millis() as u64);
            self.ask(&command).await.map_err(|reason| self.write_error(reason))
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let mut command = redis::cmd("DEL");
            command.arg(format!("{PREFIX}proofs/{key}"));
            let _: Result<(), String> = self.ask(&command).await;
        }
        .boxed()
    }

    fn proof<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        async move {
            let mut command = redis::cmd("GET");
            command.arg(format!("{PREFIX}proofs/{key}"));
            self.ask(&command).await.ok().flatten()
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_no_password() {
        let storage = RedisStorage::new("redis://127.0.0.1/3").unwrap();
        assert_eq!((storage.0.port, storage.0.info.db()), (6379, 3));
        let error = RedisStorage::new("redis://:s3cret@127.0.0.1/0").unwrap_err();
        assert!(error.contains("PORTCULLIS_ACME_REDIS_PASSWORD") && !error.contains("s3cret"));
        for bad in ["redis://", "redis://host/x"] {
            assert!(RedisStorage::new(bad).unwrap_err().contains("redis://host:6379/0"), "{bad}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_address() {
        let storage = RedisStorage::new("redis://127.0.0.1:1/0").unwrap();
        let error = storage.version().await.unwrap_err().to_string();
        assert!(error.contains("redis://127.0.0.1:1/0"), "{error}");
    }
}
