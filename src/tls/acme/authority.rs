//! How an authority is reached: the transport below instant-acme, and what it tells beside its answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use super::https::{Boxed, Https, in_full};

/// The transport of one account during one order.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    https: Https,
    heard: Arc<Mutex<Heard>>,
}

/// What the authority told in headers, which instant-acme does not pass on.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// How long to wait, from the last refusal.
    pub(super) retry_after: Option<Duration>,
    /// Where other chains for the certificate are (RFC 8555 section 7.4.2).
    pub(super) alternates: Vec<String>,
    /// The last chain itself.
    pub(super) chain: Option<String>,
}

impl Authority {
    pub(super) fn new(https: Https) -> Self {
        Self { https, heard: Arc::default() }
    }

    /// What it told so far.
    pub(super) fn heard(&self) -> Heard {
        self.heard.lock().clone()
    }
}

impl HttpClient for Authority {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Boxed<Result<BytesResponse, Error>> {
        let (https, heard) = (self.https.clone(), Arc::clone(&self.heard));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let to = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
            let sent = https.send(Request::from_parts(parts, Full::new(body))).await;
            let response =
                sent.map_err(|error| Error::Other(format!("{to}: {}", in_full(&error)).into()))?;
            heard.lock().listen(&response);
            if !response.status().is_success() && !is_problem(response.headers()) {
                let message = format!("{to} answers {}", response.status());
                return Err(Error::Other(message.into()));
            }
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

impl Heard {
    fn listen(&mut self, response: &Response<Bytes>) {
        let headers = response.headers();
        let refused = response.status().is_client_error() || response.status().is_server_error();
        if refused {
            self.retry_after = retry_after(headers, SystemTime::now());
            if self.retry_after.is_none() && response.status() == StatusCode::TOO_MANY_REQUESTS {
                self.retry_after = Some(Duration::from_hours(1));
            }
        }
        if kind(headers).is_some_and(|kind| kind.starts_with("application/pem-certificate-chain")) {
            self.chain = String::from_utf8(response.body().to_vec()).ok();
            self.alternates.extend(alternates(headers));
        }
    }
}

fn kind(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Whether the body says what is wrong (RFC 7807).
fn is_problem(headers: &HeaderMap) -> bool {
    kind(headers).is_some_and(|kind| kind.contains("json"))
}

/// RFC 9110 section 10.2.3: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    SystemTime::from(date).duration_since(now).ok()
}

/// The targets of `Link: <…>;rel="alternate"` (RFC 8288).
fn alternates(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(LINK).iter().filter_map(|line| line.to_str().ok());
    let links = lines.flat_map(|line| line.split(',')).filter_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let parameters = parameters.replace([' ', '"'], "").to_ascii_lowercase();
        parameters.split(';').any(|it| it == "rel=alternate").then(|| target.to_owned())
    });
    // Nobody offers more than a few.
    links.take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 90);
        let wait = |text| retry_after(&headers(RETRY_AFTER, text), now);
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn other_chains_are_found_among_links() {
        let links = headers(
            LINK,
            "<https://ca.test/1>;rel=\"index\", <https://ca.test/2>; rel=\"alternate\", <https://ca.test/3>;rel=alternate",
        );
        assert_eq!(alternates(&links), ["https://ca.test/2", "https://ca.test/3"]);
        assert!(alternates(&headers(LINK, "<broken; rel=alternate, ,>")).is_empty());
    }

    #[test]
    fn too_many_orders_without_a_time_mean_an_hour() {
        let mut heard = Heard::default();
        let response = Response::builder().status(429).body(Bytes::new()).unwrap();
        heard.listen(&response);
        assert_eq!(heard.retry_after, Some(Duration::from_hours(1)));
    }
}
