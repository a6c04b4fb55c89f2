//! Requests that two parsers may read differently (request smuggling): each is refused with 400 and the connection closed,
//! or it reaches the server as exactly one well-formed request.

use std::io::Write as _;

use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, all_to};

/// What must become of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// 400 (or 501 for codings) and the end of the connection; the server sees nothing.
    Refused,
    /// As above, or one request with this body.
    RefusedOrOne(&'static [u8]),
}
use Fate::{Refused, RefusedOrOne};

/// Its name, its bytes, its fate.
type Payload = (&'static str, &'static [u8], Fate);

/// Fields of a POST and what follows them. The classes are those of the advisories and of the HTTP Garden project.
const FIELDS: &[Payload] = &[
    ("hexadecimal length", b"Content-Length: 0x3\r\n\r\nabc", Refused),
    ("length with plus", b"Content-Length: +3\r\n\r\nabc", Refused),
    ("negative length", b"Content-Length: -3\r\n\r\nabc", Refused),
    ("length with underscore", b"Content-Length: 1_0\r\n\r\n0123456789", Refused),
    ("empty length", b"Content-Length:\r\n\r\nabc", Refused),
    ("overflowing length", b"Content-Length: 18446744073709551619\r\n\r\nabc", Refused),
    ("number and more in a length", b"Content-Length: 3 x\r\n\r\nabc", Refused),
    ("lengths that differ", b"Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc", Refused),
    ("lengths that differ in a list", b"Content-Length: 3, 0\r\n\r\nabc", Refused),
    ("equal lengths", b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", RefusedOrOne(b"abc")),
    (
        "length and coding",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
    (
        "coding and length",
        b"Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
    (
        "coding twice",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
    (
        "coding twice in a list",
        b"Transfer-Encoding: chunked, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
    (
        "list with an empty member",
        b"Transfer-Encoding: ,chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
    ("unknown coding", b"Transfer-Encoding: xchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", Refused),
    ("identity", b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", Refused),
    (
        "coding that is not last",
        b"Transfer-Encoding: chunked, gzip\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "vertical tab before the coding",
        b"Transfer-Encoding: \x0bchunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        Refused,
    ),
    ("quoted coding", b"Transfer-Encoding: \"chunked\"\r\n\r\n1\r\nx\r\n0\r\n\r\n", Refused),
    ("space before the colon", b"Content-Length : 3\r\n\r\nabc", Refused),
    ("space in a name", b"Content Length: 3\r\n\r\nabc", Refused),
    ("folded coding", b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", Refused),
    (
        "length among the trailers",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nContent-Length: 50\r\n\r\n",
        RefusedOrOne(b"x"),
    ),
];

/// Bodies of a POST with `Transfer-Encoding: chunked`.
const CHUNKS: &[Payload] = &[
    ("hexadecimal prefix in a chunk size", b"0x1\r\nx\r\n0\r\n\r\n", Refused),
    ("chunk size with plus", b"+1\r\nx\r\n0\r\n\r\n", Refused),
    ("negative chunk size", b"-1\r\nx\r\n0\r\n\r\n", Refused),
    ("chunk size with underscore", b"0_1\r\nx\r\n0\r\n\r\n", Refused),
    ("empty chunk size", b"\r\nx\r\n0\r\n\r\n", Refused),
    ("overflowing chunk size", b"10000000000000001\r\nx\r\n0\r\n\r\n", Refused),
    ("space before a chunk size", b" 1\r\nx\r\n0\r\n\r\n", Refused),
    ("chunk longer than its size", b"1\r\nxyz\r\n0\r\n\r\n", Refused),
    ("LF alone after a chunk size", b"1\nx\r\n0\r\n\r\n", Refused),
    ("GHSA-5423-jcjm-2gpv: LF alone in a chunk extension", b"1;a\nx\r\n0\r\n\r\n", Refused),
    ("CR in a chunk extension", b"1;a\rb\r\nx\r\n0\r\n\r\n", Refused),
    ("chunk extension", b"1;name=value\r\nx\r\n0\r\n\r\n", RefusedOrOne(b"x")),
];

/// Whole requests.
const WHOLE: &[Payload] = &[
    ("coding with HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", Refused),
    ("coding and length with HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Refused),
    ("empty name", b"GET / HTTP/1.1\r\nHost: a\r\n: value\r\n\r\n", Refused),
    ("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", Refused),
    ("folded first line", b"GET / HTTP/1.1\r\n X-A: b\r\nHost: a\r\n\r\n", Refused),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", Refused),
    ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n", Refused),
    ("CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n", Refused),
    ("CR CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\rX-B: c\r\n\r\n", Refused),
    ("control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("tab in the request line", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused),
    ("version 1.32", b"GET / HTTP/1.32\r\nHost: a\r\n\r\n", Refused),
    ("version 2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused),
    ("version in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused),
    ("no version", b"GET /\r\n\r\n", Refused),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", Refused),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused),
    ("host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused),
    ("host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused),
    ("body with GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", RefusedOrOne(b"hello")),
    ("LF alone as line end", b"GET / HTTP/1.1\nHost: a\n\n", RefusedOrOne(b"")),
    ("LF alone after a field", b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", RefusedOrOne(b"")),
    ("empty lines before the request", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RefusedOrOne(b"")),
    ("absolute target of another host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", RefusedOrOne(b"")),
];

/// Every payload with its name.
fn payloads() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\n";
    let chunked = [post, &b"Transfer-Encoding: chunked\r\n\r\n"[..]].concat();
    let tables = [(FIELDS, &post[..]), (CHUNKS, &chunked), (WHOLE, b"")];
    let of = |(table, before): (&'static [Payload], &[u8])| {
        let whole = |(name, payload, fate): &Payload| (*name, [before, payload].concat(), *fate);
        table.iter().map(whole).collect::<Vec<_>>()
    };
    tables.into_iter().flat_map(of).collect()
}

#[test]
fn every_payload_is_refused_or_reaches_the_server_as_one_request() {
    let server = Server::new(|_, stream| stream.write_all(&ok("seen")));
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut wrong = Vec::new();
    for (name, payload, fate) in payloads() {
        let before = (server.count(), server.malformed().len());
        let mut client = gateway.client();
        client.send(&payload);
        // A request behind it on the same connection: swallowed or split, it would show.
        let _ = client.try_send(b"GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answers = String::from_utf8_lossy(&client.rest()).into_owned();
        if let Some(problem) = judge(&server, before, &answers, fate) {
            wrong.push(format!("{name}: {problem}\n  answers: {answers:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the outcome, if something is.
fn judge(server: &Server, before: (usize, usize), answers: &str, fate: Fate) -> Option<String> {
    let malformed = server.malformed().split_off(before.1);
    let seen = server.seen().split_off(before.0);
    if !malformed.is_empty() {
        return Some(format!("the server saw {malformed:?}"));
    }
    let statuses: Vec<&str> =
        answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)).collect();
    match (statuses.as_slice(), fate) {
        // Refused, or cut off without a word; and nothing got through.
        ([] | ["400" | "501" | "505"], _) => {
            (!seen.is_empty()).then(|| format!("refused, and the server saw {seen:?}"))
        }
        // RFC 9112 section 6.3: after a doubtful length the connection may end, so the second is optional.
        (["200"] | ["200", "200"], RefusedOrOne(body)) if seen.len() == statuses.len() => {
            let one = &seen[0];
            let behind = seen.get(1).is_none_or(|behind| behind.target == "/behind");
            let lengths = one.headers.iter().filter(|(name, _)| {
                name.eq_ignore_ascii_case("content-length")
                    || name.eq_ignore_ascii_case("transfer-encoding")
            });
            let good = one.body == body && behind && lengths.count() <= 1;
            (!good).then(|| format!("the server saw {seen:?}"))
        }
        _ => Some(format!("expected {fate:?}, got statuses {statuses:?}, server saw {seen:?}")),
    }
}

#[test]
fn bytes_behind_a_refused_request_are_not_read_as_a_request() {
    let server = Server::saying("seen");
    let gateway = Gateway::new(&all_to(&[server.address]));
    let mut client = gateway.client();
    client.send(
        "GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n\
         GET /three HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response().text(), "seen");
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert_eq!(rest.matches("HTTP/1.").count(), 1, "{rest}");
    assert!(rest.contains(" 400 "), "{rest}");
    let targets: Vec<String> = server.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/one"]);
}

#[test]
fn a_body_that_stops_early_never_looks_whole() {
    let server = Server::saying("seen");
    let gateway = Gateway::new(&all_to(&[server.address]));
    for body in [
        "Content-Length: 10\r\n\r\nshort",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        drop(gateway.client_sending(&format!("POST /short HTTP/1.1\r\nHost: a\r\n{body}")));
    }
    // A request that comes after them was read after them on the server's side, too.
    assert_eq!(gateway.get("/after").text(), "seen");
    assert!(server.seen().iter().all(|seen| seen.target == "/after"), "{:?}", server.seen());
}
