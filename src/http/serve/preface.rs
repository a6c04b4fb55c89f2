//! Telling HTTP/1 and h2 without ALPN apart: by the preface with which h2 begins.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Protocol;

/// RFC 9113 section 3.4.
pub const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads into `read` until its bytes are, or are not, the preface of h2. The caller limits the time.
pub async fn read<S>(stream: &mut S, read: &mut BytesMut) -> io::Result<Protocol>
where
    S: AsyncRead + Unpin,
{
    loop {
        if read.len() >= H2_PREFACE.len() {
            let is_h2 = read.starts_with(H2_PREFACE);
            return Ok(if is_h2 { Protocol::Http2 } else { Protocol::Http1 });
        }
        if !H2_PREFACE.starts_with(read) || stream.read_buf(read).await? == 0 {
            return Ok(Protocol::Http1);
        }
    }
}
