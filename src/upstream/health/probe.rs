//! `Probe`: the question that tells whether a server is healthy, over HTTP or as gRPC's health service.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, TE, USER_AGENT};
use http::uri::{PathAndQuery, Uri};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use portcullis_config::routing::http::HealthCheck;
use portcullis_middlewares::message::{Body, Connection, Parts, Request, Response, Target};
use portcullis_middlewares::{Exchange, path};

use super::active::{Pace, Question};
use crate::upstream::endpoint::{Address, Endpoint, Scheme};
use crate::upstream::forward::{self, Forwarding, HostHeader};

/// The question that tells whether a server is healthy.
#[derive(Debug)]
pub struct Probe {
    endpoint: Arc<Endpoint>,
    method: Method,
    /// What to ask for; an error is what every answer comes to.
    target: Result<PathAndQuery, String>,
    headers: HeaderMap,
    expected: Expected,
}

/// The answer of a healthy server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// A status from 200 to 399.
    Fine(Redirects),
    /// This status.
    Status(u16, Redirects),
    /// gRPC's `SERVING`.
    Serving,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redirects {
    Followed,
    Taken,
}

/// Redirects that are followed at most; as many as browsers and Go do.
const MOST_REDIRECTS: usize = 10;

/// Bytes of an answer that are read, so that its connection can be used again.
const MOST_BODY: usize = 64 * 1024;

impl Question for Probe {
    type Settings = HealthCheck;

    fn pace(settings: &HealthCheck) -> Pace {
        Pace {
            interval: settings.interval,
            unhealthy_interval: settings.unhealthy_interval,
            timeout: settings.timeout,
        }
    }

    fn ask(&self) -> impl Future<Output = Result<(), String>> + Send {
        self.ask_once()
    }
}

impl Probe {
    /// Compiles the settings for the server at `url`. `endpoint` finds or makes endpoints by the service's transport.
    pub fn new(
        settings: &HealthCheck,
        url: &str,
        endpoint: &mut dyn FnMut(Address) -> Arc<Endpoint>,
    ) -> Result<Self, String> {
        let grpc = settings.mode == "grpc";
        let mut address = Address::parse(url)?;
        address.scheme = scheme(&settings.scheme, address.scheme, grpc)?;
        if settings.port != 0 {
            let port = u16::try_from(settings.port);
            let port =
                port.map_err(|_| format!("healthCheck.port: {} is no port", settings.port))?;
            address = address.with_port(port);
        }
        let mut headers = headers(settings)?;
        let host = match settings.hostname.as_str() {
            "" => address.authority.to_string(),
            name => name.to_owned(),
        };
        let host = HeaderValue::try_from(host)
            .map_err(|_| format!("healthCheck.hostname: `{}` is no host", settings.hostname))?;
        headers.insert(HOST, host);
        let endpoint = endpoint(address);
        if grpc {
            return Ok(Self::grpc(endpoint, headers));
        }
        let redirects =
            if settings.follow_redirects { Redirects::Followed } else { Redirects::Taken };
        let expected = match settings.status {
            0 => Expected::Fine(redirects),
            status => {
                let status = u16::try_from(status);
                let status = status.map_err(|_| "healthCheck.status: not a status".to_owned())?;
                Expected::Status(status, redirects)
            }
        };
        let method = match settings.method.as_str() {
            "" => Method::GET,
            name => name
                .to_ascii_uppercase()
                .parse()
                .map_err(|_| format!("healthCheck.method: `{name}` is no method"))?,
        };
        let target = relative(url, &settings.path);
        Ok(Self { endpoint, method, target, headers, expected })
    }

