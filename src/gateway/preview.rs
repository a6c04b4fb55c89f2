//! What the gateway would serve with a configuration, without starting it: for `check` and `explain`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use portcullis_config::problem::{Kind, Severity};
use portcullis_config::tree::Tree;
use portcullis_config::{Problem, Routing};
use portcullis_providers::{Kind as ProviderKind, Published, Weight, channel};

use super::context::context;
use super::internal;
use crate::install::Install;
use crate::observe::Observer;
use crate::reload::merge;
use crate::snapshot::compile as compiler;
use crate::snapshot::report::Report;
use crate::snapshot::{EntryPoint, Snapshot};

/// How long files may take to be read.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the gateway would serve.
pub(crate) struct Preview {
    /// The names of the entry points, in the order of the snapshot.
    pub(crate) entry_points: Vec<Arc<str>>,
    /// What a request would meet.
    pub(crate) snapshot: Snapshot,
    /// Keeps alive what the snapshot's parts run on.
    _runtime: tokio::runtime::Runtime,
}

/// Whether the entry points are those that the operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPoints {
    /// They are.
    Known,
    /// Nobody said; those that routers name are taken for granted.
    Assumed,
}

/// Compiles what `install` says and what stands in `files` (files or folders; none = those of the file provider).
/// Providers that would have to ask somebody are left out.
pub(crate) fn preview(
    install: &Install,
    known: EntryPoints,
    files: &[PathBuf],
) -> anyhow::Result<Preview> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let mut said =
        vec![(Arc::from("internal"), Arc::new(published(internal::routing(install), Vec::new())))];
    let trees = match files {
        [] => install.providers.file.iter().cloned().collect(),
        files => files.iter().map(|path| options(path)).collect::<Vec<Tree>>(),
    };
    for tree in trees {
        said.push((Arc::from("file"), Arc::new(runtime.block_on(read(&tree)))));
    }
    let mut install = install.clone();
    if known == EntryPoints::Assumed {
        assume_entry_points(&mut install, &said);
    }
    let install = &install;
    drop(inside);
    compile(runtime, install, &said)
}

/// The same for `routing` alone, whose names are full ones.
pub(crate) fn preview_of(install: &Install, routing: Routing) -> anyhow::Result<Preview> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = [(Arc::from("api"), Arc::new(published(routing, Vec::new())))];
    compile(runtime, install, &said)
}

fn compile(
    runtime: tokio::runtime::Runtime,
    install: &Install,
    said: &[(Arc<str>, Arc<Published>)],
) -> anyhow::Result<Preview> {
    let inside = runtime.enter();
    let observer = Observer::silent();
    let mut services = internal::Services::new(install, &observer);
    let context = context(install, &mut services).context("cannot prepare TLS")?;
    let defaults: Vec<_> = context.entry_points.iter().map(|(it, _)| it.clone()).collect();
    let mut configuration = merge::merge(said, &defaults);
    if let Some(extension) = &context.extension {
        extension.extend(&mut configuration);
    }
    let (mut snapshot, _) = compiler::compile(&configuration, None, &context);
    for (name, _) in install.providers.served().into_iter().filter(|(name, _)| *name != "file") {
        soften(&mut snapshot.report, name);
    }
    drop(inside);
    let entry_points = defaults.into_iter().map(|it| it.name).collect();
    Ok(Preview { entry_points, snapshot, _runtime: runtime })
}

impl Preview {
    /// The entry points with their names.
    pub(crate) fn entry_points(&self) -> impl Iterator<Item = (&str, &EntryPoint)> {
        self.entry_points.iter().map(|name| &**name).zip(&self.snapshot.entry_points)
    }
}

fn published(routing: Routing, problems: Vec<Problem>) -> Published {
    Published { routing, problems, weight: Weight::IfDifferent }
}

/// The options of a file provider that reads `path`.
fn options(path: &Path) -> Tree {
    let key = if path.is_dir() { "directory" } else { "filename" };
    Tree::map([(key.to_owned(), Tree::scalar(path.display().to_string()))])
}

/// What the file provider says first.
async fn read(options: &Tree) -> Published {
    let failed = |problems| published(Routing::default(), problems);
    let kind = ProviderKind::find("file").expect("the table of providers has the file provider");
    let mut provider = match (kind.build)(options) {
        Ok(provider) => provider,
        Err(problems) => return failed(problems),
    };
    let (publisher, mut receiver) = channel();
    let message = tokio::select! {
        published = receiver.changed() => return published,
        Err(failure) = provider.run(&publisher) => failure.to_string(),
        () = tokio::time::sleep(PATIENCE) => "files could not be read in time".to_owned(),
    };
    failed(vec![Problem::error(Kind::Provider, "file", message)])
}

fn assume_entry_points(install: &mut Install, said: &[(Arc<str>, Arc<Published>)]) {
    let routers = said.iter().flat_map(|(_, published)| published.routing.http.routers.values());
    for name in routers.flat_map(|router| &router.entry_points) {
        install.entry_points.entry(name.clone()).or_default();
    }
}

/// What refers to an object of a provider that was not asked may well be right.
fn soften(report: &mut Report, provider: &str) {
    for problem in &mut report.problems {
        if problem.severity == Severity::Error && problem.message.contains(&format!("@{provider}`"))
        {
            problem.severity = Severity::Warning;
            problem.message.push_str(&format!("; provider `{provider}` was not asked"));
        }
    }
}
