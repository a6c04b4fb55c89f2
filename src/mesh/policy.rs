//! Who may reach whom.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::routing::mesh::Policy;

use crate::install::DefaultPolicy;
use crate::tls::spiffe::Id;

/// Compiled policies. Without an evaluator for rules every workload is closed as soon as there is one.
#[derive(Debug)]
pub struct Policies {
    default: DefaultPolicy,
    closed: Option<Arc<str>>,
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
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Whether it passes.
    pub allowed: bool,
    /// The policy that decided; `None` = the default.
    pub rule: Option<Arc<str>>,
    /// Whether conditions on requests must be looked at before it is known.
    pub needs_http: bool,
}

impl Policies {
    /// Compiles policies by name; also gives what is wrong with them.
    pub fn compile(
        policies: &IndexMap<String, Policy>,
        default: DefaultPolicy,
    ) -> (Self, Vec<Problem>) {
        let closed = policies.keys().next().map(|name| Arc::from(name.as_str()));
        (Self { default, closed }, Vec::new())
    }

    /// Judges a call.
    pub fn decide(&self, asked: &Asked<'_>) -> Decision {
        let allowed = self.closed.is_none()
            && match self.default {
                DefaultPolicy::Deny => false,
                DefaultPolicy::AllowMesh => asked.source.is_some(),
                DefaultPolicy::Allow => true,
            };
        Decision { allowed, rule: self.closed.clone(), needs_http: false }
    }
}
