//! Showing the proofs that an order asks for, and taking them back.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Order};

use super::authority::Authority;
use super::challenges::{self, Guard};
use super::dns::{Dns, Record};
use super::failure::Failure;
use super::office::Office;
use super::order::Job;
use super::settings::Way;

/// Proofs in a shared storage lapse after this, should nobody take them back.
const LAPSE: Duration = Duration::from_mins(20);

/// A proof that can be seen.
#[derive(Debug)]
pub(super) enum Shown {
    /// By HTTP or TLS: here, and for other instances under a key in the storage.
    Here(#[allow(dead_code, reason = "taken back when dropped")] Guard, String),
    /// A record in a zone.
    Record(Arc<Dns>, Record),
}

/// Why a proof cannot be shown.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something on our side.
    Own(String),
    /// The protocol.
    Protocol(Error),
}

impl Trouble {
    /// What it means for the order.
    pub(super) fn failure(self, authority: &Authority) -> Failure {
        match self {
            Self::Own(reason) => Failure::new(reason),
            Self::Protocol(error) => Failure::of("proof", error, &authority.heard()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Protocol(error)
    }
}

/// Shows all proofs, waits until they can be seen and tells the authority. What was shown is in `shown`, also after a failure.
pub(super) async fn show(
    office: &Office,
    order: &mut Order,
    job: &Job,
    shown: &mut Vec<Shown>,
) -> Result<(), Trouble> {
    let ways = office.settings.proofs.ways(&job.names, job.attempt);
    let mut used = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(Trouble::Own(format!("{name}: the authority says {other:?}"))),
        }
        let offers = |way: &Way| authorization.challenges.iter().any(|it| it.r#type == kind(*way));
        let Some(way) = ways.iter().copied().find(offers) else {
            let message = format!("{name}: the authority offers none of the ways {ways:?}");
            return Err(Trouble::Own(message));
        };
        if let Some(challenge) = authorization.challenge(kind(way)) {
            shown.push(show_one(office, way, &challenge).await?);
            used.push(way);
        }
    }
    wait(office, &used, shown).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let offers = |way: &Way| authorization.challenges.iter().any(|it| it.r#type == kind(*way));
        let Some(way) = ways.iter().copied().find(offers) else { continue };
        if let Some(mut challenge) = authorization.challenge(kind(way)) {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

fn kind(way: Way) -> ChallengeType {
    match way {
        Way::Tls => ChallengeType::TlsAlpn01,
        Way::Http => ChallengeType::Http01,
        Way::Dns => ChallengeType::Dns01,
    }
}

async fn show_one(
    office: &Office,
    way: Way,
    challenge: &ChallengeHandle<'_>,
) -> Result<Shown, Trouble> {
    let identifier = challenge.identifier().identifier;
    let name = identifier.authorized(false).to_string();
    let proof = challenge.key_authorization();
    let (guard, key, text) = match way {
        Way::Dns => {
            let dns = office.settings.proofs.dns.clone();
            let dns = dns.ok_or_else(|| Trouble::Own(format!("{name}: needs DNS-01")))?;
            let record = dns.present(&name, &proof.dns_value()).await;
            let record = record.map_err(|error| Trouble::Own(format!("{name}: {error}")))?;
            return Ok(Shown::Record(dns, record));
        }
        Way::Http => {
            let guard = office.challenges.show_file(&challenge.token, proof.as_str());
            (guard, challenges::file_key(&challenge.token), proof.as_str().to_owned())
        }
        Way::Tls => {
            let asked = server_name(&name);
            let digest = proof.digest();
            let guard = office.challenges.show_certificate(&asked, digest.as_ref());
            let guard = guard.map_err(Trouble::Own)?;
            (guard, challenges::certificate_key(&asked), challenges::digested(digest.as_ref()))
        }
    };
    if let Err(error) = office.storage.announce(&key, &text, LAPSE).await {
        tracing::warn!(resolver = %office.name, "other instances cannot answer for `{name}`: {error}");
    }
    Ok(Shown::Here(guard, key))
}

/// What the authority asks for in its handshake: addresses as names (RFC 8738 section 6).
fn server_name(name: &str) -> String {
    match name.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(std::net::IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev();
            let nibbles = nibbles.map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            format!("{}ip6.arpa", nibbles.collect::<String>())
        }
        Err(_) => name.to_owned(),
    }
}

/// Waits as configured, and until every record can be seen.
async fn wait(office: &Office, used: &[Way], shown: &[Shown]) -> Result<(), Trouble> {
    let proofs = &office.settings.proofs;
    let delay = |way, delay: Option<Duration>| if used.contains(&way) { delay } else { None };
    let longest = delay(Way::Http, proofs.http).max(delay(Way::Tls, proofs.tls));
    if let Some(longest) = longest.filter(|longest| !longest.is_zero()) {
        tokio::time::sleep(longest).await;
    }
    let records: Vec<&Record> = shown
        .iter()
        .filter_map(|shown| match shown {
            Shown::Record(_, record) => Some(record),
            Shown::Here(..) => None,
        })
        .collect();
    match &proofs.dns {
        Some(dns) if !records.is_empty() => dns.visible(&records).await.map_err(Trouble::Own),
        _ => Ok(()),
    }
}

impl Shown {
    /// Takes the proof back everywhere. What cannot be taken back is harmless and said.
    pub(super) async fn take_back(self, office: &Office) {
        match self {
            Self::Here(guard, key) => {
                drop(guard);
                office.storage.withdraw(&key).await;
            }
            Self::Record(dns, record) => {
                if let Err(error) = dns.clean_up(&record).await {
                    let name = &record.name;
                    tracing::warn!(resolver = %office.name, "the record `{name}` stays: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_as_names() {
        assert_eq!(server_name("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        let six = server_name("2001:db8::1");
        assert!(six.starts_with("1.0.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{six}");
        assert_eq!(server_name("a.test"), "a.test");
    }
}
