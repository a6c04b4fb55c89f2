//! DNS-01: records that prove control of a zone (RFC 8555 section 8.4), and who hosts them.
//!
//! A provider is one file and one line in [`PROVIDERS`]. Names of providers and of their variables are those that Traefik
//! documents, so that an environment can be taken over as it is.

mod api;
mod cloudflare;
mod digitalocean;
mod exec;
mod hetzner;
mod httpreq;
mod look_up;
mod rfc2136;
mod route53;
#[cfg(test)]
mod testing;

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use self::api::Api;
use self::look_up::LookUp;
use super::environment::Environment;
use crate::install::DnsChallenge;

/// Who can host records, by the name that users write.
const PROVIDERS: &[(&str, Build)] = &[
    ("cloudflare", cloudflare::build),
    ("digitalocean", digitalocean::build),
    ("exec", exec::build),
    ("hetzner", hetzner::build),
    ("httpreq", httpreq::build),
    ("rfc2136", rfc2136::build),
    ("route53", route53::build),
];

/// Makes a provider from the environment; the message names the variable that is missing or wrong, never its value.
type Build = fn(&Environment, &Tools) -> Result<Box<dyn Provider>, String>;

/// What providers may use.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    api: Api,
    look_up: LookUp,
}

/// Puts records into zones and takes them out again. Both may be repeated.
trait Provider: Send + Sync {
    /// Adds a TXT record. Others of the same name stay.
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>>;

    /// Removes exactly this record.
    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>>;
}

/// A TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The name that is proven, without wildcard.
    pub(super) domain: String,
    /// Where the record stands, with a dot at its end; behind a CNAME where there is one.
    pub(super) name: String,
    /// Its text.
    pub(super) value: String,
}

/// How control is proven by DNS.
pub(super) struct Dns {
    provider: Box<dyn Provider>,
    look_up: LookUp,
    visibility: Visibility,
}

/// When a record counts as visible.
#[derive(Clone, Copy, Debug)]
struct Visibility {
    delay: Duration,
    checks: Checks,
    /// All recursive resolvers must see it as well.
    recursive: bool,
    patience: Duration,
    interval: Duration,
}

/// Who is asked whether a record is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checks {
    /// Nobody.
    Off,
    /// The resolvers alone.
    Resolvers,
    /// Each name server of the zone.
    Servers,
}

impl Dns {
    /// Checks the settings and reads the provider's variables. The remarks are for the operator.
    pub(super) fn build(settings: &DnsChallenge) -> Result<(Self, Vec<String>), String> {
        Self::with(settings, &Environment::of_process())
    }

    fn with(
        settings: &DnsChallenge,
        environment: &Environment,
    ) -> Result<(Self, Vec<String>), String> {
        let wanted = settings.provider.to_ascii_lowercase();
        let known = PROVIDERS.iter().find(|(name, _)| *name == wanted);
        let (name, build) = known.ok_or_else(|| {
            let names: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            format!("`dnsChallenge.provider`: `{wanted}` is not served; expected one of {names}")
        })?;
        let look_up = LookUp::new(&settings.resolvers)
            .map_err(|error| format!("`dnsChallenge.resolvers`: {error}"))?;
        let tools = Tools { api: Api::new()?, look_up: look_up.clone() };
        let provider = build(environment, &tools)
            .map_err(|error| format!("`dnsChallenge.provider`: `{name}`: {error}"))?;
        let (visibility, remarks) = visibility(settings, name, environment)?;
        Ok((Self { provider, look_up, visibility }, remarks))
    }

    /// Puts the record for `domain` in place.
    pub(super) async fn present(&self, domain: &str, value: &str) -> Result<Record, String> {
        let asked = format!("_acme-challenge.{}.", domain.trim_end_matches('.'));
        let name = self.look_up.behind_aliases(&asked).await;
        let record = Record { domain: domain.to_owned(), name, value: value.to_owned() };
        self.provider.present(&record).await?;
        Ok(record)
    }

    /// Takes a record away.
    pub(super) async fn clean_up(&self, record: &Record) -> Result<(), String> {
        self.provider.clean_up(record).await
    }

