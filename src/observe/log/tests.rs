use super::*;

fn written(format: Format, level: LevelFilter, say: impl FnOnce()) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let target = Target::File(path.clone(), crate::observe::sink::Rotation::default());
    let sink = Arc::new(Sink::open("test", target).unwrap());
    let lines = Lines { sink: Arc::clone(&sink), format };
    let filter = Targets::new().with_target("portcullis", level);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    tracing::subscriber::with_default(subscriber, say);
    sink.flush(Duration::from_secs(10));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_plain_line_has_time_level_message_and_fields() {
    let line = written(Format::Plain, LevelFilter::INFO, || {
        tracing::info!(router = "web@file", took = 5, why = "two words", "hello {}", "you");
        tracing::debug!("not seen");
    });
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok());
    assert_eq!(rest, "INF hello you router=web@file took=5 why=\"two words\"\n");
}

#[test]
fn a_message_cannot_begin_a_line_of_its_own() {
    let line = written(Format::Plain, LevelFilter::INFO, || tracing::warn!("a\nb\r\x1b[31m"));
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains("WRN a b\\r\\u{1b}[31m"));
}

#[test]
fn a_json_line_is_an_object() {
    let line = written(Format::Json, LevelFilter::INFO, || {
        tracing::error!(entry_point = %"web", "it is \"broken\"");
    });
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["level"], "error");
    assert_eq!(value["message"], "it is \"broken\"");
    assert_eq!(value["entry_point"], "web");
}
