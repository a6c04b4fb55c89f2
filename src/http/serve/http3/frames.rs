//! Where frames begin and end in the bytes of a stream.
//!
//! The `h3` crate decodes frames, but two things it leaves open. It collects a frame other than DATA in memory, whatever
//! length the frame claims, and it takes a stream that ends within a DATA frame for a body that is complete. Both are
//! decided here, before it sees the bytes.

use h3::error::Code;

/// DATA (RFC 9114 section 7.2.1).
const DATA: u64 = 0;

/// WebTransport's stream frame, which has no length. Nobody agreed on WebTransport.
const WEBTRANSPORT: u64 = 0x41;

/// The type of a control stream (RFC 9114 section 6.2.1).
const CONTROL: u64 = 0;

/// Pieces of a frame other than DATA at most: each one that is kept holds a packet's memory.
const PIECES: u16 = 256;

/// Follows the frames of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
    integer: Integer,
    longest: u64,
    pieces: u16,
    data: u64,
    empty: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In front of the type of a stream in one direction.
    Stream,
    /// Of a stream without frames.
    Other,
    /// In front of, or within, the type of a frame.
    Kind,
    /// In front of, or within, the length of a frame of this type.
    Length(u64),
    /// Within a frame of this type, of which so many bytes are left.
    Payload(u64, u64),
}

impl Frames {
    /// Of a request. Frames other than DATA may have `longest` bytes.
    pub(super) fn of_request(longest: u64) -> Self {
        Self { at: At::Kind, integer: Integer::default(), longest, pieces: 0, data: 0, empty: 0 }
    }

    /// Of a stream in one direction, which begins with its type.
    pub(super) fn of_one_way(longest: u64) -> Self {
        Self { at: At::Stream, ..Self::of_request(longest) }
    }

    /// Bytes within DATA frames so far.
    pub(super) fn data(&self) -> u64 {
        self.data
    }

    /// DATA frames without a byte so far.
    pub(super) fn empty(&self) -> u64 {
        self.empty
    }

    /// Whether the stream may end here.
    pub(super) fn is_between(&self) -> bool {
        !matches!(self.at, At::Length(_) | At::Payload(..)) && self.integer.is_fresh()
    }

    /// Takes the next piece; an error is the code to end the stream with.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Code> {
        self.pieces = self.pieces.saturating_add(1);
        while let Some((&first, rest)) = bytes.split_first() {
            match self.at {
                At::Other => return Ok(()),
                At::Payload(kind, left) => {
                    let count = left.min(bytes.len() as u64);
                    bytes = bytes.get(count as usize..).unwrap_or_default();
                    self.pass_payload(kind, left, count);
                }
                At::Stream | At::Kind | At::Length(_) => {
                    bytes = rest;
                    if let Some(value) = self.integer.take(first) {
                        self.pass_integer(value)?;
                    }
                }
            }
        }
        if self.pieces > PIECES && self.is_kept() { Err(Code::H3_EXCESSIVE_LOAD) } else { Ok(()) }
    }

    fn is_kept(&self) -> bool {
        !matches!(self.at, At::Payload(DATA, _) | At::Other)
    }

    fn pass_payload(&mut self, kind: u64, left: u64, count: u64) {
        if kind == DATA {
            self.data += count;
        }
        self.at = if left == count { At::Kind } else { At::Payload(kind, left - count) };
        if left == count || kind == DATA {
            self.pieces = 0;
        }
    }

    fn pass_integer(&mut self, value: u64) -> Result<(), Code> {
        self.at = match self.at {
            At::Stream if value == CONTROL => At::Kind,
            At::Stream => At::Other,
            At::Kind if value == WEBTRANSPORT => return Err(Code::H3_FRAME_UNEXPECTED),
            At::Kind => At::Length(value),
            At::Length(kind) if kind != DATA && value > self.longest => {
                return Err(Code::H3_EXCESSIVE_LOAD);
            }
            At::Length(kind) if value > 0 => At::Payload(kind, value),
            At::Length(kind) => {
                self.pieces = 0;
                self.empty += u64::from(kind == DATA);
                At::Kind
            }
            within @ (At::Other | At::Payload(..)) => within,
        };
        Ok(())
    }
}

/// An integer of variable length (RFC 9000 section 16), byte by byte.
#[derive(Clone, Copy, Debug, Default)]
struct Integer {
    value: u64,
    left: u8,
}

impl Integer {
    fn is_fresh(self) -> bool {
        self.left == 0
    }

    /// Takes a byte; gives the value with the last one.
    fn take(&mut self, byte: u8) -> Option<u64> {
        if self.left == 0 {
            self.value = u64::from(byte & 0x3f);
            self.left = (1 << (byte >> 6)) - 1;
        } else {
            self.value = self.value << 8 | u64::from(byte);
            self.left -= 1;
        }
        (self.left == 0).then_some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HEADERS of three bytes, DATA of five, an unknown frame without content.
    const REQUEST: &[u8] =
        &[1, 3, b'a', b'b', b'c', 0, 0x40, 5, b'h', b'e', b'l', b'l', b'o', 0x21, 0];

    #[test]
    fn a_stream_may_end_between_frames_only() {
        for cut in 0..=REQUEST.len() {
            let mut frames = Frames::of_request(3);
            for byte in &REQUEST[..cut] {
                frames.pass(std::slice::from_ref(byte)).unwrap();
            }
            let mut at_once = Frames::of_request(3);
            at_once.pass(&REQUEST[..cut]).unwrap();
            assert_eq!(frames.at, at_once.at);
            assert_eq!(frames.is_between(), [0, 5, 13, 15].contains(&cut), "{cut}");
            assert_eq!(frames.data(), cut.saturating_sub(8).min(5) as u64);
        }
    }

    #[test]
    fn frames_that_would_be_kept_have_a_length_and_a_number_of_pieces() {
        assert!(Frames::of_request(2).pass(REQUEST).is_err());
        let mut frames = Frames::of_request(1 << 16);
        frames.pass(&[1, 0x80, 0, 0xff, 0xff]).unwrap();
        let passed = (0..=PIECES).take_while(|_| frames.pass(b"x").is_ok()).count();
        assert!((1..=PIECES as usize).contains(&passed));
        let mut body = Frames::of_request(1 << 16);
        body.pass(&[0, 0x80, 0, 0xff, 0xff]).unwrap();
        assert!((0..1000).all(|_| body.pass(b"x").is_ok()));
        assert_eq!((body.data(), body.empty()), (1000, 0));
        let mut empty = Frames::of_request(1 << 16);
        empty.pass(&[0, 0, 0, 0, 1, 0]).unwrap();
        assert_eq!(empty.empty(), 2);
    }

    #[test]
    fn control_streams_have_frames_and_others_do_not() {
        let settings = [4, 0xbf, 0xff, 0xff, 0xff];
        let mut control = Frames::of_one_way(10);
        control.pass(&[0]).unwrap();
        assert!(control.pass(&settings).is_err());
        let mut encoder = Frames::of_one_way(10);
        encoder.pass(&[2]).unwrap();
        assert!(encoder.pass(&settings).is_ok());
    }

    #[test]
    fn webtransport_is_refused() {
        assert!(Frames::of_request(10).pass(&[0x40, 0x41, 0]).is_err());
    }
}
