//! `Store`: the certificates by name, immutable and swapped as a whole.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::canonical;
use super::certificate::{Certificate, Facts};
use crate::net::live::Live;

/// The certificates by name, with the one for everybody else.
pub struct Store {
    names: HashMap<Box<str>, Vec<Arc<Certificate>>, ahash::RandomState>,
    /// How many left-most labels a wildcard of ours replaces at most; look-ups stop there.
    stars: usize,
    fallback: Arc<Certificate>,
    /// What the user configured, in the order of the configuration, then what resolvers obtained.
    shown: Vec<Shown>,
}

/// A certificate and where it is from.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) certificate: Arc<Certificate>,
    /// The resolver that obtained it; `None` = the user configured it.
    pub(super) resolver: Option<Arc<str>>,
}

impl Store {
    /// Indexes `certificates`; `fallback` is offered where no name fits.
    pub(super) fn new(certificates: Vec<Shown>, fallback: Arc<Certificate>) -> Self {
        let now = jiff::Timestamp::now().as_second();
        let mut ranked: HashMap<Box<str>, Vec<&Shown>, ahash::RandomState> = HashMap::default();
        let mut stars = 0;
        for shown in &certificates {
            for name in shown.certificate.names() {
                stars = stars.max(name.split('.').take_while(|label| *label == "*").count());
                ranked.entry(name.as_str().into()).or_default().push(shown);
            }
        }
        let best_first = |mut candidates: Vec<&Shown>| {
            candidates.sort_by(|a, b| a.rank(now).cmp(&b.rank(now)));
            let mut best: Vec<_> =
                candidates.iter().map(|shown| Arc::clone(&shown.certificate)).collect();
            best.dedup_by(|a, b| a.facts().name == b.facts().name);
            best
        };
        let names = ranked.into_iter().map(|(name, found)| (name, best_first(found))).collect();
        Self { names, stars, fallback, shown: certificates }
    }

    /// Adds the user's default certificate to what the API shows.
    pub(super) fn with_configured_default(mut self) -> Self {
        let name = &self.fallback.facts().name;
        if !self.shown.iter().any(|known| known.certificate.facts().name == *name) {
            let certificate = Arc::clone(&self.fallback);
            self.shown.push(Shown { certificate, resolver: None });
        }
        self
    }

    /// Whether a certificate for `name` (canonical) is valid at `now`, in seconds since 1970.
    pub(super) fn covers(&self, name: &str, now: i64) -> bool {
        self.candidates(name).any(|certificate| certificate.facts().is_valid(now))
    }

    /// Whether a client that asks for `host` (canonical) gets a certificate that is for it.
    pub fn fits(&self, host: &str) -> bool {
        self.knows(host) || self.fallback.is_for(host)
    }

    /// Whether a certificate is for `name`, a canonical DNS name or the text of an address.
    pub fn knows(&self, name: &str) -> bool {
        self.candidates(name).next().is_some()
    }

    /// The best certificate for `name` (canonical): an exact name before wildcards, and among equals the first whose
    /// signature the client understands.
    pub(super) fn find(
        &self,
        name: &str,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<Certificate>> {
        let mut candidates = self.candidates(name);
        let first = candidates.next()?;
        let understood = |certificate: &&Arc<Certificate>| {
            certificate.key().key.choose_scheme(schemes).is_some()
        };
        match candidates.next() {
            None => Some(first),
            Some(second) => {
                let all = [first, second].into_iter().chain(candidates);
                Some(all.into_iter().find(understood).unwrap_or(first))
            }
        }
    }

    /// All certificates for `name`, best first.
    fn candidates<'s, 'n>(
        &'s self,
        name: &'n str,
    ) -> impl Iterator<Item = &'s Arc<Certificate>> + use<'s, 'n> {
        let exact = self.names.get(name).into_iter().flatten();
        let wild = (1..=self.stars).filter_map(move |stars| self.wildcard(name, stars)).flatten();
        exact.chain(wild)
    }

    /// The certificates for `name` with its `stars` left-most labels replaced: `*.x`, `*.*.x`.
    fn wildcard(&self, name: &str, stars: usize) -> Option<&Vec<Arc<Certificate>>> {
        let mut rest = name;
        for _ in 1..stars {
            rest = rest.split_once('.')?.1;
        }
        let rest = rest.find('.').map_or("", |dot| &rest[dot..]);
        let mut pattern = smallvec::SmallVec::<[u8; 256]>::new();
        for star in 0..stars {
            pattern.extend_from_slice(if star == 0 { b"*" } else { b".*" });
        }
        pattern.extend_from_slice(rest.as_bytes());
        self.names.get(std::str::from_utf8(&pattern).ok()?)
    }

    /// The candidates for an address of ours, for clients that name none.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<FixedChoice> {
        let candidates = self.names.get(address.to_canonical().to_string().as_str())?;
        Some(FixedChoice(candidates.clone()))
    }

    /// The certificate for everybody else.
    pub(super) fn fallback(&self) -> &Arc<Certificate> {
        &self.fallback
    }

    /// Those of [`Store::facts`] themselves.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.shown.iter().map(|shown| &shown.certificate)
    }

    /// The configured certificates in the order of the configuration, then those that resolvers obtained, without the
    /// generated one.
    pub fn facts(&self) -> impl Iterator<Item = &Facts> {
        self.shown.iter().map(|shown| shown.certificate.facts())
    }

    /// As [`Store::facts`], each with the names it is good for and the resolver that obtained it, if one did.
    pub fn sources(&self) -> impl Iterator<Item = (&Facts, &[String], Option<&str>)> {
        self.shown.iter().map(|Shown { certificate, resolver }| {
            (certificate.facts(), certificate.names(), resolver.as_deref())
        })
    }
}

impl Shown {
    /// Smaller is better: valid ones before expired ones, what the user configured before what was obtained, then the
    /// longest validity; the fingerprint makes the order the same on every start.
    fn rank(&self, now: i64) -> impl Ord {
        let facts = self.certificate.facts();
        let expired = facts.expires <= now;
        (expired, self.resolver.is_some(), Reverse(facts.expires), facts.name.clone())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("names", &self.names.len()).finish_non_exhaustive()
    }
}

/// What to do for a name without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Offer the default certificate.
    Default,
    /// Refuse. Traefik: `sniStrict`.
    Strict,
}

/// Offers certificates out of the newest store, so that a new set of certificates leaves the rustls
/// configuration, and with it the session tickets, alone.
#[derive(Debug)]
pub(super) struct NewestChoice {
    pub(super) store: Arc<Live<Store>>,
    pub(super) strictness: Strictness,
}

impl ResolvesServerCert for NewestChoice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.store.with(|store| {
            let named = hello
                .server_name()
                .and_then(|name| store.find(&canonical(name), hello.signature_schemes()));
            match (named, self.strictness) {
                (Some(certificate), _) => Some(certificate.offer()),
                (None, Strictness::Default) => Some(store.fallback().offer()),
                (None, Strictness::Strict) => None,
            }
        })
    }
}

/// Offers the best of a few certificates whatever name was asked for.
#[derive(Debug)]
pub(super) struct FixedChoice(Vec<Arc<Certificate>>);

impl ResolvesServerCert for FixedChoice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let understood = |certificate: &&Arc<Certificate>| {
            certificate.key().key.choose_scheme(schemes).is_some()
        };
        let best = self.0.iter().find(understood).or(self.0.first())?;
        Some(best.offer())
    }
}
