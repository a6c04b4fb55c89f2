//! When the authority suggests to renew (RFC 9773).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use instant_acme::{Account, CertificateIdentifier, Error};
use tokio::task::JoinHandle;

use super::super::account;
use super::super::authority::Authority;
use super::super::office::Office;
use super::super::renewal;
use crate::net::task;
use crate::tls::certificate::Certificate;

/// How often the authority is asked, whatever it wishes: not more often …
const SHORTEST: Duration = Duration::from_mins(10);

/// … and not less often (RFC 9773 section 4.3.2).
const LONGEST: Duration = Duration::from_hours(24);

/// When is asked again after a failure.
const AFTER_FAILURE: Duration = Duration::from_hours(6);

/// What the authority suggested for each certificate, by fingerprint.
#[derive(Default)]
pub(super) struct Suggestions {
    known: HashMap<String, Known>,
    asking: Option<JoinHandle<Answer>>,
}

struct Known {
    window: Option<(i64, i64)>,
    again: Instant,
}

/// The suggestions that came, by fingerprint: the window in seconds since 1970, and when to ask again.
pub(super) type Answer = Vec<(String, Option<(i64, i64)>, Duration)>;

impl Suggestions {
    /// When to renew a certificate that is valid within `life`, if the authority said so.
    pub(super) fn renewal(&self, fingerprint: &str, life: (i64, i64), share: f64) -> Option<i64> {
        let window = self.known.get(fingerprint)?.window?;
        Some(renewal::in_window(window, life, share))
    }

    /// Asks for those of `held` that it is time for, unless a question is open.
    pub(super) fn ask<'a>(
        &mut self,
        office: &Arc<Office>,
        held: impl Iterator<Item = &'a Arc<Certificate>>,
    ) {
        if self.asking.is_some() {
            return;
        }
        let now = Instant::now();
        let due = |it: &&Arc<Certificate>| {
            self.known.get(&it.facts().name).is_none_or(|known| known.again <= now)
        };
        let due: Vec<_> = held.filter(due).cloned().collect();
        if !due.is_empty() {
            self.asking = Some(task::spawn_control(ask_all(Arc::clone(office), due)));
        }
    }

    /// Waits for the answer to the open question; for ever without one.
    pub(super) async fn answer(&mut self) -> Answer {
        let Some(asking) = &mut self.asking else { return std::future::pending().await };
        let answer = asking.await.unwrap_or_default();
        self.asking = None;
        answer
    }

    /// Takes an answer; whether anything is new.
    pub(super) fn take(&mut self, answer: Answer) -> bool {
        let mut is_new = false;
        for (fingerprint, window, pause) in answer {
            let again = Instant::now() + pause.clamp(SHORTEST, LONGEST);
            let old = self.known.get(&fingerprint).and_then(|known| known.window);
            // A suggestion outlives the failure of the next question.
            let window = window.or(old);
            is_new |= window != old;
            self.known.insert(fingerprint, Known { window, again });
        }
        // Certificates come and go; what is long overdue is of one that is gone.
        let now = Instant::now();
        self.known.retain(|_, it| now.saturating_duration_since(it.again) < LONGEST);
        is_new
    }
}

async fn ask_all(office: Arc<Office>, certificates: Vec<Arc<Certificate>>) -> Answer {
    let nothing = |certificates: &[Arc<Certificate>], pause| {
        certificates.iter().map(|it| (it.facts().name.clone(), None, pause)).collect()
    };
    let authority = Authority::new(office.settings.https.clone());
    let Some(account) = account::existing(&office, &authority).await else {
        return nothing(&certificates, AFTER_FAILURE);
    };
    let mut answers = Answer::new();
    for (index, certificate) in certificates.iter().enumerate() {
        let fingerprint = certificate.facts().name.clone();
        match ask_one(&account, certificate).await {
            Ok((window, pause)) => answers.push((fingerprint, Some(window), pause)),
            Err(Some(Error::Unsupported(_))) => {
                answers.extend::<Answer>(nothing(&certificates[index..], LONGEST));
                break;
            }
            Err(error) => {
                if let Some(error) = error {
                    tracing::debug!(resolver = %office.name, %error, "no suggestion when to renew");
                }
                answers.push((fingerprint, None, AFTER_FAILURE));
            }
        }
    }
    answers
}

async fn ask_one(
    account: &Account,
    certificate: &Certificate,
) -> Result<((i64, i64), Duration), Option<Error>> {
    let leaf = certificate.chain().first().ok_or(None)?;
    let identifier = CertificateIdentifier::try_from(leaf).map_err(|_| None)?;
    let (suggested, pause) = account.renewal_info(&identifier).await?;
    let window = suggested.suggested_window;
    Ok(((window.start.unix_timestamp(), window.end.unix_timestamp()), pause))
}