    /// Waits until all records can be seen, as far as that is to be checked.
    pub(super) async fn visible(&self, records: &[&Record]) -> Result<(), String> {
        tokio::time::sleep(self.visibility.delay).await;
        if self.visibility.checks == Checks::Off {
            return Ok(());
        }
        let deadline = Instant::now() + self.visibility.patience;
        for record in records {
            loop {
                let Err(reason) = self.is_visible(record).await else { break };
                if Instant::now() >= deadline {
                    let name = &record.name;
                    let patience = self.visibility.patience;
                    return Err(format!("`{name}` is not visible after {patience:?}: {reason}"));
                }
                tokio::time::sleep(self.visibility.interval).await;
            }
        }
        Ok(())
    }

    async fn is_visible(&self, record: &Record) -> Result<(), String> {
        if self.visibility.checks == Checks::Servers {
            self.look_up.servers_show(&record.name, &record.value).await?;
        }
        if self.visibility.recursive || self.visibility.checks == Checks::Resolvers {
            self.look_up.resolvers_show(&record.name, &record.value).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("visibility", &self.visibility).finish_non_exhaustive()
    }
}

fn visibility(
    settings: &DnsChallenge,
    provider: &str,
    environment: &Environment,
) -> Result<(Visibility, Vec<String>), String> {
    let mut remarks = Vec::new();
    let new = settings.propagation.clone().unwrap_or_default();
    if settings.disable_propagation_check {
        remarks.push(
            "`disablePropagationCheck` is deprecated; write `propagation.disableChecks`".to_owned(),
        );
    }
    if settings.delay_before_check.positive().is_some() {
        remarks.push(
            "`delayBeforeCheck` is deprecated; write `propagation.delayBeforeChecks`".to_owned(),
        );
    }
    let delay = new.delay_before_checks.positive().or(settings.delay_before_check.positive());
    let checks = match () {
        () if new.disable_checks || settings.disable_propagation_check => Checks::Off,
        () if new.disable_ans_checks => Checks::Resolvers,
        () => Checks::Servers,
    };
    let prefix = provider.to_ascii_uppercase();
    let patience = environment.seconds(&format!("{prefix}_PROPAGATION_TIMEOUT"))?;
    let interval = environment.seconds(&format!("{prefix}_POLLING_INTERVAL"))?;
    let visibility = Visibility {
        delay: delay.unwrap_or_default(),
        checks,
        recursive: new.require_all_rns,
        patience: patience.unwrap_or(Duration::from_mins(2)),
        interval: interval.unwrap_or(Duration::from_secs(2)),
    };
    Ok((visibility, remarks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(provider: &str) -> DnsChallenge {
        DnsChallenge { provider: provider.into(), ..DnsChallenge::default() }
    }

    #[test]
    fn an_unknown_provider_is_told_which_there_are() {
        let error = Dns::with(&settings("nobody"), &Environment::of(&[])).unwrap_err();
        assert!(
            error.contains("`nobody`") && error.contains("cloudflare, digitalocean"),
            "{error}"
        );
    }

    #[test]
    fn every_provider_names_the_variable_that_it_misses() {
        for (name, _) in PROVIDERS {
            let error = Dns::with(&settings(name), &Environment::of(&[])).unwrap_err();
            let prefix =
                if *name == "route53" { "AWS".to_owned() } else { name.to_ascii_uppercase() };
            assert!(error.contains(&prefix.replace("DIGITALOCEAN", "DO")), "{error}");
        }
    }

    #[test]
    fn patience_is_read_from_the_environment() {
        let environment = Environment::of(&[
            ("EXEC_PATH", "/bin/true"),
            ("EXEC_PROPAGATION_TIMEOUT", "7"),
            ("EXEC_POLLING_INTERVAL", "1"),
        ]);
        let (dns, _) = Dns::with(&settings("exec"), &environment).unwrap();
        assert_eq!(dns.visibility.patience, Duration::from_secs(7));
        assert_eq!(dns.visibility.interval, Duration::from_secs(1));
        let environment =
            Environment::of(&[("EXEC_PATH", "/bin/true"), ("EXEC_PROPAGATION_TIMEOUT", "soon")]);
        let error = Dns::with(&settings("exec"), &environment).unwrap_err();
        assert!(error.contains("EXEC_PROPAGATION_TIMEOUT"), "{error}");
    }

    #[test]
    fn deprecated_names_still_count() {
        let environment = Environment::of(&[("EXEC_PATH", "/bin/true")]);
        let settings = DnsChallenge { disable_propagation_check: true, ..settings("exec") };
        let (dns, remarks) = Dns::with(&settings, &environment).unwrap();
        assert_eq!(dns.visibility.checks, Checks::Off);
        assert_eq!(remarks.len(), 1);
    }
}
