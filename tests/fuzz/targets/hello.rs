//! The peek at a `ClientHello`: however the bytes are cut, the same is found, and what waits for more has an end.

use portcullis::tls::hello::{Beginning, Reader};

/// Takes the first bytes of a TLS connection; the first byte says how they are cut.
pub(crate) fn run(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = Reader::default().push(bytes);
    let mut reader = Reader::default();
    let found = bytes.chunks(usize::from(*cut).max(1)).find_map(|piece| reader.push(piece));
    match (&whole, &found) {
        // A whole hello may be followed by bytes that are none, which only one of the two sees.
        (Some(Beginning::Unusable), _) | (_, Some(Beginning::Unusable)) => {}
        _ => assert_eq!(whole, found),
    }
    if let Some(Beginning::Hello(wishes)) = found {
        assert_eq!(*wishes.server_name, wishes.server_name.to_ascii_lowercase());
        assert!(!wishes.server_name.ends_with('.'));
    }
}
