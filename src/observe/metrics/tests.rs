use http::Method;

use super::prometheus::text;
use super::*;

fn metrics(header_labels: &[&str]) -> Metrics {
    let label = |name: &&str| ((*name).to_owned(), name.parse().unwrap());
    Metrics::new(Settings {
        buckets: vec![0.1, 1.2],
        entry_points: true,
        routers: true,
        services: true,
        internals: false,
        header_labels: header_labels.iter().map(label).collect(),
    })
}

fn sample<'a>(entry_point: &'a Arc<str>, service: &'a Arc<str>) -> Sample<'a> {
    Sample {
        entry_point,
        router: None,
        child: None,
        service: Some(service),
        key: Key::new(200, &Method::GET, Protocol::Http),
        took: Duration::from_millis(500),
        request_bytes: 3,
        response_bytes: 7,
        tls: None,
        retries: 0,
        labels: None,
    }
}

fn shown(metrics: &Metrics) -> String {
    text(&metrics.families())
}

#[test]
fn requests_are_counted_by_code_method_and_protocol() {
    let metrics = metrics(&[]);
    let (web, service): (Arc<str>, Arc<str>) = ("web".into(), "s@file".into());
    metrics.count(&sample(&web, &service));
    metrics.count(&sample(&web, &service));
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let key = Key::new(404, &purge, Protocol::Grpc);
    metrics.count(&Sample { key, tls: Some(("1.3", "C")), ..sample(&web, &service) });
    let text = shown(&metrics);
    let get = r#"code="200",entrypoint="web",method="GET",protocol="http""#;
    for line in [
        format!("traefik_entrypoint_requests_total{{{get}}} 2"),
        format!("traefik_entrypoint_request_duration_seconds_bucket{{{get},le=\"0.1\"}} 0"),
        format!("traefik_entrypoint_request_duration_seconds_bucket{{{get},le=\"1.2\"}} 2"),
        format!("traefik_entrypoint_request_duration_seconds_bucket{{{get},le=\"+Inf\"}} 2"),
        format!("traefik_entrypoint_request_duration_seconds_sum{{{get}}} 1"),
        format!("traefik_entrypoint_requests_bytes_total{{{get}}} 6"),
        format!("traefik_entrypoint_responses_bytes_total{{{get}}} 14"),
        r#"traefik_entrypoint_requests_total{code="404",entrypoint="web",method="EXTENSION_METHOD",protocol="grpc"} 1"#.to_owned(),
        r#"traefik_service_requests_tls_total{service="s@file",tls_cipher="C",tls_version="1.3"} 1"#.to_owned(),
        r#"traefik_service_requests_total{code="200",method="GET",protocol="http",service="s@file"} 2"#.to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn counts_go_on_under_a_new_name_of_the_same_text_and_those_of_removed_objects_disappear() {
    let metrics = metrics(&[]);
    let web: Arc<str> = "web".into();
    let (kept, gone): (Arc<str>, Arc<str>) = ("kept@file".into(), "gone@file".into());
    let (router, other): (Arc<str>, Arc<str>) = ("p@file -> r@file".into(), "x@file".into());
    metrics.count(&Sample { router: Some((&router, &kept)), ..sample(&web, &kept) });
    metrics.count(&Sample { router: Some((&other, &kept)), ..sample(&web, &gone) });
    let names = |name: &str| HashSet::from([Arc::from(name)]);
    metrics.reloaded(&names("r@file"), &names("kept@file"));
    let again: Arc<str> = Arc::from("kept@file");
    metrics.count(&sample(&web, &again));
    let text = shown(&metrics);
    let line = r#"traefik_service_requests_total{code="200",method="GET",protocol="http",service="kept@file"} 2"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains(r#"router="r@file",service="kept@file"} 1"#), "{text}");
    assert!(!text.contains("gone@file") && !text.contains("x@file"), "{text}");
    assert!(text.contains("traefik_config_reloads_total 1\n"), "{text}");
}

#[test]
fn retries_are_counted_for_the_service() {
    let metrics = metrics(&[]);
    let (web, service): (Arc<str>, Arc<str>) = ("web".into(), "s@file".into());
    metrics.count(&Sample { retries: 2, ..sample(&web, &service) });
    assert!(shown(&metrics).contains("traefik_service_retries_total{service=\"s@file\"} 2\n"));
}

#[test]
fn a_client_that_varies_labelled_headers_without_end_fills_a_bounded_table() {
    let metrics = metrics(&["x-a"]);
    let (web, service): (Arc<str>, Arc<str>) = ("web".into(), "s@file".into());
    for number in 0..1000 {
        let labels: Vec<Box<str>> = vec![number.to_string().into()];
        metrics.count(&Sample { labels: Some(&labels), ..sample(&web, &service) });
    }
    let text = shown(&metrics);
    let lines = text.lines().filter(|line| line.starts_with("traefik_service_requests_total{"));
    let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    let counts: Vec<u64> = counts.collect();
    assert!(counts.len() <= 201, "{}", counts.len());
    assert_eq!(counts.iter().sum::<u64>(), 1000);
    assert!(text.contains(r#"x-a="other"} "#), "{text}");
}

#[test]
fn what_a_request_speaks_is_told_by_its_headers() {
    let of = |name: &'static str, value: &'static str| {
        let name: HeaderName = name.parse().unwrap();
        Protocol::of(&HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))]))
    };
    assert_eq!(of("upgrade", "WebSocket"), Protocol::WebSocket);
    assert_eq!(of("accept", "text/html, text/event-stream"), Protocol::Sse);
    assert_eq!(of("content-type", "application/grpc+proto"), Protocol::Grpc);
    assert_eq!(of("content-type", "application/grpc-web"), Protocol::GrpcWeb);
    assert_eq!(of("content-type", "text/plain"), Protocol::Http);
}
