//! One order: from the names to the certificate (RFC 8555 section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use portcullis_config::units::Secret;

use super::account::{self, Forgotten};
use super::authority::Authority;
use super::failure::{Failure, Remedy, describe};
use super::key;
use super::names::Names;
use super::office::Office;
use super::proof::{self, Shown};
use super::storage::Entry;
use crate::tls::certificate::Certificate;

/// How long a lease keeps others from an order if its holder dies …
const LEASE: Duration = Duration::from_mins(1);

/// … and how often a living holder prolongs it.
const PROLONG: Duration = Duration::from_secs(20);

/// However long everybody takes, an order ends after this.
const LONGEST: Duration = Duration::from_mins(20);

/// What is ordered.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) names: Names,
    /// The certificate that the new one replaces.
    pub(super) replaces: Option<std::sync::Arc<Certificate>>,
    /// Failures in a row so far.
    pub(super) attempt: u32,
}

/// What came of an order.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A new certificate, and whether the storage holds it.
    Issued(Entry, bool),
    /// Another instance is at it, or was.
    Elsewhere,
}

/// Orders unless another instance does.
pub(super) async fn run(office: &Office, job: &Job) -> Result<Outcome, Failure> {
    let key = format!("{}/{}", office.name, job.names.key());
    let leased = office.storage.lease(&key, &office.holder, LEASE).await;
    if !leased.map_err(|error| Failure::new(error.to_string()))? {
        return Ok(Outcome::Elsewhere);
    }
    let done = if is_done_elsewhere(office, job).await {
        Ok(Outcome::Elsewhere)
    } else {
        leased_run(office, job, &key).await
    };
    let done = match done {
        // Before the lease ends, so that others find it.
        Ok(Outcome::Issued(entry, _)) => {
            let kept = keep(office, &entry).await;
            Ok(Outcome::Issued(entry, kept))
        }
        other => other,
    };
    office.storage.release(&key, &office.holder).await;
    done
}

/// Keeps a certificate; one that cannot be kept serves from memory.
pub(super) async fn keep(office: &Office, entry: &Entry) -> bool {
    let kept = office.storage.put_certificate(&office.name, entry).await;
    if let Err(error) = &kept {
        let name = entry.names.main();
        tracing::error!(resolver = %office.name, name, "the certificate serves from memory: {error}");
    }
    kept.is_ok()
}

/// Prolongs the lease until it is lost.
async fn prolong(office: &Office, key: &str) {
    loop {
        tokio::time::sleep(PROLONG).await;
        if let Ok(false) = office.storage.lease(key, &office.holder, LEASE).await {
            return;
        }
    }
}

/// Whether the storage holds a certificate for these names that is newer than the one to replace.
async fn is_done_elsewhere(office: &Office, job: &Job) -> bool {
    let Ok(stored) = office.storage.load(&office.name).await else { return false };
    let now = jiff::Timestamp::now().as_second();
    let ends = job.replaces.as_ref().map_or(now, |old| old.facts().expires.max(now));
    let key = job.names.key();
    stored.certificates.iter().filter(|entry| entry.names.key() == key).any(|entry| {
        Certificate::from_pem(&entry.chain, &entry.key.0)
            .is_ok_and(|found| found.facts().expires > ends)
    })
}

/// Orders while the lease holds. Whatever ends the order, its proofs are taken back.
async fn leased_run(office: &Office, job: &Job, key: &str) -> Result<Outcome, Failure> {
    let mut shown = Vec::new();
    let obtained = tokio::select! {
        obtained = Box::pin(obtain(office, job, &mut shown)) => {
            obtained.map(|entry| Outcome::Issued(entry, false))
        }
        () = prolong(office, key) => Ok(Outcome::Elsewhere),
        () = tokio::time::sleep(LONGEST) => Err(Failure::new("the order took too long")),
    };
    for proof in shown {
        proof.take_back(office).await;
    }
    obtained
}

async fn obtain(office: &Office, job: &Job, shown: &mut Vec<Shown>) -> Result<Entry, Failure> {
    let authority = Authority::new(office.settings.https.clone());
    let (account, mut order) = begin(office, job, &authority).await?;
    let failed = |doing: &str, error| Failure::of(doing, error, &authority.heard());
    proof::show(office, &mut order, job, shown).await.map_err(|it| it.failure(&authority))?;
    // The authority needs longer for several names; each has the patience of one certificate.
    let patience = office.settings.patience.max(Duration::from_secs(30));
    let status = order.poll_ready(&polling(patience)).await;
    match status {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => return Err(refused(&mut order, None).await),
        Err(instant_acme::Error::Api(problem)) => {
            return Err(refused(&mut order, Some(describe(&problem))).await);
        }
        Err(error) => return Err(failed("proof", error)),
    }
    let requested = request(office, &job.names).await?;
    order.finalize_csr(&requested.request).await.map_err(|error| failed("finalize", error))?;
    let chain = order
        .poll_certificate(&polling(office.settings.patience))
        .await
        .map_err(|error| failed("certificate", error))?;
    let chain = preferred(office, &account, &authority, chain).await;
    let entry = Entry { names: job.names.clone(), chain, key: Secret(requested.key) };
    check(&entry)?;
    Ok(entry)
}

