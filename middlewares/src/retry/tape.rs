//! `Replay`: a request body that can be read again from its beginning, while it streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;

use crate::message::{Body, BodyError};

/// A request body for several attempts.
pub(super) enum Replay {
    Empty,
    Full(Bytes),
    Tape(Arc<Mutex<Tape>>),
}

/// A body that streams, and what of it was read. Bytes are copied, not shared: a client that sends them one by one
/// would otherwise keep a read buffer alive with each.
pub(super) struct Tape {
    body: Body,
    /// How many bytes are kept at most.
    most: u64,
    kept: BytesMut,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Whether something that was read is not kept.
    torn: bool,
    /// Which reader may read: the newest.
    turn: u32,
}

impl Replay {
    /// Keeps up to `most` bytes of what is read of `body`.
    pub(super) fn new(body: Body, most: u64) -> Self {
        match body {
            body if body.is_end() => Self::Empty,
            Body::Full(bytes) if bytes.len() as u64 <= most => Self::Full(bytes),
            body => Self::Tape(Arc::new(Mutex::new(Tape {
                body,
                most,
                kept: BytesMut::new(),
                trailers: None,
                ended: false,
                torn: false,
                turn: 0,
            }))),
        }
    }

    /// The body from its beginning. A reader from before gets an error when it reads on.
    pub(super) fn play(&self) -> Body {
        match self {
            Self::Empty => Body::Empty,
            Self::Full(bytes) => Body::Full(bytes.clone()),
            Self::Tape(tape) => {
                let mut locked = tape.lock();
                locked.turn += 1;
                let turn = locked.turn;
                drop(locked);
                Body::stream(Reader { tape: Arc::clone(tape), turn, position: 0, trailed: false })
            }
        }
    }

    /// Whether the beginning can still be read: nothing was read so far, or all of that is kept.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Full(_) => true,
            Self::Tape(tape) => !tape.lock().torn,
        }
    }
}

impl Tape {
    fn keep(&mut self, data: &Bytes) {
        if self.torn {
            return;
        }
        if (self.kept.len() + data.len()) as u64 <= self.most {
            self.kept.extend_from_slice(data);
        } else {
            self.torn = true;
            self.kept = BytesMut::new();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => self.keep(data),
                (None, Some(trailers)) => self.trailers = Some(trailers.clone()),
                (None, None) => {}
            },
            Some(Err(_)) => self.torn = true,
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }
}

struct Reader {
    tape: Arc<Mutex<Tape>>,
    turn: u32,
    position: usize,
    /// Whether the trailers were given.
    trailed: bool,
}

/// What is given again at a time.
const CHUNK: usize = 64 * 1024;

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut tape = this.tape.lock();
        if tape.turn != this.turn {
            return Poll::Ready(Some(Err("a later attempt reads this body".into())));
        }
        if let Some(rest) = tape.kept.get(this.position..).filter(|rest| !rest.is_empty()) {
            let chunk = Bytes::copy_from_slice(&rest[..rest.len().min(CHUNK)]);
            this.position += chunk.len();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if let Some(trailers) = tape.trailers.clone().filter(|_| !this.trailed) {
            this.trailed = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if tape.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(tape.poll(context));
        this.position = tape.kept.len();
        this.trailed = tape.trailers.is_some();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let tape = self.tape.lock();
        let given = self.position >= tape.kept.len() && self.trailed == tape.trailers.is_some();
        given && (tape.ended || tape.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let tape = self.tape.lock();
        let again = tape.kept.len().saturating_sub(self.position) as u64;
        let live = tape.body.size_hint();
        let mut both = SizeHint::new();
        both.set_lower(live.lower() + again);
        if let Some(upper) = live.upper() {
            both.set_upper(upper + again);
        }
        both
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    use super::*;

    /// Gives frames one by one.
    pub(super) struct Frames(pub(super) VecDeque<Result<Frame<Bytes>, BodyError>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front())
        }

        fn size_hint(&self) -> SizeHint {
            let frames = self.0.iter().flatten();
            SizeHint::with_exact(frames.filter_map(Frame::data_ref).map(|d| d.len() as u64).sum())
        }
    }

    fn body(parts: &[&'static str]) -> Body {
        let data = |part: &&'static str| Ok(Frame::data(Bytes::from_static(part.as_bytes())));
        Body::stream(Frames(parts.iter().map(data).collect()))
    }

    fn with_trailers(parts: &[&'static str]) -> Body {
        let mut frames: VecDeque<_> =
            parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        frames.push_back(Ok(Frame::trailers(trailers)));
        Body::stream(Frames(frames))
    }

    async fn all(body: Body) -> String {
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_was_read_is_read_again_and_the_rest_follows() {
        let replay = Replay::new(body(&["one", "two", "three"]), 100);
        let mut first = replay.play();
        assert_eq!(first.size_hint().exact(), Some(11));
        first.frame().await.unwrap().unwrap();
        first.frame().await.unwrap().unwrap();
        assert!(replay.is_whole());
        let second = replay.play();
        assert_eq!(second.size_hint().exact(), Some(11));
        assert!(first.frame().await.unwrap().is_err());
        assert_eq!(all(second).await, "onetwothree");
        assert!(replay.is_whole());
        assert_eq!(all(replay.play()).await, "onetwothree");
    }

    #[tokio::test]
    async fn more_than_is_kept_passes_but_cannot_be_read_again() {
        let replay = Replay::new(body(&["one", "two", "three"]), 6);
        let mut first = replay.play();
        first.frame().await.unwrap().unwrap();
        first.frame().await.unwrap().unwrap();
        assert!(replay.is_whole());
        assert_eq!(all(first).await, "three");
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn a_body_that_was_not_touched_needs_no_keeping() {
        let replay = Replay::new(body(&["one"]), 0);
        drop(replay.play());
        assert!(replay.is_whole());
        assert_eq!(all(replay.play()).await, "one");
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn trailers_come_again() {
        let replay = Replay::new(with_trailers(&["one"]), 10);
        for _ in 0..2 {
            let read = replay.play().collect().await.unwrap();
            assert_eq!(read.trailers().unwrap()["x-sum"], "1");
            assert_eq!(read.to_bytes(), "one");
        }
    }

    #[tokio::test]
    async fn a_body_that_broke_off_is_not_whole() {
        let broken = [Ok(Frame::data(Bytes::from_static(b"one"))), Err("gone".into())];
        let replay = Replay::new(Body::stream(Frames(broken.into())), 10);
        assert!(replay.play().collect().await.is_err());
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn bytes_at_hand_can_always_be_read_again() {
        for body in [Body::Empty, Body::from("text")] {
            let expected = if body.is_end() { "" } else { "text" };
            let replay = Replay::new(body, 4);
            for _ in 0..2 {
                assert_eq!(all(replay.play()).await, expected);
                assert!(replay.is_whole());
            }
        }
    }

    #[tokio::test]
    async fn bytes_at_hand_beyond_the_limit_are_read_once() {
        let replay = Replay::new(Body::from("text"), 3);
        assert!(replay.is_whole(), "nothing was read");
        assert_eq!(all(replay.play()).await, "text");
        assert!(!replay.is_whole());
    }

    #[tokio::test]
    async fn the_end_is_known_before_it_is_read() {
        let replay = Replay::new(body(&["one"]), 10);
        let mut reader = replay.play();
        assert!(!reader.is_end());
        reader.frame().await.unwrap().unwrap();
        assert!(reader.frame().await.is_none());
        assert!(reader.is_end());
        assert!(!replay.play().is_end());
    }
}
