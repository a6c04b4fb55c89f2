//! CORS.

use super::*;

#[tokio::test]
async fn preflight_is_answered_here() {
    let response = preflight(CORS, &[]).await;
    assert_eq!(response.status, StatusCode::OK);
    let expected = ["http://o.com", "true", "GET,PUT", "X-Foo,X-Bar", "E1,E2", "100"];
    assert_eq!(cors(&response.headers), expected);
    assert_eq!(line(&response.headers, "vary"), "-");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn foreign_preflight_lacks_the_origin() {
    let headers = [("origin", "http://bad.com"), ("access-control-request-method", "PUT")];
    let response = run(&chain(CORS), request("OPTIONS", "a", "/", &headers)).await;
    assert_eq!(response.status, StatusCode::OK);
    let expected = ["-", "true", "GET,PUT", "X-Foo,X-Bar", "E1,E2", "100"];
    assert_eq!(cors(&response.headers), expected);
}

#[tokio::test]
async fn only_options_with_origin_and_method_is_a_preflight() {
    for (method, headers) in [
        ("OPTIONS", &OURS[..]),
        ("OPTIONS", &[("access-control-request-method", "PUT")]),
        ("GET", &[("origin", "http://o.com"), ("access-control-request-method", "PUT")]),
    ] {
        let response = run(&chain(CORS), request(method, "a", "/", headers)).await;
        assert_eq!(response.headers["x-method"], method);
    }
}

#[tokio::test]
async fn other_responses_name_the_origin_if_it_is_listed() {
    let response = get(CORS, &OURS).await;
    assert_eq!(cors(&response.headers), ["http://o.com", "true", "-", "-", "E1,E2", "-"]);
    for headers in [&FOREIGN[..], &[], &[("origin", "http://O.com")]] {
        let response = get(CORS, headers).await;
        assert_eq!(cors(&response.headers), ["-", "true", "-", "-", "E1,E2", "-"]);
    }
}

#[tokio::test]
async fn answers_of_the_server_are_replaced_where_there_is_one_to_give() {
    let reply = [
        ("reply-access-control-allow-origin", "back"),
        ("reply-access-control-expose-headers", "back"),
    ];
    let ours = get(CORS, &[&reply[..], &OURS].concat()).await;
    assert_eq!(cors(&ours.headers), ["http://o.com", "true", "-", "-", "E1,E2", "-"]);
    let foreign = get(CORS, &[&reply[..], &FOREIGN].concat()).await;
    assert_eq!(cors(&foreign.headers), ["back", "true", "-", "-", "E1,E2", "-"]);
}

#[tokio::test]
async fn vary_names_the_origin_once_and_keeps_the_rest() {
    for (lines, expected) in [
        (&[][..], "Origin"),
        (&["Accept"], "Accept,Origin"),
        (&["Accept", "Cookie"], "Accept,Cookie,Origin"),
        (&["origin"], "origin"),
        (&["Accept, Origin"], "Accept, Origin"),
        (&["*"], "*"),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("reply-vary", *line)).collect();
        let response = get("addVaryHeader: true", &headers).await;
        assert_eq!(line(&response.headers, VARY.as_str()), expected);
    }
}

#[tokio::test]
async fn star_allows_all_even_without_origin() {
    let yaml = "accessControlAllowOriginList: ['*']";
    for headers in [&OURS[..], &[]] {
        let response = get(yaml, headers).await;
        assert_eq!(response.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
    assert_eq!(cors(&preflight(yaml, &[]).await.headers), ["*", "-", "-", "-", "-", "-"]);
}

#[tokio::test]
async fn first_entry_of_the_list_that_fits_decides() {
    let yaml = "accessControlAllowOriginList: ['http://o.com', '*']";
    assert_eq!(get(yaml, &OURS).await.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://o.com");
    assert_eq!(get(yaml, &FOREIGN).await.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}

#[tokio::test]
async fn stars_become_names_where_credentials_are_allowed() {
    let yaml = "{accessControlAllowCredentials: true, accessControlAllowOriginList: ['*'], \
                accessControlExposeHeaders: [A, '*'], accessControlAllowHeaders: ['*'], \
                accessControlAllowMethods: [GET, '*']}";
    let response = preflight(yaml, &[("access-control-request-headers", "X-Foo")]).await;
    assert_eq!(cors(&response.headers), ["http://o.com", "true", "PUT", "X-Foo", "-", "-"]);
    let response = preflight(yaml, &[]).await;
    assert_eq!(cors(&response.headers), ["http://o.com", "true", "PUT", "-", "-", "-"]);
    let response = get(yaml, &FOREIGN).await;
    assert_eq!(cors(&response.headers), ["http://bad.com", "true", "-", "-", "-", "-"]);
    let response = get(yaml, &[]).await;
    assert_eq!(cors(&response.headers), ["", "true", "-", "-", "-", "-"]);
}

#[tokio::test]
async fn stars_are_sent_where_credentials_are_not() {
    let yaml = "{accessControlExposeHeaders: ['*'], accessControlAllowHeaders: ['*'], \
                accessControlAllowMethods: ['*'], accessControlMaxAge: 0}";
    let response = preflight(yaml, &[]).await;
    assert_eq!(cors(&response.headers), ["-", "-", "*", "*", "*", "0"]);
}

#[tokio::test]
async fn origins_may_be_patterns() {
    let yaml = r"accessControlAllowOriginListRegex: ['^https?://[a-z]+\.com$']";
    assert_eq!(get(yaml, &OURS).await.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://o.com");
    let dotless = [("origin", "http://oXcom")];
    let response = get(yaml, &dotless).await;
    assert!(!response.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    let message = defect("accessControlAllowOriginListRegex: ['(']");
    assert!(message.starts_with("accessControlAllowOriginListRegex: "), "{message}");
}

#[tokio::test]
async fn origin_that_is_removed_here_is_not_answered() {
    let yaml = "{customRequestHeaders: {Origin: ''}, accessControlAllowOriginList: ['http://o.com']}";
    let response = get(yaml, &OURS).await;
    assert!(!response.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}
