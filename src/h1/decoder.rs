//! The framing of a body that comes in (RFC 9112 sections 6 and 7).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::{Error, head};

/// Where the body of the message being read ends.
#[derive(Debug, Default)]
pub(super) enum Decoder {
    /// Here: there is none, or it has been read.
    #[default]
    Done,
    /// After so many more bytes.
    Length(u64),
    /// After the last chunk and the trailers.
    Chunked(Chunked),
    /// At the end of the connection; only responses.
    UntilEnd,
}

/// What a look at the bytes at hand gave.
#[derive(Debug)]
pub(super) enum Step {
    /// Data or trailers.
    Frame(Frame<Bytes>),
    /// The body has ended.
    End,
    /// Not without more bytes.
    More,
}

impl Decoder {
    /// A body of `length` bytes.
    pub(super) fn of_length(length: u64) -> Self {
        if length == 0 { Self::Done } else { Self::Length(length) }
    }

    /// A chunked body.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked { place: Place::Size, excess: 0, trailers: None })
    }

    /// Whether nothing more will come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The number of bytes that are still to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilEnd => None,
        }
    }

    /// Takes the next frame out of `buffer`. A frame that ends the body leaves [`Decoder::Done`] behind.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Step, Error> {
        match self {
            Self::Done => Ok(Step::End),
            Self::Length(_) | Self::UntilEnd if buffer.is_empty() => Ok(Step::More),
            Self::UntilEnd => Ok(Step::Frame(Frame::data(buffer.split().freeze()))),
            Self::Length(left) => {
                let data = take(buffer, left);
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(Step::Frame(Frame::data(data)))
            }
            Self::Chunked(chunked) => {
                let step = chunked.decode(buffer)?;
                if chunked.is_done() {
                    *self = Self::Done;
                }
                Ok(step)
            }
        }
    }
}

/// At most `left` bytes of `buffer`, which are counted off.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= count as u64;
    buffer.split_to(count).freeze()
}

/// The state within a chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of chunk extensions so far: they are dropped, so nobody needs many.
    excess: usize,
    trailers: Option<HeaderMap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a line with a size.
    Size,
    /// Within data of which so much is left.
    Data(u64),
    /// Before the line end after data.
    DataEnd,
    /// After the last chunk.
    Trailers,
    /// After everything.
    Done,
}

/// A line with the size of a chunk and its extensions.
const MAX_LINE: usize = 4096;

/// All extensions of a body.
const MAX_EXCESS: usize = 16 * 1024;

/// All trailers of a body.
const MAX_TRAILERS: usize = 16 * 1024;

impl Chunked {
    fn is_done(&self) -> bool {
        self.place == Place::Done && self.trailers.is_none()
    }

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Step, Error> {
        self.advance(buffer)?;
        match &mut self.place {
            Place::Data(left) if !buffer.is_empty() => {
                let data = take(buffer, left);
                if *left == 0 {
                    self.place = Place::DataEnd;
                }
                // So that the last frame is known to be the last.
                self.advance(buffer)?;
                Ok(Step::Frame(Frame::data(data)))
            }
            Place::Done => Ok(match self.trailers.take() {
                Some(trailers) => Step::Frame(Frame::trailers(trailers)),
                None => Step::End,
            }),
            _ => Ok(Step::More),
        }
    }

    /// Goes on to data, to the end, or to where bytes are missing.
    fn advance(&mut self, buffer: &mut BytesMut) -> Result<(), Error> {
        loop {
            let next = match self.place {
                Place::Size => self.size(buffer)?,
                Place::DataEnd => line_end(buffer)?,
                Place::Trailers => self.trailers(buffer)?,
                Place::Data(_) | Place::Done => None,
            };
            match next {
                Some(place) => self.place = place,
                None => return Ok(()),
            }
        }
    }

    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<Place>, Error> {
        let Some(end) = memchr::memchr(b'\n', buffer) else {
            return if buffer.len() > MAX_LINE { Err(Error::TooLarge) } else { Ok(None) };
        };
        let line = &buffer[..=end];
        // The parser would take no digits for 0 and, in extensions, anything at all.
        let has_size = line.first().is_some_and(u8::is_ascii_hexdigit);
        let odd = |byte: &u8| matches!(byte, 0..=8 | 10..=31 | 127);
        let is_clean = line.strip_suffix(b"\r\n").is_some_and(|rest| !rest.iter().any(odd));
        if !has_size || !is_clean || line.len() > MAX_LINE {
            return Err(Error::Malformed("the size of a chunk"));
        }
        let Ok(httparse::Status::Complete((length, size))) = httparse::parse_chunk_size(line)
        else {
            return Err(Error::Malformed("the size of a chunk"));
        };
        self.excess += memchr::memchr(b';', line).map_or(0, |at| length - at);
        if self.excess > MAX_EXCESS {
            return Err(Error::TooLarge);
        }
        let _ = buffer.split_to(length);
        Ok(Some(if size == 0 { Place::Trailers } else { Place::Data(size) }))
    }

    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Option<Place>, Error> {
        if buffer.starts_with(b"\r\n") {
            let _ = buffer.split_to(2);
            return Ok(Some(Place::Done));
        }
        if buffer.starts_with(b"\n") {
            return Err(Error::Malformed("the end of the trailers"));
        }
        let Some(end) = head::end(buffer, 0) else {
            return if buffer.len() > MAX_TRAILERS { Err(Error::TooLarge) } else { Ok(None) };
        };
        let text = buffer.split_to(end).freeze();
        self.trailers = Some(head::parse_trailers(&text)?);
        Ok(Some(Place::Done))
    }
}

fn line_end(buffer: &mut BytesMut) -> Result<Option<Place>, Error> {
    match &**buffer {
        [b'\r', b'\n', ..] => {
            let _ = buffer.split_to(2);
            Ok(Some(Place::Size))
        }
        [] | [b'\r'] => Ok(None),
        _ => Err(Error::Malformed("data longer than its chunk")),
    }
}

#[cfg(test)]
mod tests;
