use super::*;

const LIMITS: Limits = Limits { head: 64 * 1024, fields: 256 };

fn parsed(text: &str) -> Result<Head<Request<()>>, Refusal> {
    parse_request(&Bytes::copy_from_slice(text.as_bytes()), LIMITS)
}

fn target_of(line: &str) -> Option<String> {
    let head = parsed(&format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n")).ok()?;
    Some(head.message.uri().to_string())
}

#[test]
fn the_end_is_found_wherever_the_pieces_part() {
    let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody";
    for from in 0..=26 {
        assert_eq!(end(text, from), Some(27), "{from}");
    }
    assert_eq!(end(b"a\nb\n\nc", 0), Some(5));
    assert_eq!(end(b"a\r\nb\r\n\r", 0), None);
}

#[test]
fn a_request_comes_out_typed() {
    let head = parsed("POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:  2 \r\n\r\n").unwrap();
    let request = head.message;
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/a"));
    assert_eq!(request.uri().query(), Some("b=c"));
    let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert!(head.keep_alive && head.body.is_done());
}

#[test]
fn targets_have_four_forms() {
    assert_eq!(target_of("GET http://h:1/p?q").as_deref(), Some("http://h:1/p?q"));
    assert_eq!(target_of("OPTIONS *").as_deref(), Some("*"));
    assert_eq!(target_of("GET *").as_deref(), Some("*"));
    assert_eq!(target_of("GET p"), None);
    assert_eq!(target_of("CONNECT h:1").as_deref(), Some("h:1"));
}

#[test]
fn nothing_is_cut_off_a_target() {
    assert_eq!(target_of("GET /a#b"), None);
    assert_eq!(target_of("GET /<a>?b<").as_deref(), Some("/%3Ca%3E?b%3C"));
    assert_eq!(target_of("GET /a`").as_deref(), Some("/a%60"));
}

#[test]
fn framing_has_one_reading() {
    let body = |fields: &str| parsed(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    let length = |fields: &str| body(fields).map(|head| head.body.left());
    assert_eq!(length("content-length: 5\r\n"), Ok(Some(5)));
    assert_eq!(length("content-length: 5\r\ncontent-length: 5\r\n"), Ok(Some(5)));
    assert_eq!(length("transfer-encoding: Chunked\r\n"), Ok(None));
    let both = body("content-length: 5\r\ntransfer-encoding: chunked\r\n").unwrap();
    assert!(!both.keep_alive && both.body.left().is_none());
    for value in ["", "+5", "-5", "0x5", "5_0", "5, 5", "5 5", "99999999999999999999"] {
        assert_eq!(length(&format!("content-length: {value}\r\n")), Err(Refusal::MALFORMED));
    }
    assert_eq!(length("content-length: 5\r\ncontent-length: 6\r\n"), Err(Refusal::MALFORMED));
    for value in ["gzip", "gzip, chunked", ",chunked", "chunked\r\ntransfer-encoding: chunked"] {
        assert_eq!(length(&format!("transfer-encoding: {value}\r\n")), Err(Refusal::CODING));
    }
    let old = parsed("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(old.map(|head| head.keep_alive), Err(Refusal::MALFORMED));
}

#[test]
fn heads_that_are_none_are_refused() {
    for text in [
        "GET / HTTP/1.2\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\0\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\rc\r\n\r\n",
    ] {
        assert!(parsed(text).is_err(), "{text:?}");
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(257));
    assert_eq!(parsed(&many).map(|head| head.keep_alive), Err(Refusal::TOO_LARGE));
    let enough = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(256));
    assert!(parsed(&enough).is_ok());
}

#[test]
fn responses_end_where_rfc_9112_says() {
    let parse = |text: &str, method: &Method| {
        let head = parse_response(&Bytes::copy_from_slice(text.as_bytes()), LIMITS, method);
        head.map(|head| (head.body.left(), head.keep_alive, matches!(head.body, Decoder::UntilEnd)))
    };
    let ok = |text: &str| parse(text, &Method::GET).unwrap();
    assert_eq!(ok("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"), (Some(3), true, false));
    assert_eq!(ok("HTTP/1.1 200\r\n\r\n"), (None, false, true));
    assert_eq!(ok("HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\n"), (Some(0), true, false));
    assert_eq!(ok("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n"), (Some(3), false, false));
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
    assert_eq!(parse(head, &Method::HEAD).unwrap(), (Some(0), true, false));
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(ok(both), (None, false, false));
    assert!(parse("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", &Method::GET).is_err());
    assert!(parse("HTTP/1.1 20 OK\r\n\r\n", &Method::GET).is_err());
}
