//! What a client says before anything is answered: the name and the protocols of its `ClientHello`.
//!
//! rustls parses it, in records of any size, from a copy; the bytes stay in the stream for whoever does the handshake.

use std::io;

use rustls::server::Acceptor;
use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::canonical;
use crate::net::peek;

/// The name and the protocols that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Lower case, without a trailing dot; empty if the client names nobody.
    pub server_name: Box<str>,
    /// By ALPN, in the client's order.
    pub protocols: SmallVec<[Box<[u8]>; 2]>,
}

/// What the first bytes of a TLS connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A whole `ClientHello`.
    Hello(Wishes),
    /// None that can be understood. A handshake with it fails and tells the client why.
    Unusable,
}

/// Reads a `ClientHello` piece by piece.
#[derive(Default)]
pub struct Reader {
    acceptor: Acceptor,
}

/// Longest beginning that is looked at: a hello of several kilobytes in records of one byte.
const LONGEST: usize = 64 * 1024;

/// Bytes that are looked at first; nearly every hello is shorter.
const USUAL: usize = 2 * 1024;

impl Reader {
    /// Takes the bytes that follow what it was given before; `None` = there must be more.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<Beginning> {
        loop {
            // An error means that what waits for its end is too long.
            let read = self.acceptor.read_tls(&mut bytes);
            match self.acceptor.accept() {
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let name = hello.server_name().map(canonical).unwrap_or_default();
                    let protocols = hello.alpn().into_iter().flatten().map(Box::from).collect();
                    return Some(Beginning::Hello(Wishes { server_name: name.into(), protocols }));
                }
                Ok(None) if read.is_err() => return Some(Beginning::Unusable),
                Ok(None) if bytes.is_empty() => return None,
                Ok(None) => {}
                Err(_) => return Some(Beginning::Unusable),
            }
        }
    }
}

/// Waits for the `ClientHello` of a connection, which stays in the stream. `None` if the client ends before. The caller
/// limits the time.
pub async fn peek(stream: &TcpStream) -> io::Result<Option<Beginning>> {
    let mut reader = Reader::default();
    let (mut seen, mut known) = (vec![0; USUAL], 0);
    loop {
        let count = peek::beyond(stream, known, &mut seen).await?;
        if let Some(beginning) = reader.push(seen.get(known..count).unwrap_or_default()) {
            return Ok(Some(beginning));
        }
        match (count > known, count < seen.len(), seen.len() < LONGEST) {
            (false, true, _) => return Ok(None),
            (_, false, false) => return Ok(Some(Beginning::Unusable)),
            (_, false, true) => seen.resize(seen.len() * 2, 0),
            (true, true, _) => {}
        }
        known = count;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn hello(name: &'static str, protocols: &[&[u8]]) -> Vec<u8> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(crate::tls::provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        let name = ServerName::try_from(name).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The hello in records of one byte each.
    fn in_shreds(hello: &[u8]) -> Vec<u8> {
        hello[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect()
    }

    fn wishes(name: &str, protocols: &[&[u8]]) -> Beginning {
        let protocols = protocols.iter().map(|it| Box::from(*it)).collect();
        Beginning::Hello(Wishes { server_name: name.into(), protocols })
    }

    #[test]
    fn a_hello_is_read_in_pieces_of_any_size() {
        let bytes = hello("Db.Example.COM", &[b"postgresql", b"h2"]);
        let expected = Some(wishes("db.example.com", &[b"postgresql", b"h2"]));
        assert_eq!(Reader::default().push(&bytes), expected);
        let mut reader = Reader::default();
        let found: Vec<_> =
            bytes.iter().filter_map(|byte| reader.push(std::slice::from_ref(byte))).collect();
        assert_eq!(found, Vec::from_iter(expected.clone()));
        assert_eq!(Reader::default().push(&in_shreds(&bytes)), expected);
    }

    #[test]
    fn an_address_is_no_name() {
        assert_eq!(Reader::default().push(&hello("192.0.2.1", &[])), Some(wishes("", &[])));
    }

    #[test]
    fn what_is_no_hello_is_unusable() {
        let garbage = [22, 3, 1, 0, 4, 1, 2, 3, 4];
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &garbage, &[21, 3, 3, 0, 2, 1, 0]] {
            assert_eq!(Reader::default().push(bytes), Some(Beginning::Unusable), "{bytes:?}");
        }
        // A hello without end.
        let mut reader = Reader::default();
        let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
        endless.resize(5 + 0x4000, 0);
        assert!((0..8).any(|_| reader.push(&endless) == Some(Beginning::Unusable)));
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_hello_stays_in_the_stream_however_it_arrives() {
        let hello = hello("a.test", &[]);
        for bytes in [hello.clone(), in_shreds(&hello)] {
            let (mut client, mut server) = pair().await;
            client.set_nodelay(true).unwrap();
            let all = bytes.clone();
            let send = async move {
                for piece in all.chunks(97) {
                    client.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client
            };
            let (client, beginning) = tokio::join!(send, peek(&server));
            assert_eq!(beginning.unwrap(), Some(wishes("a.test", &[])));
            drop(client);
            let mut seen = Vec::new();
            server.read_to_end(&mut seen).await.unwrap();
            assert_eq!(seen, bytes);
        }
    }

    #[tokio::test]
    async fn a_client_that_ends_in_between_is_none() {
        let (mut client, server) = pair().await;
        client.write_all(&hello("a.test", &[])[..50]).await.unwrap();
        drop(client);
        assert_eq!(peek(&server).await.unwrap(), None);
    }
}
