//! Configuration to snapshot: every object on its own, equal parts kept.
//!
//! An object that fails becomes a line of the report and takes down what depends on it, nothing else. A router with a valid
//! rule and a broken part keeps its place in the order and answers 404, so that no lower router catches its requests.

mod middlewares;
mod named;
mod routers;
mod services;
mod tcp;
mod transports;
mod udp;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use portcullis_config::problem::{About, Kind, Severity};
use portcullis_config::routing::http::ServersTransport;
use portcullis_config::routing::tcp::ServersTransport as TcpServersTransport;
use portcullis_config::{Name, Problem};
use portcullis_middlewares::chain::BoxedService;

use self::named::Named;
use super::Snapshot;
use super::configuration::{Configuration, EntryPointDefaults};
use super::extension::Extension;
use super::kept::Kept;
use super::report::{self, Item, Report, Status};
use crate::observe::series::EntryPointSeries;
use crate::tls::configurations::{Configurations, Conflicts, Prepared};
use crate::tls::spiffe::Holder;
use crate::upstream::service::Service;

/// What a compile needs besides the configuration; the same for the life of the process.
pub struct Context {
    /// The entry points, in the order of their index.
    pub entry_points: Vec<(EntryPointDefaults, Arc<EntryPointSeries>)>,
    /// Parts of the gateway that routers may name, such as `api@internal`.
    pub internal: HashMap<Name, Arc<dyn BoxedService>>,
    /// The UDP entry points, in the order of their index.
    pub udp_entry_points: Vec<Arc<str>>,
    /// The transport of services that name none.
    pub default_transport: ServersTransport,
    /// The same for TCP services.
    pub default_tcp_transport: TcpServersTransport,
    /// The TLS configurations of the process.
    pub tls: Configurations,
    /// The identities that an agent gives the process, where there is one.
    pub spiffe: Option<Arc<Holder>>,
    /// What happens to routers that want different TLS options for one host.
    pub conflicts: Conflicts,
    /// The mesh, if this process has a part in one.
    pub extension: Option<Arc<dyn Extension>>,
}

/// Compiles `configuration`. The TLS part waits for its publication beside the swap of the snapshot.
pub fn compile(
    configuration: &Configuration,
    previous: Option<&Snapshot>,
    context: &Context,
) -> (Snapshot, Prepared) {
    let prepared = context.tls.prepare(&configuration.tls, &broken_options(configuration));
    let empty = Kept::default();
    let old = previous.map_or(&empty, |snapshot| &snapshot.kept);
    let mut compiling = Compiling::new(configuration, context, old);
    for problem in prepared.problems() {
        compiling.list(problem.clone());
    }
    if context.extension.is_none() && !configuration.mesh.is_empty() {
        let message = "`mesh` has no effect: the install configuration has no section `mesh`";
        compiling.list(Problem::warning(Kind::Provider, "", message));
    }
    compiling.compile_services();
    compiling.check_middlewares();
    let entry_points = compiling.compile_routers(&prepared);
    let udp = compiling.compile_udp();
    let Compiling { mut report, kept, .. } = compiling;
    report.settle();
    let wanted = wanted::certificates(configuration);
    let uncovered = wanted::uncovered(configuration, prepared.store());
    (Snapshot { entry_points, udp, report, wanted, uncovered, kept }, prepared)
}

/// Options objects that did not make it into the configuration: their hosts are refused.
fn broken_options(configuration: &Configuration) -> Vec<&str> {
    let broken = configuration.problems.iter().filter(|problem| {
        problem.about.kind == Kind::TlsOptions && problem.severity == Severity::Error
    });
    broken.map(|problem| problem.about.name.as_str()).collect()
}

/// The state of one compile.
struct Compiling<'a> {
    configuration: &'a Configuration,
    context: &'a Context,
    old: &'a Kept,
    kept: Kept,
    report: Report,
    /// Objects with an error from before, by what they are about.
    broken: HashMap<&'a About, &'a Problem>,
    services: Named<Service>,
}

impl<'a> Compiling<'a> {
    fn new(configuration: &'a Configuration, context: &'a Context, old: &'a Kept) -> Self {
        let errors = |problem: &&Problem| problem.severity == Severity::Error;
        let problems = configuration.problems.iter();
        let mut report = Report {
            tcp: report::Tcp::new(&configuration.tcp),
            udp: report::Udp::new(&configuration.udp),
            problems: configuration.problems.clone(),
            ..Report::default()
        };
        report.routers = items(&configuration.routers);
        report.services = items(&configuration.services);
        report.middlewares = items(&configuration.middlewares);
        let mut compiling = Self {
            configuration,
            context,
            old,
            kept: Kept::default(),
            report,
            broken: problems.clone().filter(errors).map(|p| (&p.about, p)).collect(),
            services: Named::default(),
        };
        for problem in problems {
            compiling.note_problem(problem);
        }
        compiling
    }

    /// The error that an object came with, if it has one.
    fn broken(&self, kind: Kind, name: &str) -> Option<String> {
        let about = About { kind, name: name.to_owned() };
        self.broken.get(&about).map(|problem| problem.message.clone())
    }

    /// Shows a problem on the object that it is about.
    fn note_problem(&mut self, problem: &Problem) {
        let status = match problem.severity {
            Severity::Warning => Status::Warning,
            Severity::Error => Status::Disabled,
        };
        let name = problem.about.name.as_str();
        let text = match &problem.at {
            Some(at) => format!("{} ({at:?})", problem.message),
            None => problem.message.clone(),
        };
        match problem.about.kind {
            Kind::HttpRouter => note(self.report.routers.get_mut(name), status, text),
            Kind::HttpService => note(self.report.services.get_mut(name), status, text),
            Kind::HttpMiddleware => note(self.report.middlewares.get_mut(name), status, text),
            Kind::TcpRouter => note(self.report.tcp.routers.get_mut(name), status, text),
            Kind::TcpService => note(self.report.tcp.services.get_mut(name), status, text),
            Kind::TcpMiddleware => note(self.report.tcp.middlewares.get_mut(name), status, text),
            Kind::UdpRouter => note(self.report.udp.routers.get_mut(name), status, text),
            Kind::UdpService => note(self.report.udp.services.get_mut(name), status, text),
            _ => {}
        }
    }

    /// Adds a problem found by this compile.
    fn add(&mut self, problem: Problem) {
        self.note_problem(&problem);
        self.list(problem);
    }

    /// Adds a problem to the report, with the place of the object that it is about.
    fn list(&mut self, problem: Problem) {
        let at = problem.at.clone().or_else(|| self.configuration.place(&problem.about));
        let problem = problem.at(at);
        if !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }
}

/// The objects as configured, nothing said of them yet.
fn items<T>(configured: &IndexMap<Name, Arc<T>>) -> IndexMap<Name, Item<T>> {
    let item = |(name, config): (&Name, &Arc<T>)| (name.clone(), Item::new(Arc::clone(config)));
    configured.iter().map(item).collect()
}

fn note<T>(item: Option<&mut Item<T>>, status: Status, message: String) {
    if let Some(item) = item {
        item.note(status, message);
    }
}
