//! Any routing configuration compiles to a snapshot, with problems for what is wrong in it.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis::observe::series::EntryPointSeries;
use portcullis::reload::merge;
use portcullis::snapshot::compile::{Context, compile};
use portcullis::snapshot::configuration::EntryPointDefaults;
use portcullis::tls::configurations::{Configurations, Conflicts};
use portcullis_config::Routing;
use portcullis_config::routing::http::ServersTransport;
use portcullis_config::tree::text::{Format, parse};
use portcullis_providers::{Published, Weight};

/// Takes routing configuration as YAML.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A file is no business of a fuzzer.
    if text.contains("File") || text.contains("file") {
        return;
    }
    let Ok(tree) = parse(text, Format::Yaml, "fuzz") else { return };
    let (routing, problems) = Routing::from_tree(&tree);
    let published = Published { routing, problems, weight: Weight::IfDifferent };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs a few descriptors only");
    let _inside = runtime.enter();
    let web = EntryPointDefaults { name: "web".into(), ..EntryPointDefaults::default() };
    let configuration =
        merge::merge(&[("fuzz".into(), Arc::new(published))], std::slice::from_ref(&web));
    let context = Context {
        entry_points: vec![(web, Arc::new(EntryPointSeries::new("web")))],
        internal: HashMap::new(),
        udp_entry_points: vec!["dns".into()],
        default_transport: ServersTransport::default(),
        default_tcp_transport: Default::default(),
        tls: Configurations::new().expect("configurations need no more than random numbers"),
        conflicts: Conflicts::FallBack,
        spiffe: None,
        extension: None,
    };
    let (first, _) = compile(&configuration, None, &context);
    let (second, _) = compile(&configuration, Some(&first), &context);
    assert_eq!(first.report.problems, second.report.problems);
}
