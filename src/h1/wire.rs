//! A byte stream with what has been read of it and what is to be written to it.

use std::cell::RefCell;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::decoder::{Decoder, Step};
use super::output::Output;
use super::{Error, head};

/// A byte stream in the middle of messages.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Bytes that were read and not used yet.
    buffer: BytesMut,
    /// So many of them hold no end of a head.
    scanned: usize,
    /// How much room the next read of a body gets.
    room: usize,
    /// The body that is being read.
    pub(super) decoder: Decoder,
    /// What is to be written.
    pub(super) output: Output,
}

/// Bytes that one read takes at most where a head is awaited.
const SCRATCH: usize = 16 * 1024;

/// Room for the first read of a body, and for the largest.
const ROOM: std::ops::RangeInclusive<usize> = 16 * 1024..=64 * 1024;

/// A buffer larger than this is not kept while nothing comes.
const KEPT: usize = 2048;

thread_local! {
    /// Where bytes are read to that may not come: a connection that waits keeps no room for them.
    static READ: RefCell<Box<[u8; SCRATCH]>> = RefCell::new(Box::new([0; SCRATCH]));
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        let (decoder, output) = (Decoder::Done, Output::default());
        Self { stream, buffer: BytesMut::new(), scanned: 0, room: *ROOM.start(), decoder, output }
    }

    /// The stream, and the bytes that nobody has used.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.buffer.freeze())
    }

    /// Whether bytes have been read that belong to no message yet.
    pub(super) fn has_surplus(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The bytes of the next head, its empty line included. `None` = the peer ended instead. What cannot become one, as
    /// `may_become` says, is not waited for.
    pub(super) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        may_become: fn(&[u8]) -> bool,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if self.scanned == 0 {
                self.skip_empty_lines();
            }
            if let Some(end) = head::end(&self.buffer, self.scanned) {
                self.scanned = 0;
                if end > limit {
                    return Poll::Ready(Err(Error::TooLarge));
                }
                return Poll::Ready(Ok(Some(self.buffer.split_to(end).freeze())));
            }
            // Asked of the first bytes and of the first line, not of each piece.
            let (before, new) = self.buffer.split_at(self.scanned);
            let has_line = |bytes| memchr::memchr(b'\n', bytes).is_some();
            if (before.is_empty() || has_line(new) && !has_line(before))
                && !may_become(&self.buffer)
            {
                return Poll::Ready(Err(Error::Malformed("the first line")));
            }
            self.scanned = self.buffer.len();
            if self.scanned > limit {
                return Poll::Ready(Err(Error::TooLarge));
            }
            if ready!(self.poll_small(context))? == 0 {
                return Poll::Ready(if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(Error::Incomplete)
                });
            }
        }
    }

    /// A server should ignore empty lines before a request (RFC 9112 section 2.2).
    fn skip_empty_lines(&mut self) {
        while let [b'\r', b'\n', ..] | [b'\n', ..] = &*self.buffer {
            let length = if self.buffer.starts_with(b"\n") { 1 } else { 2 };
            let _ = self.buffer.split_to(length);
        }
    }

    /// Reads what is there through the room of this thread. 0 = the peer has ended.
    fn poll_small(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        READ.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(&mut scratch[..]);
            let result = Pin::new(&mut self.stream).poll_read(context, &mut read);
            if result.is_pending() && self.buffer.is_empty() && self.buffer.capacity() > KEPT {
                self.buffer = BytesMut::new();
            }
            ready!(result)?;
            let filled = read.filled();
            self.buffer.extend_from_slice(filled);
            Poll::Ready(Ok(filled.len()))
        })
    }

    /// Reads more of a body. 0 = the peer has ended.
    fn poll_large(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let left = self.decoder.left().and_then(|left| usize::try_from(left).ok());
        let room = left.unwrap_or(usize::MAX).clamp(512, self.room);
        self.buffer.reserve(room);
        let count = ready!(pin!(self.stream.read_buf(&mut self.buffer)).poll(context))?;
        if count >= self.room {
            self.room = (self.room * 2).min(*ROOM.end());
        }
        Poll::Ready(Ok(count))
    }

    /// The next frame of the body that is being read; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Step::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Step::End) => {
                    self.room = *ROOM.start();
                    return Poll::Ready(None);
                }
                Ok(Step::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_large(context)) {
                Ok(0) if matches!(self.decoder, Decoder::UntilEnd) => {
                    self.decoder = Decoder::Done;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(Error::Incomplete))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The whole body, if it has been read already and is short of nothing but a length.
    pub(super) fn whole_body(&mut self) -> Option<Bytes> {
        let Decoder::Length(length) = self.decoder else { return None };
        let length = usize::try_from(length).ok()?;
        (self.buffer.len() >= length).then(|| {
            self.decoder = Decoder::Done;
            self.buffer.split_to(length).freeze()
        })
    }

    /// Whether nothing comes: neither bytes nor an end.
    pub(super) fn is_quiet(&mut self, context: &mut Context<'_>) -> bool {
        self.buffer.is_empty() && self.poll_small(context).is_pending()
    }

    /// Ready when the peer has ended or broken the stream while nothing of it is awaited. Bytes that come instead are
    /// kept, and then nobody looks further.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.buffer.is_empty() || !self.decoder.is_done() {
            return Poll::Pending;
        }
        match ready!(self.poll_small(context)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Writes until the stream has everything.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_write(&mut self.stream, context)
    }

    /// Writes until the stream holds nothing back.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(&mut self.stream, context)
    }

    /// Tells the peer that no more will come.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Reads and drops what comes. 0 = the peer has ended.
    pub(super) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let before = self.buffer.len();
        self.buffer.clear();
        let count = ready!(self.poll_small(context))?;
        self.buffer.clear();
        Poll::Ready(Ok(count + before))
    }
}
