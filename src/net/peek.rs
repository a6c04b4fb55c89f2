//! Looking at the first bytes of a connection without taking them.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Waits until more than `known` bytes wait to be read and copies their beginning into `into`; returns how many were
/// copied. `known` is returned when there will never be more: the peer has ended, or `into` is full. The caller limits the
/// time.
pub async fn beyond(stream: &TcpStream, known: usize, into: &mut [u8]) -> io::Result<usize> {
    if known >= into.len() {
        return Ok(known);
    }
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        // As long as nothing new has come this would block, whatever waits from before: the next wake-up is then by
        // bytes that arrive.
        let peeked = stream.try_io(Interest::READABLE, || {
            match recv(stream.as_raw_fd(), into, MsgFlags::MSG_PEEK)? {
                count if count > known => Ok(count),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        match peeked {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if ready.is_read_closed() => return Ok(known),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_that_are_seen_stay() {
        let (mut client, mut server) = pair().await;
        let mut seen = [0; 8];
        client.write_all(b"ab").await.unwrap();
        assert_eq!(beyond(&server, 0, &mut seen).await.unwrap(), 2);
        // Nothing new: it waits, and does not spin.
        let waiting = beyond(&server, 2, &mut seen);
        assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
        client.write_all(b"cd").await.unwrap();
        assert_eq!(beyond(&server, 2, &mut seen).await.unwrap(), 4);
        drop(client);
        assert_eq!(beyond(&server, 4, &mut seen).await.unwrap(), 4);
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abcd");
    }

    #[tokio::test]
    async fn a_full_buffer_and_a_silent_end_are_the_last_word() {
        let (mut client, server) = pair().await;
        client.write_all(b"abcd").await.unwrap();
        assert_eq!(beyond(&server, 0, &mut [0; 2]).await.unwrap(), 2);
        assert_eq!(beyond(&server, 2, &mut [0; 2]).await.unwrap(), 2);
        let (client, server) = pair().await;
        drop(client);
        assert_eq!(beyond(&server, 0, &mut [0; 2]).await.unwrap(), 0);
    }
}
