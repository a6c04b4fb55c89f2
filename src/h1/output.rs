//! Bytes on their way out: a head, a body that is not copied, and an end, with as few calls of the system as can be.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// What is to be written, in this order.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// A head and whatever else was small enough to be copied.
    head: Vec<u8>,
    /// How much of the head has been written.
    written: usize,
    /// Data that is written from where it is.
    data: Bytes,
    /// What follows the data.
    tail: &'static [u8],
    /// Whether the stream may hold written bytes back.
    unflushed: bool,
    /// Whether anything was written at all.
    touched: bool,
}

/// Data up to this size is copied behind its head: one slice costs less than two.
const COPIED: usize = 4096;

/// A buffer larger than this is not kept for the next head.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// The buffer of heads of whichever connection writes on this thread: idle ones keep none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Output {
    /// Where a head can be appended. What was appended before and the data after it must have been written.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.data.is_empty() && self.tail.is_empty(), "data goes before");
        if self.head.capacity() == 0 {
            self.head = SPARE.take();
        }
        &mut self.head
    }

    /// Appends `data` and then `tail`.
    pub(super) fn data(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= COPIED {
            let head = self.head();
            head.extend_from_slice(&data);
            head.extend_from_slice(tail);
        } else {
            (self.data, self.tail) = (data, tail);
        }
    }

    /// Appends an end.
    pub(super) fn end(&mut self, text: &'static [u8]) {
        if self.data.is_empty() {
            self.head().extend_from_slice(text);
        } else {
            debug_assert!(self.tail.is_empty() || self.tail == b"\r\n", "one end");
            self.tail = if self.tail.is_empty() { text } else { b"\r\n0\r\n\r\n" };
        }
    }

    /// Whether another head or more data may be appended without growing much.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Whether anything was written since [`Output::clear`].
    pub(super) fn has_written(&self) -> bool {
        self.touched
    }

    /// Forgets what was not written, and that anything was.
    pub(super) fn clear(&mut self) {
        self.give_back();
        self.touched = false;
        (self.data, self.tail) = (Bytes::new(), &[]);
    }

    fn give_back(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        self.written = 0;
        if head.capacity() > 0 && head.capacity() <= KEPT {
            head.clear();
            SPARE.set(head);
        }
    }

    /// Writes until the stream has everything.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(self.poll_some(stream, context))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (self.unflushed, self.touched) = (true, true);
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// As [`Output::poll_write`], and until the stream holds nothing back.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(stream, context))?;
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_some<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let head = self.head.get(self.written..).unwrap_or_default();
        let stream = Pin::new(stream);
        match (head, &*self.data, self.tail) {
            (head, [], []) if !head.is_empty() => stream.poll_write(context, head),
            ([], data, []) => stream.poll_write(context, data),
            (head, data, tail) if stream.is_write_vectored() => stream.poll_write_vectored(
                context,
                &[IoSlice::new(head), IoSlice::new(data), IoSlice::new(tail)],
            ),
            ([], [], tail) => stream.poll_write(context, tail),
            ([], data, _) => stream.poll_write(context, data),
            (head, ..) => stream.poll_write(context, head),
        }
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len() - self.written);
        self.written += of_head;
        if self.written == self.head.len() {
            self.give_back();
        }
        let of_data = (count - of_head).min(self.data.len());
        self.data.advance(of_data);
        if self.data.is_empty() {
            // A view of nothing still keeps the whole buffer.
            self.data = Bytes::new();
        }
        self.tail = self.tail.get(count - of_head - of_data..).unwrap_or_default();
    }
}
