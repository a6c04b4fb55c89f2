//! Request bodies read into memory, for services that send a request more than once.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt as _;
use portcullis_middlewares::message::{Body, BodyError};

/// A body that is never larger than this is kept where the settings name no limit, so that memory stays bounded.
pub const MOST: u64 = 64 << 20;

/// A body that was read to its end.
#[derive(Clone, Debug, Default)]
pub struct Buffered {
    bytes: Bytes,
    trailers: Option<HeaderMap<HeaderValue>>,
}

/// What reading a body came to.
#[derive(Debug)]
pub enum Read {
    /// The whole body.
    Whole(Buffered),
    /// The body is larger than the limit; here it is, as it was.
    TooLarge(Body),
    /// The client broke off.
    Broken(BodyError),
}

/// The setting that counts as a limit: negative = none, which means [`MOST`].
pub fn limit(setting: i64) -> u64 {
    u64::try_from(setting).unwrap_or(MOST)
}

/// Reads `body` as long as it has at most `limit` bytes.
pub async fn read(mut body: Body, limit: u64) -> Read {
    if body.is_end() {
        return Read::Whole(Buffered::default());
    }
    if http_body::Body::size_hint(&body).lower() > limit {
        return Read::TooLarge(body);
    }
    let mut read = Buffered::default();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Err(error) => return Read::Broken(error),
            Ok(Ok(data)) => {
                bytes.extend_from_slice(&data);
                if bytes.len() as u64 > limit {
                    return Read::TooLarge(Body::stream(Joined {
                        first: Some(bytes.freeze()),
                        body,
                    }));
                }
            }
            Ok(Err(frame)) => read.trailers = frame.into_trailers().ok(),
        }
    }
    read.bytes = bytes.freeze();
    Read::Whole(read)
}

impl Buffered {
    /// The body once more.
    pub fn body(&self) -> Body {
        match &self.trailers {
            None if self.bytes.is_empty() => Body::Empty,
            None => Body::from(self.bytes.clone()),
            Some(trailers) => {
                let trailers = trailers.clone();
                let body = http_body_util::Full::new(self.bytes.clone())
                    .with_trailers(std::future::ready(Some(Ok(trailers))));
                Body::stream(body.map_err(|never: std::convert::Infallible| match never {}))
            }
        }
    }
}

/// What was read of a body, and the rest of it.
struct Joined {
    first: Option<Bytes>,
    body: Body,
}

impl http_body::Body for Joined {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return std::task::Poll::Ready(Some(Ok(Frame::data(first))));
        }
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        let rest = http_body::Body::size_hint(&self.body);
        let mut hint = http_body::SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn streamed(text: &'static str) -> Body {
        let full = http_body_util::Full::new(Bytes::from_static(text.as_bytes()));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        let body = full.with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
        Body::stream(body.map_err(|never| match never {}))
    }

    #[tokio::test]
    async fn a_body_can_be_had_again_with_its_trailers() {
        let Read::Whole(read) = read(streamed("text"), 4).await else { panic!("not whole") };
        for _ in 0..2 {
            let again = read.body().collect().await.unwrap();
            assert_eq!(again.trailers().unwrap()["x-sum"], "1");
            assert_eq!(again.to_bytes(), "text");
        }
    }

    #[tokio::test]
    async fn a_larger_body_comes_back_whole() {
        for body in [Body::from("text"), streamed("text")] {
            let Read::TooLarge(body) = read(body, 3).await else { panic!("not too large") };
            assert_eq!(body.collect().await.unwrap().to_bytes(), "text");
        }
    }

    #[tokio::test]
    async fn no_body_is_never_too_large() {
        let Read::Whole(read) = read(Body::Empty, 0).await else { panic!("not whole") };
        assert!(read.body().is_end());
    }
}
