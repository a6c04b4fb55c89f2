//! The ClientHello of a QUIC connection, read before the terms are chosen.

use rustls::server::{Accepted, Acceptor};

use super::super::canonical;

/// Bytes of a ClientHello at most, as over TCP.
const LONGEST: usize = 64 * 1024;

/// Content of one record at most (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

/// Collects the ClientHello. QUIC carries handshake messages without records (RFC 9001 section 4.1.3); the reader of rustls
/// wants records, so it is given some.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    bytes: Vec<u8>,
}

/// Why there is none: the TLS alert to answer with, and the text for the log.
pub(super) struct Bad {
    pub(super) alert: u8,
    pub(super) reason: String,
}

impl Hello {
    /// Takes the next bytes; gives the name that the client asks for once the whole message is there.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<Option<String>>, Bad> {
        if self.bytes.len() + bytes.len() > LONGEST {
            // decode_error(50).
            return Err(Bad { alert: 50, reason: "the client hello is too long".to_owned() });
        }
        self.bytes.extend_from_slice(bytes);
        for content in bytes.chunks(RECORD) {
            if let Some(accepted) = self.read_record(content)? {
                let hello = accepted.client_hello();
                return Ok(Some(hello.server_name().map(|name| canonical(name).into_owned())));
            }
        }
        Ok(None)
    }

    /// All bytes read so far, for the session.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn read_record(&mut self, content: &[u8]) -> Result<Option<Accepted>, Bad> {
        let length = (content.len() as u16).to_be_bytes();
        // Handshake record, version of a first record.
        let record = [&[22, 3, 1], &length[..], content].concat();
        let mut left = &*record;
        while !left.is_empty() {
            if let Err(error) = self.acceptor.read_tls(&mut left) {
                // internal_error(80).
                return Err(Bad { alert: 80, reason: error.to_string() });
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(accepted) => return Ok(accepted),
                Err((error, mut alert)) => {
                    let mut sent = Vec::new();
                    // A Vec takes everything; the description is the last byte of the alert.
                    drop(alert.write_all(&mut sent));
                    let alert = sent.last().copied().unwrap_or(80);
                    return Err(Bad { alert, reason: error.to_string() });
                }
            }
        }
        Ok(None)
    }
}
