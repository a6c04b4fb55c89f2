//! The streams of quinn as the `h3` crate wants them, within bounds.
//!
//! The adapter of the `h3` project would do for trusted peers. This one tells when a client no longer wants an answer,
//! never ends half an answer as if it were whole, keeps what is read ahead small, and checks where frames end.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::stream::{self, Stream};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use parking_lot::Mutex;
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use super::flow::{Flow, Stopped};
use super::frames::Frames;

/// Streams in one direction over the life of a connection. Three are needed; the rest is room for extensions.
const ONE_WAY: u32 = 100;

/// Bytes of a body that may have been read and not taken.
const AHEAD: u64 = 64 * 1024;

/// Pieces below this many bytes are copied, so that they do not hold the packet that brought them.
const COPIED: usize = 256;

type Streams<T> = Pin<Box<dyn Stream<Item = Result<T, ConnectionError>> + Send>>;
type Opening = Pin<Box<dyn Future<Output = Result<quinn::SendStream, ConnectionError>> + Send>>;

/// A request that has just been accepted.
pub(super) struct Arrival {
    pub(super) flow: Arc<Flow>,
    pub(super) stopped: Stopped,
}

/// A connection.
pub(super) struct Transport {
    connection: quinn::Connection,
    requests: Streams<(quinn::SendStream, quinn::RecvStream)>,
    one_way: Streams<quinn::RecvStream>,
    one_way_left: u32,
    opening: Option<Opening>,
    longest: u64,
    arrived: Arc<Mutex<Option<Arrival>>>,
}

impl Transport {
    /// On `connection`; frames other than DATA have `longest` bytes at most.
    pub(super) fn new(connection: quinn::Connection, longest: u64) -> Self {
        let requests = stream::unfold(connection.clone(), |connection| async move {
            Some((connection.accept_bi().await, connection))
        });
        let one_way = stream::unfold(connection.clone(), |connection| async move {
            Some((connection.accept_uni().await, connection))
        });
        Self {
            connection,
            requests: Box::pin(requests),
            one_way: Box::pin(one_way),
            one_way_left: ONE_WAY,
            opening: None,
            longest,
            arrived: Arc::default(),
        }
    }

    /// Where the request that was accepted last is found.
    pub(super) fn arrived(&self) -> Arc<Mutex<Option<Arrival>>> {
        Arc::clone(&self.arrived)
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Receiving, ConnectionErrorIncoming>> {
        let accepted = ready!(self.one_way.as_mut().poll_next(context));
        let stream = accepted.unwrap_or(Err(ConnectionError::LocallyClosed)).map_err(lost)?;
        let Some(left) = self.one_way_left.checked_sub(1) else {
            let code = VarInt::from_u64(Code::H3_EXCESSIVE_LOAD.value()).unwrap_or(VarInt::MAX);
            self.connection.close(code, b"too many streams");
            return Poll::Ready(Err(lost(ConnectionError::LocallyClosed)));
        };
        self.one_way_left = left;
        let frames = Frames::of_one_way(self.longest);
        Poll::Ready(Ok(Receiving { stream, frames, flow: Arc::default(), ended: false }))
    }

    fn poll_accept_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Both, ConnectionErrorIncoming>> {
        let accepted = ready!(self.requests.as_mut().poll_next(context));
        let (send, receive) =
            accepted.unwrap_or(Err(ConnectionError::LocallyClosed)).map_err(lost)?;
        let flow = Arc::<Flow>::default();
        let stopped = Stopped::new(send.stopped());
        *self.arrived.lock() = Some(Arrival { flow: Arc::clone(&flow), stopped });
        let frames = Frames::of_request(self.longest);
        Poll::Ready(Ok(Both {
            send: Sending { stream: send, writing: None, ended: false },
            receive: Receiving { stream: receive, frames, flow, ended: false },
        }))
    }

    fn opener(&self) -> Opener {
        Opener { connection: self.connection.clone(), opening: None }
    }
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = Both;
    type SendStream = Sending;

    fn poll_open_bidi(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<Result<Both, StreamErrorIncoming>> {
        Poll::Ready(Err(only_clients()))
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        poll_open(&self.connection, &mut self.opening, context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX), reason);
    }
}

/// Opens streams of a connection.
pub(super) struct Opener {
    connection: quinn::Connection,
    opening: Option<Opening>,
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = Both;
    type SendStream = Sending;