    fn grpc(endpoint: Arc<Endpoint>, mut headers: HeaderMap) -> Self {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_LENGTH, CHECK_REQUEST.len().into());
        let target = Ok(PathAndQuery::from_static("/grpc.health.v1.Health/Check"));
        let expected = Expected::Serving;
        Self { endpoint, method: Method::POST, target, headers, expected }
    }

    /// Asks. The error says what is wrong with the answer.
    async fn ask_once(&self) -> Result<(), String> {
        match self.expected {
            Expected::Serving => self.ask_grpc().await,
            Expected::Fine(redirects) => match self.ask_http(redirects).await?.as_u16() {
                200..=399 => Ok(()),
                status => Err(format!("the answer was {status}, expected one from 200 to 399")),
            },
            Expected::Status(expected, redirects) => {
                match self.ask_http(redirects).await?.as_u16() {
                    status if status == expected => Ok(()),
                    status => Err(format!("the answer was {status}, expected {expected}")),
                }
            }
        }
    }

    /// The status of the final answer.
    async fn ask_http(&self, redirects: Redirects) -> Result<StatusCode, String> {
        let (mut endpoint, mut method) = (Arc::clone(&self.endpoint), self.method.clone());
        let (mut target, mut headers) = (self.target.clone()?, self.headers.clone());
        for _ in 0..=MOST_REDIRECTS {
            let sent = (method.clone(), target.clone(), headers.clone());
            let response = send(&endpoint, sent, Body::Empty).await?;
            let (status, location) = (response.status, response.headers.get(LOCATION).cloned());
            // Whatever follows the head does not matter.
            let _ = Limited::new(response.body, MOST_BODY).collect().await;
            let Some(location) = location.filter(|_| redirects == Redirects::Followed) else {
                return Ok(status);
            };
            match status.as_u16() {
                301..=303 if method != Method::HEAD => method = Method::GET,
                301..=303 | 307 | 308 => {}
                _ => return Ok(status),
            }
            let location = location.to_str().map_err(|_| "the redirect leads nowhere")?;
            if location.starts_with("http://") || location.starts_with("https://") {
                let address = Address::parse(location)?;
                let host = HeaderValue::try_from(&*address.authority);
                headers.insert(HOST, host.map_err(|_| "the redirect leads nowhere")?);
                endpoint = Endpoint::new(address, Arc::clone(&endpoint.transport));
                target = relative(location, "")?;
            } else {
                target = relative(&format!("http://x{target}"), location)?;
            }
        }
        Err(format!("more than {MOST_REDIRECTS} redirects"))
    }

    async fn ask_grpc(&self) -> Result<(), String> {
        let sent = (self.method.clone(), self.target.clone()?, self.headers.clone());
        let response = send(&self.endpoint, sent, Bytes::from_static(CHECK_REQUEST).into()).await?;
        if response.status != StatusCode::OK {
            return Err(format!(
                "the answer was {}, expected one of gRPC",
                response.status.as_u16()
            ));
        }
        let early = response.headers.get(GRPC_STATUS).cloned();
        let body = Limited::new(response.body, MOST_BODY).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        let late = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS)).cloned();
        match late.or(early) {
            Some(status) if status == "0" => {}
            Some(status) => return Err(format!("grpc status {status:?}")),
            None => return Err("the answer has no grpc status".to_owned()),
        }
        if body.to_bytes() == SERVING {
            Ok(())
        } else {
            Err("the server is not serving".to_owned())
        }
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// `HealthCheckRequest` without a service, as a frame of gRPC: not compressed, no bytes.
const CHECK_REQUEST: &[u8] = &[0, 0, 0, 0, 0];

/// `HealthCheckResponse` whose one field says `SERVING`, as a frame.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

async fn send(
    endpoint: &Arc<Endpoint>,
    (method, target, headers): (Method, PathAndQuery, HeaderMap),
    body: Body,
) -> Result<Response, String> {
    let connection = Arc::new(Connection {
        peer: ([127, 0, 0, 1], 0).into(),
        local: ([127, 0, 0, 1], 0).into(),
        entry_point: "health".into(),
        tls: None,
        forwarded_for: None,
    });
    let exchange = Exchange::begin(Arc::clone(&connection));
    let request = Request::new(Parts {
        method,
        target: Target::canonical(target),
        version: Version::HTTP_11,
        headers,
        extensions: Extensions::new(),
        body,
        connection,
    });
    let how = Forwarding { host: HostHeader::Client, base_path: None };
    let response = forward::forward(request, endpoint, &how, &exchange).await;
    if response.fault.is_none() {
        return Ok(response);
    }
    let cause = exchange.into_facts().cause;
    Err(cause.map_or_else(|| "no answer".to_owned(), String::from))
}

/// The scheme of the probe. Traefik: gRPC without TLS unless the check says `https`.
fn scheme(setting: &str, server: Scheme, grpc: bool) -> Result<Scheme, String> {
    match (setting, grpc) {
        ("https", _) => Ok(Scheme::Https),
        ("" | "http" | "h2c", true) => Ok(Scheme::H2c),
        ("", false) => Ok(server),
        ("http", false) => Ok(Scheme::Http),
        ("h2c", false) => Ok(Scheme::H2c),
        (other, _) => Err(format!("healthCheck.scheme: `{other}` is not http, https or h2c")),
    }
}

fn headers(settings: &HealthCheck) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    for (name, value) in &settings.headers {
        let wrong = || format!("healthCheck.headers: `{name}` is no header, or its value is none");
        let parsed = name.parse::<HeaderName>().map_err(|_| wrong())?;
        headers.insert(parsed, HeaderValue::try_from(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

/// `path` resolved against `url` as a link is (RFC 3986 section 5.2), as long as it stays at the same server.
fn relative(url: &str, link: &str) -> Result<PathAndQuery, String> {
    let wrong = |why: &str| format!("healthCheck.path `{link}`: {why}");
    let uri: Uri = url.parse().map_err(|_| wrong("the server's url is none"))?;
    let link_without_fragment = link.split('#').next().unwrap_or_default();
    let (path, query) = match link_without_fragment.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (link_without_fragment, None),
    };
    let before_slash = path.split('/').next().unwrap_or_default();
    if path.starts_with("//") || before_slash.contains(':') {
        return Err(wrong("it may not name a scheme or a host"));
    }
    let (path, query) = match path {
        "" => (uri.path().to_owned(), query.or(uri.query())),
        path if path.starts_with('/') => (path.to_owned(), query),
        path => {
            let (folder, _) = uri.path().rsplit_once('/').unwrap_or_default();
            (format!("{folder}/{path}"), query)
        }
    };
    let path = path::sanitize(&path);
    let text = query.map_or_else(|| path.to_string(), |query| format!("{path}?{query}"));
    text.parse().map_err(|_| wrong("it is no path"))
}

#[cfg(test)]
mod tests;
