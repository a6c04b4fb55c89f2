//! The log of the process: `tracing` events as lines of text or JSON, through a [`Sink`].

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::sink::{Sink, Target};

/// How the log is written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The least important messages that are written.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: Format,
    /// Where lines go.
    pub target: Target,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message, `name=value` …
    Plain,
    /// The same with colours.
    Coloured,
    /// A JSON object.
    Json,
}

/// The running log; what is still in memory is written when it is dropped.
#[derive(Debug)]
pub struct Log {
    sink: Arc<Sink>,
}

impl Log {
    /// Opens the target and takes the events of the process. A process has one log: where there is one already, that one
    /// stays.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let sink = Arc::new(Sink::open("log", settings.target)?);
        let lines = Lines { sink: Arc::clone(&sink), format: settings.format };
        // Libraries speak to their developers; what operators need of them comes as warnings.
        let others = settings.level.min(LevelFilter::WARN);
        let filter = Targets::new().with_default(others).with_target("portcullis", settings.level);
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
        Ok(Self { sink })
    }

    /// The sink, to reopen it and to count what it dropped.
    pub fn sink(&self) -> &Arc<Sink> {
        &self.sink
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.sink.flush(Duration::from_secs(1));
    }
}

/// Writes each event as a line.
struct Lines {
    sink: Arc<Sink>,
    format: Format,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = match self.format {
            Format::Json => fields.json(*event.metadata().level(), &time.to_string()),
            format => fields.text(*event.metadata().level(), &time.to_string(), format),
        };
        self.sink.add(|buffer| {
            buffer.extend_from_slice(line.as_bytes());
            buffer.push(b'\n');
        });
    }
}

/// The message and the fields of an event, in their order.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }

    fn text(&self, level: Level, time: &str, format: Format) -> String {
        let (name, colour) = match level {
            Level::ERROR => ("ERR", 31),
            Level::WARN => ("WRN", 33),
            Level::INFO => ("INF", 32),
            Level::DEBUG => ("DBG", 35),
            Level::TRACE => ("TRC", 34),
        };
        let mut line = match format {
            Format::Coloured => format!("\x1b[90m{time}\x1b[0m \x1b[{colour}m{name}\x1b[0m "),
            _ => format!("{time} {name} "),
        };
        push_printable(&mut line, &self.message);
        for (name, value) in &self.others {
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                value => write!(line, " {name}={value}"),
            };
        }
        line
    }

    fn json(self, level: Level, time: &str) -> String {
        let mut object = Map::new();
        let level = level.as_str().to_ascii_lowercase();
        object.insert("level".to_owned(), level.into());
        object.insert("time".to_owned(), time.into());
        object.insert("message".to_owned(), self.message.into());
        for (name, value) in self.others {
            object.insert(name.to_owned(), value);
        }
        Value::Object(object).to_string()
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

/// Nobody who can put text into a message can begin a line of their own or move the cursor.
fn push_printable(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' | '\t' | ' ' => line.push(' '),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                line.extend(c.escape_default());
            }
            c => line.push(c),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}
