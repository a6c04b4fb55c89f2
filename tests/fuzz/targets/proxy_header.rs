//! PROXY headers: the length of one is within the bytes, and the bytes behind it change nothing.

use portcullis::net::proxy_protocol::{Start, parse};

/// Takes the first bytes of a connection.
pub(crate) fn run(data: &[u8]) {
    let start = parse(data);
    if let Start::Header(length, _) = start {
        let header = data.get(..length).expect("a header ends within the bytes");
        assert_eq!(parse(header), start);
    }
    if start == Start::Incomplete {
        // What is refused at once was never worth waiting for.
        assert!(data.len() < 4096 + 16, "waits for more after {} bytes", data.len());
    }
}