    fn poll_open_bidi(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<Result<Both, StreamErrorIncoming>> {
        Poll::Ready(Err(only_clients()))
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        poll_open(&self.connection, &mut self.opening, context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX), reason);
    }
}

/// RFC 9114 section 6.1: requests are streams of clients.
fn only_clients() -> StreamErrorIncoming {
    StreamErrorIncoming::Unknown("servers open no requests".into())
}

fn poll_open(
    connection: &quinn::Connection,
    opening: &mut Option<Opening>,
    context: &mut Context<'_>,
) -> Poll<Result<Sending, StreamErrorIncoming>> {
    let future = opening.get_or_insert_with(|| {
        let connection = connection.clone();
        Box::pin(async move { connection.open_uni().await })
    });
    let opened = ready!(future.as_mut().poll(context));
    *opening = None;
    let stream = opened.map_err(|error| lost_stream(lost(error)))?;
    Poll::Ready(Ok(Sending { stream, writing: None, ended: false }))
}

/// Both directions of a request.
pub(super) struct Both {
    send: Sending,
    receive: Receiving,
}

impl quic::BidiStream<Bytes> for Both {
    type SendStream = Sending;
    type RecvStream = Receiving;

    fn split(self) -> (Sending, Receiving) {
        (self.send, self.receive)
    }
}

impl quic::RecvStream for Both {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(context)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for Both {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(context)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(context)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// Bytes from the client.
pub(super) struct Receiving {
    stream: quinn::RecvStream,
    frames: Frames,
    flow: Arc<Flow>,
    ended: bool,
}

impl quic::RecvStream for Receiving {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if self.frames.data() > self.flow.taken() + AHEAD {
            // Nobody is woken: the reader has what it was given, and asks again after taking some.
            return Poll::Pending;
        }
        // A chunk's future keeps nothing; the waker is kept by the stream.
        let read = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(context));
        let Some(chunk) = read.map_err(read_failed)? else {
            self.ended = true;
            let whole = self.frames.is_between();
            let cut = || terminated(Code::H3_FRAME_ERROR);
            return Poll::Ready(if whole { Ok(None) } else { Err(cut()) });
        };
        if let Err(code) = self.frames.pass(&chunk.bytes) {
            self.stop_sending(code.value());
            return Poll::Ready(Err(terminated(code)));
        }
        self.flow.set_empty(self.frames.empty());
        let small = chunk.bytes.len() < COPIED;
        let bytes = if small { Bytes::copy_from_slice(&chunk.bytes) } else { chunk.bytes };
        Poll::Ready(Ok(Some(bytes)))
    }

    fn stop_sending(&mut self, code: u64) {
        self.ended = true;
        // It fails where the stream has ended, which is just as well.
        drop(self.stream.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX)));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for Receiving {
    /// RFC 9114 section 4.1: what is left of a request that is answered is not wanted, and that is no error.
    fn drop(&mut self) {
        if !self.ended {
            quic::RecvStream::stop_sending(self, Code::H3_NO_ERROR.value());
        }
    }
}

/// Bytes to the client.
pub(super) struct Sending {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
    ended: bool,
}

impl quic::SendStream<Bytes> for Sending {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(data) = self.writing.as_mut().filter(|data| data.has_remaining()) {
            let written = Pin::new(&mut self.stream).poll_write(context, data.chunk());
            data.advance(ready!(written).map_err(write_failed)?);
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("the last write is not over".into()));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.ended = true;
        let finished = self.stream.finish();
        Poll::Ready(finished.map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        self.ended = true;
        // It fails where the stream has ended, which is just as well.
        drop(self.stream.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX)));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for Sending {
    /// Left to itself, a stream that is dropped ends as if everything had been said.
    fn drop(&mut self) {
        if !self.ended {
            quic::SendStream::<Bytes>::reset(self, Code::H3_INTERNAL_ERROR.value());
        }
    }
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    let number: u64 = VarInt::from(id).into_inner();
    number.try_into().expect("both are numbers of 62 bits")
}

fn terminated(code: Code) -> StreamErrorIncoming {
    StreamErrorIncoming::StreamTerminated { error_code: code.value() }
}

fn lost_stream(connection_error: ConnectionErrorIncoming) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
}

fn lost(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn read_failed(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        ReadError::ConnectionLost(error) => lost_stream(lost(error)),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn write_failed(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        WriteError::ConnectionLost(error) => lost_stream(lost(error)),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
