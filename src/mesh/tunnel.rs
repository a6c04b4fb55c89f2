//! Tunnels between nodes: `CONNECT` over HTTP/2 over mutual TLS 1.3 (RFC 9113 section 8.5), as HBONE has it.
//!
//! `:authority` is the workload, host and port. One connection carries the streams of one pair of identities: the caller's,
//! which its certificate proves, and the workload's, which the node's certificate must prove. `forwarded` says from which
//! address the caller came, `baggage` which node and service speak, `traceparent` which trace it belongs to, and
//! `portcullis-policy` of an answer which policy refused.

pub mod ask;
pub mod pool;
pub mod serve;
pub mod stream;

use std::time::Duration;

use http::HeaderName;

/// Bytes of one stream that may be on their way unread.
const STREAM_WINDOW: u32 = 4 << 20;

/// Bytes of all streams of a connection that may be on their way unread.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Bytes of a frame.
const FRAME: u32 = 1 << 20;

/// Bytes of one stream that wait here to be sent.
const SEND_BUFFER: usize = 256 << 10;

/// Bytes of the header fields of a `CONNECT` or of its answer.
const HEADERS: u32 = 16 << 10;

/// Streams on one connection before another one is made.
const STREAMS: usize = 100;

/// Streams that a peer may have open on one connection; more than ours, for others that count otherwise.
const PEER_STREAMS: u32 = 256;

/// Connections of one worker for one pair of identities.
const CONNECTIONS: usize = 32;

/// A connection without streams is closed after it.
const IDLE: Duration = Duration::from_mins(5);

/// Whoever accepts waits longer, so that the end comes from the side that may begin a stream at any moment.
const PEER_IDLE: Duration = Duration::from_mins(10);

/// To reach a node.
const CONNECT: Duration = Duration::from_secs(2);

/// For a handshake, of TLS and of HTTP/2 after it.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// For the answer to a `CONNECT`, for which the node may have to reach the workload.
const ANSWER: Duration = Duration::from_secs(8);

/// How long a connection outlives the certificates that it was made with; no stream begins on it in that time.
const AFTER_EXPIRY: Duration = Duration::from_mins(1);

/// Says in an answer which policy refused.
const POLICY: HeaderName = HeaderName::from_static("portcullis-policy");
