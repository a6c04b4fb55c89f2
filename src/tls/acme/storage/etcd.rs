//! Accounts and certificates in a cluster of etcd, which several instances share.
//!
//! | Key below `portcullis/acme/` | Holds |
//! |---|---|
//! | `certificates/<resolver>/<sorted names>` | a certificate as JSON |
//! | `accounts/<resolver>` | the credentials of the account |
//! | `version` | nothing that counts; its revision grows with each change |
//! | `leases/…`, `proofs/…` | holders and proofs, on leases of etcd, with which they lapse |

mod json;

use std::fmt;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use portcullis_config::units::Secret;
use serde_json::json;

use super::super::environment::Environment;
use super::{Entry, Storage, StorageError, Stored, kept};
use json::{Etcd, Pair, text};

/// Certificates that are read at a time, so that no answer is too large.
const PAGE: u32 = 32;

/// A cluster of etcd.
pub(super) struct EtcdStorage {
    /// Without secrets.
    address: String,
    /// What all keys begin with.
    prefix: String,
    etcd: Etcd,
}

impl EtcdStorage {
    /// The cluster at `etcd://host:port,host:port/prefix`. User and password are read from `PORTCULLIS_ACME_ETCD_USERNAME` and
    /// `PORTCULLIS_ACME_ETCD_PASSWORD`, the authorities that vouch for it (PEM) from `PORTCULLIS_ACME_ETCD_CA_CERTIFICATES`, or
    /// from the files that their twins with `_FILE` name.
    pub(super) fn new(address: &str) -> Result<Self, String> {
        Self::with(address, &Environment::of_process())
            .map_err(|expected| format!("`storage`: {expected}"))
    }

    fn with(address: &str, environment: &Environment) -> Result<Self, String> {
        let (scheme, rest) = address.split_once("://").ok_or(EXPECTED)?;
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = match prefix.trim_matches('/') {
            "" => "portcullis/acme/".to_owned(),
            prefix => format!("{prefix}/"),
        };
        let etcd = Etcd::new(scheme, hosts, environment)?;
        Ok(Self { address: address.to_owned(), prefix, etcd })
    }

    fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    fn read_error(&self, reason: String) -> StorageError {
        StorageError::Read { path: self.address.clone(), reason }
    }

    fn write_error(&self, reason: String) -> StorageError {
        StorageError::Write { path: self.address.clone(), reason }
    }

    /// Sets `key`, and tells everybody that something is new, in one step.
    async fn put(&self, key: &str, value: &str) -> Result<(), StorageError> {
        let put =
            |key: &str, value| json!({ "request_put": { "key": text(key), "value": text(value) } });
        let both =
            json!({ "success": [put(&self.key(key), value), put(&self.key("version"), "")] });
        let done = self.etcd.ask("kv/txn", &both).await;
        done.map(drop).map_err(|reason| self.write_error(reason))
    }

    async fn one(&self, key: &str) -> Result<Option<Pair>, String> {
        let found = self.etcd.range(&json!({ "key": text(self.key(key)) })).await?;
        Ok(found.pairs.into_iter().next())
    }

    /// Everything whose key begins with `prefix`, page by page.
    async fn all(&self, prefix: &str) -> Result<Vec<Pair>, String> {
        let (mut from, mut all) = (self.key(prefix).into_bytes(), Vec::new());
        let end = json::after_all_with(&from);
        loop {
            let asked = json!({ "key": text(&from), "range_end": text(&end), "limit": PAGE });
            let mut page = self.etcd.range(&asked).await?;
            let last = page.pairs.last().map(|pair| pair.key.clone());
            all.append(&mut page.pairs);
            match last {
                // The first key after it.
                Some(last) if page.more => from = [&last[..], &[0]].concat(),
                _ => return Ok(all),
            }
        }
    }

    /// Puts `value` at `key` for at most `duration`, if nothing is there or `value` is; whether it is there now.
    async fn take(&self, key: &str, value: &str, duration: Duration) -> Result<bool, String> {
        let lease = self.etcd.grant(duration).await?;
        let (key, value) = (text(self.key(key)), text(value));
        let put = json!([{ "request_put": { "key": key, "value": value, "lease": lease } }]);
        let own = json!({
            "compare": [{ "key": key, "target": "VALUE", "result": "EQUAL", "value": value }],
            "success": put,
        });
        let taken = self
            .etcd
            .ask(
                "kv/txn",
                &json!({
                    "compare": [{ "key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0" }],
                    "success": put,
                    "failure": [{ "request_txn": own }],
                }),
            )
            .await?;
        let is_own = &taken["responses"][0]["response_txn"]["succeeded"];
        let has = taken["succeeded"] == true || *is_own == true;
        if !has {
            self.etcd.revoke(&lease).await;
        }
        Ok(has)
    }
}

const EXPECTED: &str = "expected an address such as `etcd://host:2379`";

impl fmt::Debug for EtcdStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStorage").field(&self.address).finish()
    }
}

impl Storage for EtcdStorage {
    fn version(&self) -> BoxFuture<'_, Result<Option<String>, StorageError>> {
        async move {
            let found = self.one("version").await.map_err(|reason| self.read_error(reason))?;
            Ok(found.map(|pair| pair.revision))
        }
        .boxed()
    }

    fn load<'a>(&'a self, resolver: &'a str) -> BoxFuture<'a, Result<Stored, StorageError>> {
        async move {
            let all = self.all(&format!("certificates/{resolver}/")).await;
            let all = all.map_err(|reason| self.read_error(reason))?;
            let account = self.one(&format!("accounts/{resolver}")).await;
            let account = account.map_err(|reason| self.read_error(reason))?;
            let certificates = kept::read(resolver, all.iter().map(|pair| pair.value.as_str()));
            Ok(Stored { certificates, account: account.map(|pair| Secret(pair.value)) })
        }
        .boxed()
    }

    fn put_certificate<'a>(
        &'a self,
        resolver: &'a str,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            let kept = kept::write(entry).map_err(|reason| self.write_error(reason))?;
            self.put(&format!("certificates/{resolver}/{}", entry.names.key()), &kept).await
        }
        .boxed()
    }

    fn put_account<'a>(
        &'a self,
        resolver: &'a str,
        account: &'a Secret,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move { self.put(&format!("accounts/{resolver}"), &account.0).await }.boxed()
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        async move {
            let taken = self.take(&format!("leases/{key}"), holder, duration).await;
            taken.map_err(|reason| self.write_error(reason))
        }
        .boxed()
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let (key, holder) = (text(self.key(&format!("leases/{key}"))), text(holder));
            let release = json!({
                "compare": [{ "key": key, "target": "VALUE", "result": "EQUAL", "value": holder }],
                "success": [{ "request_delete_range": { "key": key } }],
            });
            // Otherwise it lapses.
            drop(self.etcd.ask("kv/txn", &release).await);
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
            let key = text(self.key(&format!("proofs/{key}")));
            let put = async {
                let lease = self.etcd.grant(duration).await?;
                let put = json!({ "key": key, "value": text(proof), "lease": lease });
                self.etcd.ask("kv/put", &put).await
            };
            put.await.map(drop).map_err(|reason| self.write_error(reason))
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let key = text(self.key(&format!("proofs/{key}")));
            // Otherwise it lapses.
            drop(self.etcd.ask("kv/deleterange", &json!({ "key": key })).await);
        }
        .boxed()
    }

    fn proof<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        async move { Some(self.one(&format!("proofs/{key}")).await.ok()??.value) }.boxed()
    }
}

#[cfg(test)]
mod tests;
