//! Security headers and allowed hosts.

use super::*;

#[tokio::test]
async fn fixed_values_are_sent_with_every_response() {
    let yaml = "{frameDeny: true, contentTypeNosniff: true, browserXssFilter: true, \
                contentSecurityPolicy: c, contentSecurityPolicyReportOnly: ro, \
                referrerPolicy: same-origin, permissionsPolicy: pp}";
    let sent = [("reply-x-frame-options", "A"), ("reply-referrer-policy", "B")];
    let seen = get(yaml, &sent).await.headers;
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "1; mode=block"),
        ("content-security-policy", "c"),
        ("content-security-policy-report-only", "ro"),
        ("referrer-policy", "same-origin"),
        ("permissions-policy", "pp"),
    ] {
        assert_eq!(line(&seen, name), value, "{name}");
    }
}

#[tokio::test]
async fn custom_values_win_over_switches() {
    let yaml = "{frameDeny: true, customFrameOptionsValue: SAMEORIGIN, \
                browserXssFilter: true, customBrowserXSSValue: '0'}";
    let seen = get(yaml, &[]).await.headers;
    assert_eq!(line(&seen, "x-frame-options"), "SAMEORIGIN");
    assert_eq!(line(&seen, "x-xss-protection"), "0");
}

#[tokio::test]
async fn custom_and_cross_origin_headers_win_over_security_headers() {
    let yaml = "{customResponseHeaders: {X-Frame-Options: mine, Vary: mine, \
                Access-Control-Allow-Origin: mine}, frameDeny: true, addVaryHeader: true, \
                accessControlAllowOriginList: ['*']}";
    let seen = get(yaml, &OURS).await.headers;
    assert_eq!(line(&seen, "x-frame-options"), "mine");
    assert_eq!(line(&seen, "access-control-allow-origin"), "*");
    assert_eq!(line(&seen, "vary"), "mine,Origin");
}

const STRICT: &str = "strict-transport-security";

async fn strict(yaml: &str, request: Request) -> [String; 2] {
    let headers = run(&chain(yaml), request).await.headers;
    [line(&headers, STRICT), line(&headers, "public-key-pins")]
}

#[tokio::test]
async fn strict_transport_and_pins_are_for_tls_only() {
    let yaml = "{stsSeconds: 100, stsIncludeSubdomains: true, stsPreload: true, publicKey: pk}";
    let plain = request("GET", "a", "/", &[("x-forwarded-proto", "https")]);
    assert_eq!(strict(yaml, plain).await, ["-", "-"]);
    let secure = over_tls(request("GET", "a", "/", &[]));
    let all = "max-age=100; includeSubDomains; preload";
    assert_eq!(strict(yaml, secure).await, [all, "pk"]);
}

#[tokio::test]
async fn strict_transport_can_be_forced() {
    let yaml = "{stsSeconds: 5, forceSTSHeader: true, publicKey: pk}";
    assert_eq!(strict(yaml, request("GET", "a", "/", &[])).await, ["max-age=5", "-"]);
}

#[tokio::test]
async fn proxy_headers_can_tell_of_tls() {
    let yaml = "{stsSeconds: 5, publicKey: pk, sslProxyHeaders: {X-Proto: https, X-S: 'on'}}";
    for (headers, expected) in [
        (&[][..], "-"),
        (&[("x-proto", "https")], "max-age=5"),
        (&[("x-proto", "HTTPS")], "-"),
        (&[("x-s", "on"), ("x-s", "off")], "max-age=5"),
        (&[("x-s", "off"), ("x-s", "on")], "-"),
    ] {
        let [sent, _] = strict(yaml, request("GET", "a", "/", headers)).await;
        assert_eq!(sent, expected, "{headers:?}");
    }
    let secure = over_tls(request("GET", "a", "/", &[]));
    assert_eq!(strict(yaml, secure).await, ["max-age=5", "pk"]);
}

async fn status(yaml: &str, host: &str, headers: &[(&str, &str)]) -> u16 {
    run(&chain(yaml), request("GET", host, "/", headers)).await.status.as_u16()
}

#[tokio::test]
async fn foreign_hosts_are_refused() {
    let yaml = "{allowedHosts: [a.example, 'b.example:80'], customResponseHeaders: {X-Foo: c}, frameDeny: true}";
    assert_eq!(status(yaml, "a.example", &[]).await, 200);
    assert_eq!(status(yaml, "A.example", &[]).await, 200);
    assert_eq!(status(yaml, "b.example:80", &[]).await, 200);
    assert_eq!(status(yaml, "a.example:80", &[]).await, 500);
    let forwarded = [("x-forwarded-host", "a.example")];
    let response = run(&chain(yaml), request("GET", "bad", "/", &forwarded)).await;
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(line(&response.headers, "x-foo"), "c");
    assert_eq!(line(&response.headers, "x-frame-options"), "-");
    assert_eq!(text(response).await, "Bad Host\n");
}

#[tokio::test]
async fn hosts_may_be_named_by_other_headers() {
    let yaml = "{allowedHosts: [a.example], hostsProxyHeaders: [X-Forwarded-Host, X-H]}";
    assert_eq!(status(yaml, "bad", &[("x-forwarded-host", "a.example")]).await, 200);
    assert_eq!(status(yaml, "a.example", &[("x-forwarded-host", "bad")]).await, 500);
    assert_eq!(status(yaml, "a.example", &[("x-h", "bad")]).await, 500);
    assert_eq!(status(yaml, "a.example", &[("x-forwarded-host", "")]).await, 200);
}

#[tokio::test]
async fn host_that_was_set_here_is_the_one_that_counts() {
    let yaml = "{allowedHosts: [a.example], customRequestHeaders: {Host: b.example}}";
    assert_eq!(status(yaml, "a.example", &[]).await, 500);
}

#[tokio::test]
async fn development_switches_hosts_and_strict_transport_off() {
    let yaml = "{allowedHosts: [a.example], isDevelopment: true, forceSTSHeader: true, stsSeconds: 4}";
    let response = run(&chain(yaml), request("GET", "bad", "/", &[])).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(line(&response.headers, STRICT), "-");
}

#[tokio::test]
async fn nonces_are_random_and_the_same_in_one_response() {
    let yaml = "{contentSecurityPolicy: \"script-src $NONCE 'self'\", \
                contentSecurityPolicyReportOnly: 'x $NONCE 100%'}";
    let nonce = |headers: &HeaderMap| {
        let sent = line(headers, "content-security-policy");
        let nonce = sent.strip_prefix("script-src 'nonce-").unwrap();
        let nonce = nonce.strip_suffix("' 'self'").unwrap().to_owned();
        let other = line(headers, "content-security-policy-report-only");
        assert_eq!(other, format!("x 'nonce-{nonce}' 100%"));
        nonce
    };
    let first = nonce(&get(yaml, &[]).await.headers);
    assert_eq!(first.len(), 22);
    assert_ne!(first, nonce(&get(yaml, &[]).await.headers));
}
