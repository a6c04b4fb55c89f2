//! Who may reach whom: policies, judged at the destination.
//!
//! A matching policy that denies refuses. Otherwise, if a policy that allows is about the workload, one of those must match.
//! Otherwise the default decides. Policies in audit mode decide nothing; what they would refuse is told.

mod compile;
mod condition;
mod glob;
mod path;
mod source;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;

use self::compile::Target;
use self::condition::{Calls, Fit};
use self::source::Source;
use crate::install::DefaultPolicy;
use crate::tls::spiffe::Id;

pub use self::compile::Ground;

/// Compiled policies.
#[derive(Debug)]
pub struct Policies {
    default: DefaultPolicy,
    default_counts: Arc<Counts>,
    rules: Vec<Rule>,
}

/// One compiled policy.
#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    target: Target,
    mode: Mode,
    action: Action,
    /// Empty = everybody.
    from: Vec<Source>,
    to: Calls,
    counts: Arc<Counts>,
}

/// Whether a policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Enforce,
    Audit,
}

/// What a policy does with calls that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Allow,
    Deny,
    /// It cannot be read: whatever it is about is refused.
    Broken,
}

/// How often a policy decided, over reloads.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls and requests that it let pass.
    pub allowed: AtomicU64,
    /// Those that it refused.
    pub denied: AtomicU64,
    /// Those that it would have refused in enforce mode.
    pub audited: AtomicU64,
}

/// A call that is to be judged.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Who calls; `None` = nobody knows.
    pub source: Option<&'a Id>,
    /// Whence.
    pub source_ip: IpAddr,
    /// Who is called.
    pub destination: &'a Destination<'a>,
    /// The port of the service.
    pub port: u16,
    /// The request, where there is one to be seen.
    pub http: Option<HttpAsked<'a>>,
}

/// Who is called.
#[derive(Clone, Debug)]
pub struct Destination<'a> {
    /// The full name of the workload.
    pub workload: &'a str,
    /// The namespace of its account.
    pub namespace: &'a str,
    /// Its account.
    pub account: &'a str,
    /// The services that it answers for.
    pub services: &'a [Arc<str>],
}

/// A request that is to be judged.
#[derive(Clone, Debug)]
pub struct HttpAsked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path in canonical form.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether it passes.
    pub allowed: bool,
    /// The policy that decided; `None` = the default.
    pub rule: Option<Arc<str>>,
    /// Whether it depends on requests, which were not there to be seen; it is not `allowed` then.
    pub needs_http: bool,
    /// A policy in audit mode that would have refused what passes.
    pub audit: Option<Arc<str>>,
    counts: Arc<Counts>,
    audit_counts: Option<Arc<Counts>>,
}

impl Decision {
    /// Counts the decision, once it is acted upon.
    pub fn note(&self) {
        let counter = if self.allowed { &self.counts.allowed } else { &self.counts.denied };
        counter.fetch_add(1, Relaxed);
        if let Some(counts) = &self.audit_counts {
            counts.audited.fetch_add(1, Relaxed);
        }
    }
}

impl Policies {
    /// Judges a call.
    pub fn decide(&self, asked: &Asked<'_>) -> Decision {
        let mut decision = self.enforced(asked);
        if decision.allowed
            && let Some(rule) = self.audited(asked)
        {
            decision.audit = Some(Arc::clone(&rule.name));
            decision.audit_counts = Some(Arc::clone(&rule.counts));
        }
        decision
    }

    /// Whether a policy, also one in audit mode, wants to see the requests of a call.
    pub fn want_requests(&self, asked: &Asked<'_>) -> bool {
        let about = |rule: &&Rule| rule.target.fits(asked.destination);
        self.rules.iter().filter(about).any(|rule| rule.fit(asked) == Fit::Maybe)
    }

    /// The policies that are about a workload.
    fn about<'a>(&'a self, asked: &'a Asked<'_>, mode: Mode) -> impl Iterator<Item = &'a Rule> {
        let about = move |rule: &&Rule| rule.mode == mode && rule.target.fits(asked.destination);
        self.rules.iter().filter(about)
    }

    fn enforced(&self, asked: &Asked<'_>) -> Decision {
        let mut unclear = None;
        for rule in self.about(asked, Mode::Enforce).filter(|rule| rule.action != Action::Allow) {
            match rule.fit(asked) {
                Fit::Yes => return rule.decision(false, false),
                Fit::Maybe => unclear = Some(rule),
                Fit::No => {}
            }
        }
        if let Some(rule) = unclear {
            return rule.decision(false, true);
        }
        let mut first = None;
        for rule in self.about(asked, Mode::Enforce).filter(|rule| rule.action == Action::Allow) {
            first.get_or_insert(rule);
            match rule.fit(asked) {
                Fit::Yes => return rule.decision(true, false),
                Fit::Maybe => unclear = Some(rule),
                Fit::No => {}
            }
        }
        match unclear.or(first) {
            Some(rule) => rule.decision(false, unclear.is_some()),
            None => self.by_default(asked),
        }
    }

    fn by_default(&self, asked: &Asked<'_>) -> Decision {
        let allowed = match self.default {
            DefaultPolicy::Deny => false,
            DefaultPolicy::AllowMesh => asked.source.is_some(),
            DefaultPolicy::Allow => true,
        };
        Decision {
            allowed,
            rule: None,
            needs_http: false,
            audit: None,
            counts: Arc::clone(&self.default_counts),
            audit_counts: None,
        }
    }

    /// A policy in audit mode that would refuse what passes. What it cannot see it does not judge.
    fn audited<'a>(&'a self, asked: &'a Asked<'_>) -> Option<&'a Rule> {
        let denies = |rule: &&Rule| rule.action != Action::Allow && rule.fit(asked) == Fit::Yes;
        let denying = self.about(asked, Mode::Audit).find(denies);
        denying.or_else(|| {
            let mut allowing =
                self.about(asked, Mode::Audit).filter(|rule| rule.action == Action::Allow);
            let first = allowing.next()?;
            let none = first.fit(asked) == Fit::No && allowing.all(|it| it.fit(asked) == Fit::No);
            none.then_some(first)
        })
    }
}

impl Rule {
    fn fit(&self, asked: &Asked<'_>) -> Fit {
        if self.action == Action::Broken {
            return Fit::Yes;
        }
        if !self.from.is_empty() && !self.from.iter().any(|source| source.fits(asked)) {
            return Fit::No;
        }
        self.to.fit(asked, self.action == Action::Deny)
    }

    fn decision(&self, allowed: bool, needs_http: bool) -> Decision {
        Decision {
            allowed,
            rule: Some(Arc::clone(&self.name)),
            needs_http,
            audit: None,
            counts: Arc::clone(&self.counts),
            audit_counts: None,
        }
    }
}

#[cfg(test)]
mod tests;
