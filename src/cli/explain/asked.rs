//! The request to explain, as rules look at it.

use std::net::IpAddr;

use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use portcullis_middlewares::path;

use crate::cli::Explain;
use crate::http::matcher::Subject;
use crate::install::Http;
use crate::snapshot::subject::routing_host;

/// A request as rules look at it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) scheme: Scheme,
    /// The port that the URL names or implies.
    pub(super) port: u16,
    host: String,
    path: String,
    query: String,
    method: String,
    headers: HeaderMap,
    client_ip: IpAddr,
}

/// How the request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the clear.
    Http,
    /// Through TLS.
    Https,
}

impl Asked {
    /// Reads what the command line says. A URL without scheme and host is a path; then a `Host` header names the host.
    pub(super) fn parse(explain: &Explain) -> Result<Self, String> {
        let wrong = |why: String| format!("`{}` is no URL: {why}", explain.url);
        let uri: Uri = explain.url.parse().map_err(|why| wrong(format!("{why}")))?;
        let (scheme, port) = match uri.scheme_str() {
            None | Some("http" | "ws") => (Scheme::Http, 80),
            Some("https" | "wss") => (Scheme::Https, 443),
            Some(other) => {
                return Err(wrong(format!("the scheme is `{other}`, not http or https")));
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &explain.headers {
            let wrong = |why: String| format!("header `{name}: {value}`: {why}");
            let key = HeaderName::try_from(name.as_str()).map_err(|why| wrong(format!("{why}")))?;
            let value = HeaderValue::try_from(value.as_str());
            headers.append(key, value.map_err(|why| wrong(format!("{why}")))?);
        }
        let header = headers.get(::http::header::HOST).and_then(|it| it.to_str().ok());
        let host = header.or(uri.host()).unwrap_or_default();
        Ok(Self {
            scheme,
            port: uri.port_u16().unwrap_or(port),
            host: routing_host(host).into_owned(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            method: explain.method.clone(),
            headers,
            client_ip: explain.client_ip,
        })
    }

    /// The same with its path in the form that rules see at an entry point.
    pub(super) fn arrived(mut self, http: &Http) -> Result<Self, String> {
        let path = path::normalize(&self.path)
            .map_err(|_| format!("`{}` is answered with 400: it is no path", self.path))?;
        let path = if http.sanitize_path { path::sanitize(&path) } else { path };
        self.path = path::routing_path(&path).into_owned();
        Ok(self)
    }
}

impl Subject for Asked {
    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn method(&self) -> &str {
        &self.method
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn query(&self) -> &str {
        &self.query
    }

    fn client_ip(&self) -> IpAddr {
        self.client_ip
    }
}
