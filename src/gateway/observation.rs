//! Install configuration to what operators see: the log, metrics, access log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::HeaderName;
use tracing::level_filters::LevelFilter;

use crate::install::{Install, Level, LogFormat, Prometheus, Protocol};
use crate::observe::access_log::AccessLog;
use crate::observe::log::{self, Log};
use crate::observe::sink::{Rotation, Target};
use crate::observe::{Observer, metrics};

/// Traefik: size at which the log is rotated unless the user says otherwise.
const MEGABYTES: u32 = 100;

/// Starts the log of the process.
pub(super) fn log(install: &Install) -> anyhow::Result<Log> {
    let settings = install.log.clone().unwrap_or_default();
    let colours = std::io::IsTerminal::is_terminal(&std::io::stdout())
        && !settings.no_color
        && settings.file_path.is_empty();
    let day = Duration::from_hours(24);
    let positive = |number: i64| u32::try_from(number).ok().filter(|number| *number > 0);
    let rotation = Rotation {
        size: Some(u64::from(positive(settings.max_size).unwrap_or(MEGABYTES)) << 20),
        backups: positive(settings.max_backups).map(|count| count as usize),
        age: positive(settings.max_age).map(|days| day * days),
    };
    let settings = log::Settings {
        level: level(settings.level),
        format: match settings.format {
            LogFormat::Json => log::Format::Json,
            LogFormat::Common if colours => log::Format::Coloured,
            LogFormat::Common => log::Format::Plain,
        },
        target: target(&settings.file_path, rotation),
    };
    let path = install.log.as_ref().map_or("", |log| log.file_path.as_str());
    Log::start(settings).with_context(|| format!("log.filePath: cannot write to `{path}`"))
}

fn target(path: &str, rotation: Rotation) -> Target {
    match path {
        "" => Target::Stdout,
        path => Target::File(PathBuf::from(path), rotation),
    }
}

fn level(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error | Level::Fatal | Level::Panic => LevelFilter::ERROR,
    }
}

/// The observer that the install configuration asks for.
pub(super) fn observer(install: &Install, log: &Log) -> anyhow::Result<Arc<Observer>> {
    let names = |protocol: Protocol| {
        let entry_points = install.entry_points.iter();
        let of_protocol = entry_points.filter(move |(_, it)| it.address.protocol() == protocol);
        of_protocol.map(|(name, _)| Arc::from(name.as_str()))
    };
    let mut observer = Observer::new(names(Protocol::Tcp))
        .with_sessions(names(Protocol::Udp))
        .with_log(Arc::clone(log.sink()));
    if let Some(settings) = &install.metrics
        && let Some(prometheus) = &settings.prometheus
    {
        observer = observer.counting(counting(prometheus, settings.add_internals)?);
    }
    if let Some(settings) = &install.access_log {
        let lines = AccessLog::open(settings).map_err(anyhow::Error::msg)?;
        observer = observer.writing(lines);
    }
    Ok(Arc::new(observer))
}

fn counting(settings: &Prometheus, internals: bool) -> anyhow::Result<metrics::Settings> {
    let mut buckets = settings.buckets.clone();
    buckets.retain(|bound| bound.is_finite());
    buckets.sort_by(f64::total_cmp);
    buckets.dedup();
    let header_labels: anyhow::Result<Vec<_>> = settings
        .header_labels
        .iter()
        .map(|(label, header)| {
            let name = HeaderName::try_from(header.as_str()).with_context(|| {
                format!("metrics.prometheus.headerLabels.{label}: `{header}` is no header name")
            });
            anyhow::ensure!(
                is_label(label),
                "metrics.prometheus.headerLabels: `{label}` is no label name; expected letters, digits and `_`"
            );
            Ok((label.clone(), name?))
        })
        .collect();
    Ok(metrics::Settings {
        buckets,
        entry_points: settings.add_entry_points_labels,
        routers: settings.add_routers_labels,
        services: settings.add_services_labels,
        internals,
        header_labels: header_labels?,
    })
}

/// Prometheus: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn is_label(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(word) && text.starts_with(|c: char| !c.is_ascii_digit())
}
