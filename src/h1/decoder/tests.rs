use super::*;

/// What comes out of `text`, given in pieces of `size` bytes: the data, whether the end was reached, the trailers.
fn chunked(text: &[u8], size: usize) -> Result<(Vec<u8>, bool, Option<HeaderMap>), Error> {
    let (mut decoder, mut buffer) = (Decoder::chunked(), BytesMut::new());
    let (mut data, mut trailers) = (Vec::new(), None);
    for piece in text.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer)? {
                Step::Frame(frame) => match frame.into_data() {
                    Ok(bytes) => data.extend_from_slice(&bytes),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Step::End => return Ok((data, true, trailers)),
                Step::More => break,
            }
        }
    }
    Ok((data, decoder.is_done(), trailers))
}

#[test]
fn chunks_come_out_whole_however_they_came() {
    let text = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
    for size in 1..=text.len() {
        let (data, ended, trailers) = chunked(text, size).unwrap();
        assert_eq!((&*data, ended, trailers), (&b"hello world"[..], true, None), "{size}");
    }
}

#[test]
fn trailers_follow_the_last_chunk() {
    let text = b"1\r\na\r\n0\r\nx-sum: 1\r\nx-two: 2\r\n\r\n";
    for size in 1..=text.len() {
        let (data, ended, trailers) = chunked(text, size).unwrap();
        let trailers = trailers.unwrap();
        assert!(ended && data == b"a" && trailers["x-sum"] == "1" && trailers["x-two"] == "2");
    }
}

#[test]
fn what_is_not_a_chunk_is_an_error() {
    let wrong: &[&[u8]] = &[
        b"\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"+1\r\na\r\n0\r\n\r\n",
        b"1_0\r\na\r\n0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b"1;a\rb\r\na\r\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\n\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n : x\r\n\r\n",
    ];
    for text in wrong {
        let shown = text.escape_ascii().to_string();
        assert!(chunked(text, text.len()).is_err(), "{shown}");
        assert!(chunked(text, 1).is_err(), "byte by byte: {shown}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let line = format!("1;{}\r\na\r\n", "x".repeat(4000));
    assert!(matches!(chunked(line.repeat(5).as_bytes(), 999), Err(Error::TooLarge)));
    let long = format!("1;{}", "x".repeat(5000));
    assert!(matches!(chunked(long.as_bytes(), 100), Err(Error::TooLarge)));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(4000));
    assert!(matches!(chunked(trailers.as_bytes(), 100), Err(Error::TooLarge)));
}

#[test]
fn the_last_frame_is_known_to_be_the_last() {
    let mut buffer = BytesMut::from(&b"2\r\nab\r\n0\r\n\r\nnext"[..]);
    let mut decoder = Decoder::chunked();
    assert!(matches!(decoder.decode(&mut buffer), Ok(Step::Frame(_))));
    assert!(decoder.is_done());
    assert_eq!(&*buffer, b"next");
    let (mut decoder, mut buffer) = (Decoder::of_length(3), BytesMut::from(&b"abcd"[..]));
    assert!(matches!(decoder.decode(&mut buffer), Ok(Step::Frame(_))));
    assert!(decoder.is_done());
    assert_eq!(&*buffer, b"d");
}