/// Places the order. What can be mended at once is mended once.
async fn begin(
    office: &Office,
    job: &Job,
    authority: &Authority,
) -> Result<(Account, Order), Failure> {
    let mut forgotten = Forgotten::default();
    let mut replaces = job.replaces.as_deref().and_then(identifier);
    for _ in 0..3 {
        let (account, used) = account::open(office, authority, &forgotten).await?;
        let identifiers = job.names.identifiers();
        let mut new = NewOrder::new(&identifiers);
        if !office.settings.profile.is_empty() {
            new = new.profile(&office.settings.profile);
        }
        if let Some(replaces) = &replaces {
            new = new.replaces(replaces.clone());
        }
        let error = match account.new_order(&new).await {
            Ok(order) => return Ok((account, order)),
            Err(error) => error,
        };
        let unsupported = matches!(error, instant_acme::Error::Unsupported(_));
        let failure = Failure::of("new order", error, &authority.heard());
        match failure.remedy {
            Remedy::Account => {
                tracing::warn!(resolver = %office.name, "the authority does not know the account any more");
                office.account.forget(&used);
                forgotten = used;
            }
            // The authority does not know RFC 9773, or knows the certificate otherwise than we do.
            _ if replaces.is_some()
                && (unsupported || failure.wish == super::back_off::Wish::Nothing) =>
            {
                tracing::debug!(resolver = %office.name, "ordered without a predecessor: {}", failure.reason);
                replaces = None;
            }
            _ => return Err(failure),
        }
    }
    Err(Failure::new("the authority refuses every account"))
}

fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let leaf = certificate.chain().first()?;
    CertificateIdentifier::try_from(leaf).ok().map(CertificateIdentifier::into_owned)
}

/// Asks after a second, then ever more slowly, unless the authority says when.
fn polling(patience: Duration) -> RetryPolicy {
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(patience)
}

/// Why an order was refused: what the authority found when it looked at each proof.
async fn refused(order: &mut Order, problem: Option<String>) -> Failure {
    let mut found: Vec<String> = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if state.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = state.identifier().to_string();
        for challenge in &state.challenges {
            if let (ChallengeStatus::Invalid, Some(error)) = (challenge.status, &challenge.error) {
                found.push(format!("{name}: {}", describe(error)));
            }
        }
    }
    if found.is_empty() {
        found.push(problem.unwrap_or_else(|| "the authority refused the order".to_owned()));
    }
    Failure::new(format!("proof: {}", found.join("; ")))
}

/// Makes the key and signs the request, which takes seconds for RSA.
async fn request(office: &Office, names: &Names) -> Result<key::Requested, Failure> {
    let (kind, common_name) = (office.settings.key_type, office.settings.common_name);
    let names = names.clone();
    let made = tokio::task::spawn_blocking(move || key::request(kind, &names, common_name)).await;
    let made = made.map_err(|_| Failure::new("the gateway stops"))?;
    made.map_err(|error| Failure::new(format!("the key cannot be made: {error}")))
}

/// The chain that the user prefers, if the authority offers it.
async fn preferred(
    office: &Office,
    account: &Account,
    authority: &Authority,
    chain: String,
) -> String {
    let wanted = &office.settings.preferred_chain;
    if wanted.is_empty() || is_issued_by(&chain, wanted) {
        return chain;
    }
    for address in authority.heard().alternates {
        // A chain is asked for like an order, signed; that it is none is no matter, as the transport keeps it.
        let _ = account.order(address).await;
        if let Some(other) = authority.heard().chain.filter(|other| is_issued_by(other, wanted)) {
            return other;
        }
    }
    tracing::warn!(resolver = %office.name, "the authority offers no chain of `{wanted}`");
    chain
}

/// Whether one of the certificates was issued by `common_name`.
fn is_issued_by(chain: &str, common_name: &str) -> bool {
    crate::tls::certificate::issuers(chain).iter().any(|issuer| issuer == common_name)
}

/// What came must be for the key and the names; the authority is not trusted blindly.
fn check(entry: &Entry) -> Result<(), Failure> {
    let certificate = Certificate::from_pem(&entry.chain, &entry.key.0).map_err(|error| {
        Failure::new(format!("the authority's certificate is unusable: {error}"))
    })?;
    let missing = entry.names.iter().find(|name| !certificate.names().iter().any(|it| it == name));
    match missing {
        Some(name) => Err(Failure::new(format!("the authority's certificate is not for `{name}`"))),
        None => Ok(()),
    }
}
