//! Headers that the user sets and removes.

use super::*;

#[tokio::test]
async fn request_headers_are_set_and_removed() {
    let yaml = "customRequestHeaders: {X-A: '1', x-b: '', X-C: 'a, b', X-D: é}";
    let sent = [("x-a", "z"), ("x-a", "y"), ("x-b", "gone"), ("x-e", "kept")];
    let seen = get(yaml, &sent).await.headers;
    assert_eq!(line(&seen, "saw-x-a"), "1");
    assert_eq!(line(&seen, "saw-x-b"), "-");
    assert_eq!(line(&seen, "saw-x-c"), "a, b");
    assert_eq!(line(&seen, "saw-x-d"), "é");
    assert_eq!(line(&seen, "saw-x-e"), "kept");
}

#[tokio::test]
async fn host_is_changed_but_never_removed() {
    let seen = get("customRequestHeaders: {Host: other.example}", &[]).await.headers;
    assert_eq!(line(&seen, "saw-host"), "other.example");
    let seen = get("customRequestHeaders: {host: '', X-A: b}", &[]).await.headers;
    assert_eq!(line(&seen, "saw-host"), "a.example");
}

#[tokio::test]
async fn framing_of_requests_is_not_the_users() {
    let yaml = "customRequestHeaders: {Content-Length: '5', Transfer-Encoding: x, X-A: b}";
    let seen = get(yaml, &[("content-length", "0")]).await.headers;
    assert_eq!(line(&seen, "saw-content-length"), "0");
    assert_eq!(line(&seen, "saw-transfer-encoding"), "-");
    assert_eq!(line(&seen, "saw-x-a"), "b");
}

/// Tells whether forwarding may append the client's address, also to a copy of the request.
struct Forwarding;

impl Service for Forwarding {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        let mark = request.extensions.get::<WithoutForwardedFor>().is_some();
        let copied = request.copy_head().extensions.get::<WithoutForwardedFor>().is_some();
        let header = line(&request.headers, "x-forwarded-for");
        Response::new(StatusCode::OK, format!("{header} {mark} {copied}"))
    }
}

async fn forwarding(chain: &Chain) -> String {
    let request = request("GET", "a.example", "/", &[("x-forwarded-for", "1.2.3.4")]);
    let exchange = Exchange::begin(request.connection.clone());
    text(chain.run(request, &Forwarding, &exchange).await).await
}

#[tokio::test]
async fn empty_forwarded_for_keeps_the_address_from_the_server() {
    let steps = |yaml: &str| -> Vec<Step> {
        let kind = crate::kind("headers").unwrap();
        (kind.compile)(&settings(yaml), &mut TestBuild::new()).unwrap()
    };
    let removed = steps("customRequestHeaders: {x-forwarded-for: ''}");
    let set = steps("customRequestHeaders: {X-Forwarded-For: 9.9.9.9}");
    assert_eq!(forwarding(&Chain::new(removed.clone())).await, "- true true");
    assert_eq!(forwarding(&Chain::new(set.clone())).await, "9.9.9.9 false false");
    let chain = Chain::new([removed, set].concat());
    assert_eq!(forwarding(&chain).await, "9.9.9.9 false false");
}

#[tokio::test]
async fn response_headers_are_set_and_removed() {
    let yaml = "customResponseHeaders: {X-Foo: new, vary: ''}";
    let sent = [("reply-x-foo", "1"), ("reply-x-foo", "2"), ("reply-vary", "Accept")];
    let seen = get(yaml, &sent).await.headers;
    assert_eq!(line(&seen, "x-foo"), "new");
    assert_eq!(line(&seen, "vary"), "-");
}

#[test]
fn what_cannot_stand_in_a_header_is_a_defect() {
    assert!(defect("customRequestHeaders: {'bad name': x}").contains("bad name"));
    let message = defect(r#"customRequestHeaders: {X-Bad: "a\nb"}"#);
    assert!(message.starts_with("customRequestHeaders.X-Bad: "), "{message}");
    let message = defect(r#"customResponseHeaders: {X-Bad: "a\r\nb: c"}"#);
    assert!(message.starts_with("customResponseHeaders.X-Bad: "), "{message}");
    for name in ["Content-Length", "transfer-encoding"] {
        let message = defect(&format!("customResponseHeaders: {{{name}: '3'}}"));
        assert!(message.contains("belongs to the connection"), "{message}");
    }
    assert!(defect("hostsProxyHeaders: ['a b']\nallowedHosts: [a]").starts_with("hostsProxy"));
    assert!(defect("{customFrameOptionsValue: \"a\\nb\"}").starts_with("customFrameOptions"));
}

#[test]
fn credentials_are_not_shown() {
    let kind = crate::kind("headers").unwrap();
    let yaml = "customRequestHeaders: {Authorization: Basic c2VjcmV0, X-Api-Key: s, X-A: b, Cookie: ''}";
    let shown = (kind.show)(&settings(yaml)).unwrap();
    let expected = serde_json::json!({"customRequestHeaders": {
        "Authorization": "REDACTED", "X-Api-Key": "REDACTED", "X-A": "b", "Cookie": "",
    }});
    assert_eq!(shown, expected);
}
