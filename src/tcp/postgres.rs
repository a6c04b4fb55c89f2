//! PostgreSQL's way into TLS: a client asks for it in the clear before its `ClientHello` (protocol 3.0, "SSL Session
//! Encryption").

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::net::peek;

/// `SSLRequest`: its own length, and the code 1234.5679 where other messages have a version.
pub const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The answer of a server that goes on with TLS.
const WILLING: u8 = b'S';

/// How long a server may think about it.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether the first bytes of a connection are the request, as far as they tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They are.
    Request,
    /// They may become one.
    Incomplete,
    /// They are something else.
    Other,
}

/// Judges the first bytes of a connection.
pub fn judge(bytes: &[u8]) -> Start {
    match bytes.get(..REQUEST.len()) {
        Some(whole) if whole == REQUEST => Start::Request,
        None if REQUEST.starts_with(bytes) => Start::Incomplete,
        _ => Start::Other,
    }
}

/// Whether the connection begins with the request; what it begins with stays in the stream. Waits only as long as the bytes
/// so far leave that open. The caller limits the time.
pub async fn begins(stream: &TcpStream) -> io::Result<bool> {
    let (mut seen, mut known) = ([0; REQUEST.len()], 0);
    loop {
        let count = peek::beyond(stream, known, &mut seen).await?;
        match judge(seen.get(..count).unwrap_or_default()) {
            Start::Request => return Ok(true),
            Start::Other => return Ok(false),
            Start::Incomplete if count == known => return Ok(false),
            Start::Incomplete => known = count,
        }
    }
}

/// Takes the request off the stream and answers that TLS may begin.
pub async fn accept(stream: &mut TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0; REQUEST.len()]).await?;
    stream.write_all(&[WILLING]).await
}

/// Asks the server on behalf of a client that was answered already. An error: the server does not do TLS.
pub async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let asking = async {
        stream.write_all(&REQUEST).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    match tokio::time::timeout(LIMIT, asking).await?? {
        WILLING => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not do TLS")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_request_is_one() {
        for length in 0..REQUEST.len() {
            assert_eq!(judge(&REQUEST[..length]), Start::Incomplete);
        }
        assert_eq!(judge(&REQUEST), Start::Request);
        assert_eq!(judge(&[&REQUEST[..], b"more"].concat()), Start::Request);
        // GSSENCRequest, a start-up message, a cancellation, TLS, HTTP.
        for other in [
            &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30][..],
            &[0, 0, 0, 9],
            &[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e],
            &[22, 3, 1],
            b"GET / HTTP/1.1",
        ] {
            assert_eq!(judge(other), Start::Other, "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_declines_is_an_error() {
        for (answer, fine) in [(&b"S"[..], true), (b"N", false), (b"E", false), (b"", false)] {
            let (mut ours, mut server) = tokio::io::duplex(64);
            let play = async move {
                let mut request = [0; 8];
                server.read_exact(&mut request).await.unwrap();
                assert_eq!(request, REQUEST);
                server.write_all(answer).await.unwrap();
            };
            let (asked, ()) = tokio::join!(ask(&mut ours), play);
            assert_eq!(asked.is_ok(), fine, "{answer:?}");
        }
    }
}
