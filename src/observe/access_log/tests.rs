use http::{Method, StatusCode, Version};
use portcullis_middlewares::message::{Body, Connection, Parts, Request, Response, Target, Tls};
use serde_json::Value;

use super::*;
use crate::install::Filters;
use crate::observe::Observer;
use crate::observe::series::EntryPointSeries;

struct Bench {
    directory: tempfile::TempDir,
    observer: Arc<Observer>,
}

fn bench(mut settings: install::AccessLog) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    settings.file_path = directory.path().join("log").to_string_lossy().into_owned();
    let lines = AccessLog::open(&settings).unwrap();
    Bench { directory, observer: Arc::new(Observer::new([]).writing(lines)) }
}

fn settings(format: Format) -> install::AccessLog {
    install::AccessLog { format, ..install::AccessLog::default() }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request {
    let header = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), http::HeaderValue::from_static(value))
    };
    Request::new(Parts {
        method: Method::GET,
        target: Target::canonical("/p?a=1&b".parse().unwrap()),
        version: Version::HTTP_2,
        headers: headers.iter().map(header).collect(),
        extensions: Default::default(),
        body: Body::Empty,
        connection: Arc::new(Connection {
            peer: "10.0.0.9:4321".parse().unwrap(),
            local: "10.0.0.1:443".parse().unwrap(),
            entry_point: "web".into(),
            tls: Some(Tls {
                server_name: None,
                version: "1.3",
                cipher: "TLS_AES_128_GCM_SHA256",
                client_certificates: Vec::new(),
                options: "default".into(),
            }),
            forwarded_for: None,
        }),
    })
}

fn router(service: &str) -> Arc<RouterSeries> {
    Arc::new(RouterSeries {
        name: "r@file".into(),
        service: service.into(),
        access_log: Switch::On,
        metrics: Switch::On,
    })
}

impl Bench {
    fn serve(&self, request: &Request, service: &str, note: impl FnOnce(&mut Facts)) {
        let series = Arc::new(EntryPointSeries::new("web"));
        let mut record = Record::begin(request, &series, &self.observer);
        record.router = Some(router(service));
        record.exchange.note(note);
        let mut response = Response::new(StatusCode::NOT_FOUND, Body::Empty);
        response.headers.insert("x-b", "\"é\"".parse().unwrap());
        record.answer(&response);
        record.response_bytes = 19;
    }

