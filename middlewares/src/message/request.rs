//! `Request`: a request as a chain sees it.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Method, Version};

use super::{Body, Connection};

/// A request as a chain sees it. The `Host` header is always present and is the host of the request, whatever
/// protocol it came by.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query in canonical form.
    pub target: Target,
    /// The protocol that the client spoke.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// What the HTTP library needs to know, such as a wish to upgrade.
    pub extensions: Extensions,
    /// The body.
    pub body: Body,
    /// The client's connection.
    pub connection: Arc<Connection>,
}

impl Request {
    /// The `Host` header as text; empty if it is missing or not text.
    pub fn host(&self) -> &str {
        self.headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The address of the client.
    pub fn client_ip(&self) -> IpAddr {
        self.connection.peer.ip()
    }

    /// A copy of everything but the body and the extensions, to send again.
    pub fn copy_head(&self) -> Self {
        Self {
            method: self.method.clone(),
            target: self.target.clone(),
            version: self.version,
            headers: self.headers.clone(),
            extensions: Extensions::new(),
            body: Body::Empty,
            connection: Arc::clone(&self.connection),
        }
    }
}

/// The one canonical path and query of a request: rules, middlewares, log and server all see this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(PathAndQuery);

/// A path that no middleware may produce: it is not a valid path, or cleaning it would change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is not in canonical form")]
pub struct BadPath;

impl Target {
    /// Wraps a path and query that is canonical already.
    pub fn canonical(path_and_query: PathAndQuery) -> Self {
        Self(path_and_query)
    }

    /// The escaped path; begins with `/` (or is `*`).
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The query without `?`.
    pub fn query(&self) -> Option<&str> {
        self.0.query()
    }

    /// Path and query as sent.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The value itself; cheap to clone.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.0
    }

    /// Replaces the escaped path and keeps the query.
    pub fn set_path(&mut self, escaped: &str) -> Result<(), BadPath> {
        let text = match self.0.query() {
            Some(query) => format!("{escaped}?{query}"),
            None => escaped.to_owned(),
        };
        self.0 = text.try_into().map_err(|_| BadPath)?;
        Ok(())
    }
}
