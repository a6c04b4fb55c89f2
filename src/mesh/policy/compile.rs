//! Settings to policies. A policy that cannot be read refuses whatever it is about.

use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::Problem;
use portcullis_config::problem::Kind;
use portcullis_config::routing::mesh::policy::{Policy, Target as Settings};

use super::condition::Calls;
use super::source::Source;
use super::{Action, Counts, Destination, Mode, Policies, Rule};
use crate::install::DefaultPolicy;
use crate::mesh::catalog::Catalog;

/// What policies are compiled with.
pub struct Ground<'a> {
    /// What holds where no policy is.
    pub default: DefaultPolicy,
    /// The trust domain of patterns that name none.
    pub trust_domain: &'a str,
    /// Says which ports requests can be seen on.
    pub catalog: &'a Catalog,
    /// Finds what counts for a policy; the empty name is the default's.
    pub counts: &'a dyn Fn(&str) -> Arc<Counts>,
}

/// The workloads that a policy is about; empty fields fit all.
#[derive(Debug)]
pub(super) struct Target(Settings);

impl Policies {
    /// Compiles policies by name; also gives what is wrong with them.
    pub fn compile(
        policies: &IndexMap<String, Policy>,
        ground: &Ground<'_>,
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let rules = policies.iter().map(|(name, policy)| {
            if let Some(missing) = missing(&policy.target, ground.catalog) {
                let message = format!("target: {missing}, so the policy is about nobody");
                problems.push(Problem::warning(Kind::MeshPolicy, name, message));
            }
            let mut wrong = |message: String| {
                problems.push(Problem::error(Kind::MeshPolicy, name, message));
            };
            rule(name, policy, ground, &mut wrong)
        });
        let rules = rules.collect();
        let default_counts = (ground.counts)("");
        (Self { default: ground.default, default_counts, rules }, problems)
    }
}

fn rule(name: &str, policy: &Policy, ground: &Ground<'_>, wrong: &mut dyn FnMut(String)) -> Rule {
    // What could not even be decoded was told where that was tried.
    let mut broken = policy.broken;
    let mut fails = |message: String| {
        broken = true;
        wrong(format!("{message}; whatever it is about is refused"));
    };
    let target = Target::compile(&policy.target).unwrap_or_else(|message| {
        fails(message);
        Target(Settings { all: true, ..Settings::default() })
    });
    let mode = match policy.mode.as_str() {
        "" | "enforce" => Mode::Enforce,
        "audit" => Mode::Audit,
        other => {
            fails(format!("mode: `{other}`; expected enforce or audit"));
            Mode::Enforce
        }
    };
    let mut action = match policy.action.as_str() {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        other => {
            fails(format!("action: `{other}`; expected allow or deny"));
            Action::Broken
        }
    };
    let mut from = Vec::new();
    for pattern in &policy.from {
        match Source::parse(pattern, ground.trust_domain) {
            Ok(source) => from.push(source),
            Err(error) => fails(format!("from: {error}")),
        }
    }
    let to = Calls::compile(&policy.to).unwrap_or_else(|error| {
        fails(error);
        Calls::every()
    });
    if let Some((workload, port)) = opaque(&target, &to, ground.catalog) {
        fails(format!(
            "to: asks for requests, but port {port} of workload `{workload}` carries none that can be seen; declare its protocol, or name other ports"
        ));
    }
    if broken {
        action = Action::Broken;
    }
    let mode = if broken { Mode::Enforce } else { mode };
    Rule { name: name.into(), target, mode, action, from, to, counts: (ground.counts)(name) }
}

/// What a target names and the catalog does not have.
fn missing(target: &Settings, catalog: &Catalog) -> Option<String> {
    let Settings { service, workload, .. } = target;
    let is = |full: &Arc<str>| **full == **workload || full.split('@').next() == Some(workload);
    if !service.is_empty() && !catalog.services.contains_key(&**service) {
        return Some(format!("there is no service `{service}`"));
    }
    let unknown = !workload.is_empty() && !catalog.workloads.keys().any(is);
    unknown.then(|| format!("there is no workload `{workload}`"))
}

/// A port on which a condition on requests could never be asked.
fn opaque(target: &Target, to: &Calls, catalog: &Catalog) -> Option<(Arc<str>, u16)> {
    catalog.workloads.values().find_map(|workload| {
        let destination = Destination {
            workload: &workload.name,
            namespace: &workload.namespace,
            account: &workload.account,
            services: &workload.services,
        };
        let mut ports = workload.ports.iter().filter(|port| !port.protocol.is_http());
        let port = ports.find(|port| to.looks_at_requests(port.port))?;
        target.fits(&destination).then(|| (Arc::clone(&workload.name), port.port))
    })
}

impl Target {
    fn compile(settings: &Settings) -> Result<Self, String> {
        let fields = Settings { all: false, ..settings.clone() };
        match (settings.all, fields == Settings::default()) {
            (true, false) => Err("target: `all` stands alone".to_owned()),
            (false, true) => {
                Err("target: is empty; expected service, workload, namespace, account or all"
                    .to_owned())
            }
            _ => Ok(Self(settings.clone())),
        }
    }

    pub(super) fn fits(&self, destination: &Destination<'_>) -> bool {
        let Settings { service, workload, namespace, account, all } = &self.0;
        let bare = destination.workload.split('@').next().unwrap_or_default();
        *all || (service.is_empty() || destination.services.iter().any(|it| **it == **service))
            && (workload.is_empty() || workload == destination.workload || workload == bare)
            && (namespace.is_empty() || namespace == destination.namespace)
            && (account.is_empty() || account == destination.account)
    }
}