    fn text(&self) -> String {
        self.observer.flush();
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn lines(&self) -> usize {
        self.text().lines().count()
    }
}

fn answered(facts: &mut Facts) {
    facts.user = Some("u\nx".into());
    facts.service = Some("s@file".into());
    facts.server = Some("http://10.1.1.1:80/base".into());
    facts.retries = 1;
    facts.origin_status = Some(404);
    facts.origin_duration = Some(Duration::from_nanos(5));
}

#[test]
fn a_common_line_ends_with_router_server_and_duration() {
    let mut settings = settings(Format::Common);
    settings.fields.headers.names.insert("Referer".to_owned(), Mode::Keep);
    settings.fields.headers.names.insert("user-agent".to_owned(), Mode::Redact);
    let bench = bench(settings);
    let headers = [("x-forwarded-for", "1.2.3.4, 5.6.7.8"), ("referer", "a\"b")];
    bench.serve(&request(&headers), "s@file", answered);
    let text = bench.text();
    let (start, rest) = text.split_once(" [").unwrap();
    assert_eq!(start, "1.2.3.4, 5.6.7.8 - u\\x0ax");
    let (time, rest) = rest.split_once("] ").unwrap();
    assert!(jiff::Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", time).is_ok(), "{time}");
    assert_eq!(
        rest,
        "\"GET /p?a=1&b HTTP/2.0\" 404 19 \"a\\\"b\" \"REDACTED\" 1 \"r@file\" \"http://10.1.1.1:80/base\" 0ms\n"
    );
}

#[test]
fn what_is_unknown_or_dropped_is_a_dash_and_the_generic_line_is_shorter() {
    let mut settings = settings(Format::GenericClf);
    settings.fields.names.insert("ClientHost".to_owned(), Mode::Drop);
    let bench = bench(settings);
    bench.serve(&request(&[("user-agent", "x")]), "s@file", |_| ());
    let text = bench.text();
    assert!(text.starts_with("- - - ["), "{text}");
    assert!(text.ends_with("404 19 \"-\" \"-\"\n"), "{text}");
}

#[test]
fn a_json_line_has_the_fields_of_traefik() {
    let mut settings = settings(Format::Json);
    settings.fields.names.insert("ClientPort".to_owned(), Mode::Redact);
    settings.fields.names.insert("StartLocal".to_owned(), Mode::Drop);
    settings.fields.headers.default_mode = Mode::Keep;
    settings.fields.headers.names.insert("Authorization".to_owned(), Mode::Redact);
    settings.fields.query_parameters.default_mode = Mode::Redact;
    let bench = bench(settings);
    let headers = [("host", "a.test:444"), ("authorization", "Basic x"), ("x-real-ip", "1")];
    bench.serve(&request(&headers), "s@file", answered);
    let text = bench.text();
    let value: Value = serde_json::from_str(&text).unwrap();
    for (field, expected) in [
        ("ClientAddr", "10.0.0.9:4321"),
        ("ClientHost", "10.0.0.9"),
        ("ClientPort", "REDACTED"),
        ("ClientUsername", "u\nx"),
        ("RequestAddr", "a.test:444"),
        ("RequestHost", "a.test"),
        ("RequestPort", "444"),
        ("RequestPath", "/p?a=REDACTED&b=REDACTED"),
        ("RequestScheme", "https"),
        ("TLSVersion", "1.3"),
        ("RouterName", "r@file"),
        ("ServiceAddr", "10.1.1.1:80"),
        ("ServiceName", "s@file"),
        ("entryPointName", "web"),
        ("request_Authorization", "REDACTED"),
        ("request_X-Real-Ip", "1"),
        ("downstream_X-B", "\"é\""),
        ("level", "info"),
    ] {
        assert_eq!(value[field], expected, "{field}: {text}");
    }
    assert_eq!((&value["DownstreamStatus"], &value["OriginDuration"]), (&404.into(), &5.into()));
    assert!(value.get("StartLocal").is_none() && value.get("request_Host").is_none());
    assert!(value["StartUTC"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn filters_are_alternatives() {
    let mut settings = settings(Format::Common);
    settings.filters = Filters {
        status_codes: vec!["200".to_owned(), "500-599".to_owned()],
        retry_attempts: true,
        ..Filters::default()
    };
    let bench = bench(settings);
    bench.serve(&request(&[]), "s@file", |_| ());
    assert_eq!(bench.lines(), 0);
    bench.serve(&request(&[]), "s@file", answered);
    assert_eq!(bench.lines(), 1);
    let filters = Filters { status_codes: vec!["4xx".to_owned()], ..Filters::default() };
    let error = Filter::new(&filters).unwrap_err();
    assert!(error.contains("statusCodes") && error.contains("4xx"), "{error}");
}

#[test]
fn internal_services_are_left_out_unless_wanted() {
    let bench_of =
        |add_internals| bench(install::AccessLog { add_internals, ..settings(Format::Common) });
    for (wanted, lines) in [(false, 0), (true, 1)] {
        let bench = bench_of(wanted);
        bench.serve(&request(&[]), "api@internal", |_| ());
        assert_eq!(bench.lines(), lines);
    }
}

#[test]
fn no_text_ends_a_line_or_moves_a_cursor() {
    let mut buffer = Vec::new();
    line::escape(&mut buffer, "a\"\\\n\u{7f}\u{85}\u{9b}\u{2028}ü€");
    assert_eq!(String::from_utf8(buffer).unwrap(), r#"a\"\\\x0a\x7f\u0085\u009b\u2028ü€"#);
}
