//! Tests of single matchers.

use std::net::IpAddr;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_config::rule::parse::parse;
use portcullis_config::rule::{Protocol, Rule};

use super::{Patterns, Subject, Test};

/// A request by its parts.
#[derive(Clone, Debug)]
pub(in crate::http) struct Sample {
    pub(in crate::http) host: String,
    pub(in crate::http) path: String,
    pub(in crate::http) method: String,
    pub(in crate::http) headers: HeaderMap,
    pub(in crate::http) query: String,
    pub(in crate::http) client_ip: IpAddr,
}

impl Sample {
    pub(in crate::http) fn new(host: &str, path: &str) -> Self {
        Self {
            host: host.to_owned(),
            path: path.to_owned(),
            method: "GET".to_owned(),
            headers: HeaderMap::new(),
            query: String::new(),
            client_ip: [10, 1, 2, 3].into(),
        }
    }

    pub(in crate::http) fn field(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    fn query(query: &str) -> Self {
        Self { query: query.to_owned(), ..Self::new("a", "/") }
    }
}

impl Subject for Sample {
    fn host(&self) -> &str {
        &self.host
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn method(&self) -> &str {
        &self.method
    }
    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
    fn query(&self) -> &str {
        &self.query
    }
    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }
}

fn matches(call: &str, sample: &Sample) -> bool {
    let Rule::Call(call) = parse(call, Protocol::Http).unwrap() else { panic!("not a call") };
    Test::compile(&call, &mut Patterns::default()).unwrap().matches(sample)
}

fn host(call: &str, host: &str) -> bool {
    matches(call, &Sample::new(host, "/"))
}

fn path(call: &str, path: &str) -> bool {
    matches(call, &Sample::new("a", path))
}

fn query(call: &str, query: &str) -> bool {
    matches(call, &Sample::query(query))
}

#[test]
fn hosts_are_compared_whole_and_without_case_or_final_dot() {
    assert!(host("Host(`A.com.`)", "a.com"));
    assert!(!host("Host(`a.com`)", "b.a.com"));
    assert!(host("Host(`[::1]`)", "::1"));
    assert!(host("Host(`*`)", ""));
}

#[test]
fn wildcard_takes_exactly_one_label() {
    assert!(host("Host(`*.B.com`)", "x.b.com"));
    assert!(!host("Host(`*.b.com`)", "b.com"));
    assert!(!host("Host(`*.b.com`)", "y.x.b.com"));
    assert!(!host("Host(`*.b.com`)", "xb.com"));
    assert!(!host("Host(`*.b.com`)", "localhost"));
}

#[test]
fn bytes_that_are_no_text_match_like_the_replacement_character() {
    let mut sample = Sample::query("q=%ff&r=a%c3%28");
    let value = HeaderValue::from_bytes(b"a\xff\xfe").unwrap();
    sample.headers.append(HeaderName::from_static("x-a"), value);
    for rule in [
        "HeaderRegexp(`x-a`, `^.+$`)",
        "HeaderRegexp(`x-a`, `^a..$`)",
        "HeaderRegexp(`x-a`, `^a\\x{FFFD}+$`)",
        "HeaderRegexp(`x-a`, `^[^b]*$`)",
        "QueryRegexp(`q`, `^.$`)",
        "QueryRegexp(`r`, `^a.\\($`)",
    ] {
        assert!(matches(rule, &sample), "{rule}");
    }
    assert!(!matches("HeaderRegexp(`x-a`, `^a.$`)", &sample));
}

#[test]
fn host_regex_sees_the_lower_case_host() {
    assert!(host("HostRegexp(`^a\\d+\\.com$`)", "a12.com"));
    assert!(!host("HostRegexp(`A`)", "a.com"));
}

#[test]
fn paths_match_whole_by_prefix_or_by_regex() {
    assert!(path("Path(`/a`)", "/a"));
    assert!(!path("Path(`/a`)", "/a/"));
    assert!(path("PathPrefix(`/api`)", "/apifoo"));
    assert!(!path("PathPrefix(`/api/`)", "/api"));
    assert!(path("PathRegexp(`o+$`)", "/foo"));
    assert!(!path("PathRegexp(`^o`)", "/foo"));
}

#[test]
fn methods_are_upper_case() {
    let sample = Sample::new("a", "/");
    assert!(matches("Method(`get`)", &sample));
    assert!(!matches("Method(`GET`)", &Sample { method: "get".to_owned(), ..sample }));
}

#[test]
fn header_wants_one_value_that_equals() {
    let sample = Sample::new("a", "/").field("x-a", "w").field("x-a", "v").field("host", "a");
    assert!(matches("Header(`X-a`, `v`)", &sample));
    assert!(!matches("Header(`X-A`, `w,v`)", &sample));
    assert!(matches("HeaderRegexp(`x-A`, `^V|w$`)", &sample));
    assert!(!matches("HeaderRegexp(`x-b`, `.*`)", &sample));
    assert!(!matches("Header(`Host`, `a`)", &sample));
    assert!(!matches("HeaderRegexp(`a b`, `.*`)", &sample));
}

#[test]
fn query_without_value_wants_an_empty_one() {
    for call in ["Query(`a`)", "QueryRegexp(`a`)"] {
        assert!(query(call, "a"));
        assert!(query(call, "a="));
        assert!(query(call, "a=1&a"));
        assert!(!query(call, "a=1"));
        assert!(!query(call, "b"));
        assert!(!query(call, ""));
    }
}

#[test]
fn queries_are_read_as_go_reads_them() {
    assert!(query("Query(`a`, `x y`)", "a=x+y"));
    assert!(query("Query(`a`, `x y`)", "&&b=%zz&%61=x%20y"));
    assert!(query("Query(`a`, `x=`)", "a=x="));
    assert!(!query("Query(`a`, `x`)", "A=x"));
    assert!(!query("Query(`a`, `%z`)", "a=%z"));
    assert!(!query("Query(`a`, `x`)", "a=x;b"));
    assert!(!query("Query(`a`, `%2`)", "a=%2"));
    assert!(query("QueryRegexp(`a`, `^x`)", "a=1&a=%78y"));
    assert!(!query("QueryRegexp(`a`, `^x`)", "a=ax"));
}

#[test]
fn client_ip_is_an_address_or_a_range() {
    let sample = Sample::new("a", "/");
    for range in ["10.1.2.3", "10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.0.0.0/104"] {
        assert!(matches(&format!("ClientIP(`{range}`)"), &sample), "{range}");
    }
    for range in ["10.1.2.4", "10.2.0.0/16", "::/0"] {
        assert!(!matches(&format!("ClientIP(`{range}`)"), &sample), "{range}");
    }
}

#[test]
fn calls_of_tcp_rules_do_not_compile() {
    let Rule::Call(call) = parse("HostSNI(`a`)", Protocol::Tcp).unwrap() else { panic!() };
    let error = Test::compile(&call, &mut Patterns::default()).unwrap_err();
    assert!(error.contains("HostSNI(`a`)"), "{error}");
}
