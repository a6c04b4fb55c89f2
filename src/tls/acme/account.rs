//! The account at the authority: opened from what is kept, made where nothing is.

use std::time::Duration;

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use parking_lot::Mutex;
use portcullis_config::units::Secret;

use super::authority::Authority;
use super::failure::Failure;
use super::office::Office;

/// How long the making of an account keeps other instances from it.
const LEASE: Duration = Duration::from_mins(1);

/// How often is looked for the account that another instance makes.
const PAUSE: Duration = Duration::from_millis(500);

/// The credentials once they are known; a copy in memory, so that a storage that cannot be written does not mean another
/// account for each order.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Option<Secret>>);

impl Known {
    /// Forgets the account, since the authority does not know it any more.
    pub(super) fn forget(&self, forgotten: &Forgotten) {
        let mut known = self.0.lock();
        if known.as_ref().map(|it| &it.0) == forgotten.0.as_ref() {
            *known = None;
        }
    }
}

/// The credentials that were in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten(Option<String>);

/// Opens the account, or makes one. `forgotten` are credentials that the authority refused.
pub(super) async fn open(
    office: &Office,
    authority: &Authority,
    forgotten: &Forgotten,
) -> Result<(Account, Forgotten), Failure> {
    let _turn = office.opening.lock().await;
    let key = format!("{}/account", office.name);
    for _ in 0..120 {
        if let Some(credentials) = kept(office, forgotten).await? {
            return restore(authority, &credentials).await;
        }
        let leased = office.storage.lease(&key, &office.holder, LEASE).await;
        if !leased.map_err(|error| Failure::new(error.to_string()))? {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        // Another instance may have made one between the look and the lease.
        let made = match kept(office, forgotten).await? {
            Some(credentials) => restore(authority, &credentials).await,
            None => make(office, authority).await,
        };
        office.storage.release(&key, &office.holder).await;
        return made;
    }
    Err(Failure::new("another instance makes an account and does not come to an end"))
}

/// The account, if there is one.
pub(super) async fn existing(office: &Office, authority: &Authority) -> Option<Account> {
    let credentials = kept(office, &Forgotten::default()).await.ok()??;
    restore(authority, &credentials).await.ok().map(|(account, _)| account)
}

/// Credentials from memory or the storage that belong to the configured authority.
async fn kept(office: &Office, forgotten: &Forgotten) -> Result<Option<Secret>, Failure> {
    let in_memory = office.account.0.lock().clone();
    let stored = match in_memory {
        Some(known) => Some(known),
        None => {
            let loaded = office.storage.load(&office.name).await;
            loaded.map_err(|error| Failure::new(error.to_string()))?.account
        }
    };
    Ok(stored.filter(|it| {
        forgotten.0.as_ref() != Some(&it.0) && belongs_to(it, &office.settings.directory)
    }))
}

fn belongs_to(credentials: &Secret, directory: &str) -> bool {
    let value: serde_json::Value = serde_json::from_str(&credentials.0).unwrap_or_default();
    value.get("directory").and_then(|it| it.as_str()) == Some(directory)
}

async fn restore(
    authority: &Authority,
    credentials: &Secret,
) -> Result<(Account, Forgotten), Failure> {
    let parsed: AccountCredentials = serde_json::from_str(&credentials.0)
        .map_err(|_| Failure::new("the kept account is not understood"))?;
    let account = Account::builder_with_http(Box::new(authority.clone()))
        .from_credentials(parsed)
        .await
        .map_err(|error| Failure::of("directory", error, &authority.heard()))?;
    Ok((account, Forgotten(Some(credentials.0.clone()))))
}

async fn make(office: &Office, authority: &Authority) -> Result<(Account, Forgotten), Failure> {
    let settings = &office.settings;
    let contact: Vec<&str> = settings.contacts.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let binding = settings.binding.as_ref();
    let binding = binding.map(|it| ExternalAccountKey::new(it.kid.clone(), &it.key.0));
    let (account, credentials) = Account::builder_with_http(Box::new(authority.clone()))
        .create(&new, settings.directory.clone(), binding.as_ref())
        .await
        .map_err(|error| Failure::of("new account", error, &authority.heard()))?;
    tracing::info!(resolver = %office.name, account = account.id(), "account made");
    let text = serde_json::to_string(&credentials)
        .map_err(|_| Failure::new("the new account cannot be written down"))?;
    let credentials = Secret(text);
    *office.account.0.lock() = Some(credentials.clone());
    if let Err(error) = office.storage.put_account(&office.name, &credentials).await {
        tracing::error!(resolver = %office.name, "the account is in memory only: {error}");
    }
    Ok((account, Forgotten(Some(credentials.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_another_authority_do_not_count() {
        let credentials = Secret(r#"{"id":"x","directory":"https://a.test/dir"}"#.into());
        assert!(belongs_to(&credentials, "https://a.test/dir"));
        assert!(!belongs_to(&credentials, "https://b.test/dir"));
        assert!(!belongs_to(&Secret("?".into()), "https://b.test/dir"));
    }
}
