//! One call of gRPC whose answer is a stream: HTTP/2 with five bytes before each message (gRPC over HTTP/2, "Requests" and
//! "Responses").

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{Ping, PingPong, RecvStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::install::WorkloadApi;

/// How long a connection and the head of the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a silent peer is asked whether it is there; the answer has [`PATIENCE`].
const SILENCE: Duration = Duration::from_secs(30);

/// No message is longer: identities and roots have some kilobytes.
const LONGEST: usize = 4 << 20;

/// The length of what stands before a message: whether it is compressed, and how long it is.
const PREFIX: usize = 5;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrpcError {
    #[error("it cannot be reached: {0}")]
    Connect(#[source] io::Error),
    #[error("it does not answer in time")]
    Timeout,
    #[error("the connection broke: {0}")]
    Http2(#[from] h2::Error),
    #[error("it answers with HTTP status {0}")]
    Http(http::StatusCode),
    #[error("it answers with status {code}{}", with(message))]
    Status { code: String, message: String },
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    #[error("a message is compressed, which was not offered")]
    Compressed,
    #[error("it closed the stream")]
    Closed,
}

fn with(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Calls `procedure` with an empty message and gives every message of the answer to `take`. Ends only with an error.
pub(super) async fn stream(
    api: &WorkloadApi,
    procedure: &str,
    take: impl FnMut(&[u8]),
) -> GrpcError {
    let outcome = match api {
        WorkloadApi::Unix(path) => match within(UnixStream::connect(path)).await {
            Ok(io) => call(io, procedure, take).await,
            Err(error) => Err(error),
        },
        WorkloadApi::Tcp(address) => match within(TcpStream::connect(address)).await {
            Ok(io) => call(io, procedure, take).await,
            Err(error) => Err(error),
        },
    };
    outcome.err().unwrap_or(GrpcError::Closed)
}

async fn within<T>(connecting: impl Future<Output = io::Result<T>>) -> Result<T, GrpcError> {
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    connected.map_err(|_| GrpcError::Timeout)?.map_err(GrpcError::Connect)
}

async fn call<IO>(io: IO, procedure: &str, take: impl FnMut(&[u8])) -> Result<(), GrpcError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = tokio::time::timeout(PATIENCE, h2::client::handshake(io));
    let (sender, mut connection) = handshake.await.map_err(|_| GrpcError::Timeout)??;
    let ping = connection.ping_pong();
    tokio::select! {
        done = &mut connection => done.map_err(GrpcError::from),
        done = exchange(sender, procedure, take) => done,
        error = probe(ping) => Err(error),
    }
}

/// Ends when the peer is silent though it is asked.
async fn probe(ping: Option<PingPong>) -> GrpcError {
    let Some(mut ping) = ping else { return std::future::pending().await };
    loop {
        tokio::time::sleep(SILENCE).await;
        match tokio::time::timeout(PATIENCE, ping.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return GrpcError::Timeout,
        }
    }
}

async fn exchange(
    sender: h2::client::SendRequest<Bytes>,
    procedure: &str,
    mut take: impl FnMut(&[u8]),
) -> Result<(), GrpcError> {
    // The header of the Workload API keeps requests out that a browser or another proxy was made to send.
    let request = Request::post(format!("http://localhost{procedure}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("user-agent", concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header("workload.spiffe.io", "true")
        .body(())
        .expect("every part of it is valid");
    let mut sender = sender.ready().await?;
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(Bytes::from_static(&[0; PREFIX]), true)?;
    let response = tokio::time::timeout(PATIENCE, response);
    let response = response.await.map_err(|_| GrpcError::Timeout)??;
    if !response.status().is_success() {
        return Err(GrpcError::Http(response.status()));
    }
    if response.headers().contains_key("grpc-status") {
        return Err(status(response.headers()));
    }
    let mut body = response.into_body();
    let mut buffer = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        buffer.extend_from_slice(&data);
        while let Some(message) = next(&mut buffer)? {
            take(&message);
        }
    }
    Err(end(&mut body).await)
}

/// Cuts the first message off, if it is complete.
fn next(buffer: &mut BytesMut) -> Result<Option<BytesMut>, GrpcError> {
    let Some((&[compressed, a, b, c, d], _)) = buffer.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > LONGEST {
        return Err(GrpcError::TooLong(length));
    }
    if compressed != 0 {
        return Err(GrpcError::Compressed);
    }
    if buffer.len() < PREFIX + length {
        return Ok(None);
    }
    buffer.advance(PREFIX);
    Ok(Some(buffer.split_to(length)))
}

async fn end(body: &mut RecvStream) -> GrpcError {
    match poll_fn(|context| body.poll_trailers(context)).await {
        Ok(Some(trailers)) => status(&trailers),
        Ok(None) => GrpcError::Closed,
        Err(error) => error.into(),
    }
}

fn status(headers: &HeaderMap) -> GrpcError {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        percent_encoding::percent_decode_str(value).decode_utf8_lossy().chars().take(200).collect()
    };
    let code: String = text("grpc-status");
    let named = match &*code {
        "0" => return GrpcError::Closed,
        "3" => "InvalidArgument",
        "5" => "NotFound",
        "7" => "PermissionDenied (this process has no identity registered)",
        "12" => "Unimplemented",
        "14" => "Unavailable",
        other => other,
    };
    GrpcError::Status { code: named.to_owned(), message: text("grpc-message") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_of_what_arrives() {
        let mut buffer = BytesMut::from(&[0, 0, 0][..]);
        assert!(next(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(&[0, 2, 7]);
        assert!(next(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(&[8, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&next(&mut buffer).unwrap().unwrap()[..], [7, 8]);
        assert!(next(&mut buffer).unwrap().unwrap().is_empty());
        assert!(next(&mut buffer).unwrap().is_none());
        assert_eq!(&buffer[..], [1]);
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let long = next(&mut BytesMut::from(&[0, 255, 0, 0, 0][..]));
        assert!(matches!(long, Err(GrpcError::TooLong(4_278_190_080))));
        let compressed = next(&mut BytesMut::from(&[1, 0, 0, 0, 0][..]));
        assert!(matches!(compressed, Err(GrpcError::Compressed)));
    }

    #[test]
    fn a_status_says_what_the_agent_says() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", "7".parse().unwrap());
        headers.insert("grpc-message", "no%20identity%20issued".parse().unwrap());
        let text = status(&headers).to_string();
        assert!(text.contains("PermissionDenied") && text.contains("no identity issued"), "{text}");
    }
}
