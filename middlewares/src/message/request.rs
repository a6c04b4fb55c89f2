//! `Request`: a request as a chain sees it.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Method, Version};

use super::{Body, Connection};
use crate::path;

/// A request as a chain sees it. The `Host` header is always present and is the host of the request, whatever
/// protocol it came by.
///
/// One pointer: a request passes through a dozen nested futures, each of which would have room for it twice and copy it.
#[derive(Debug)]
pub struct Request(Box<Parts>);

/// The parts of a [`Request`].
#[derive(Debug)]
pub struct Parts {
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

impl Deref for Request {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Request {
    /// A request of `parts`.
    pub fn new(parts: Parts) -> Self {
        Self(Box::new(parts))
    }

    /// Its parts.
    pub fn into_parts(self) -> Parts {
        *self.0
    }

    /// The `Host` header as text; empty if it is missing or not text.
    pub fn host(&self) -> &str {
        self.headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The address of the client.
    pub fn client_ip(&self) -> IpAddr {
        self.connection.peer.ip()
    }

    /// A copy of everything but the body and the extensions, to send again. A [`WithoutForwardedFor`] stays.
    pub fn copy_head(&self) -> Self {
        let mut extensions = Extensions::new();
        if let Some(&mark) = self.extensions.get::<WithoutForwardedFor>() {
            extensions.insert(mark);
        }
        Self::new(Parts {
            method: self.method.clone(),
            target: self.target.clone(),
            version: self.version,
            headers: self.headers.clone(),
            extensions,
            body: Body::Empty,
            connection: Arc::clone(&self.connection),
        })
    }
}

/// An extension of requests whose `X-Forwarded-For` a middleware removed on purpose: forwarding must not put the
/// client's address back. Traefik: the `headers` middleware does so with `X-Forwarded-For: ""`.
#[derive(Clone, Copy, Debug)]
pub struct WithoutForwardedFor;

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

    /// The value itself.
    pub fn into_path_and_query(self) -> PathAndQuery {
        self.0
    }

    /// A target that is only an escaped path, which must begin with `/` and be clean.
    pub fn parse_path(escaped: &str) -> Result<Self, BadPath> {
        Ok(Self(check(escaped)?.parse().map_err(|_| BadPath)?))
    }

    /// The same query with another escaped path, which must begin with `/` and be clean.
    pub fn with_path(&self, escaped: &str) -> Result<Self, BadPath> {
        let target = match self.0.query() {
            Some(query) => format!("{}?{query}", check(escaped)?).try_into(),
            None => check(escaped)?.parse(),
        };
        target.map(Self).map_err(|_| BadPath)
    }

    /// Replaces the escaped path and keeps the query.
    pub fn set_path(&mut self, escaped: &str) -> Result<(), BadPath> {
        *self = self.with_path(escaped)?;
        Ok(())
    }

    /// Replaces the path by that of `other` and keeps the query.
    pub fn take_path(&mut self, other: &Self) -> Result<(), BadPath> {
        match self.0.query() {
            Some(_) => self.set_path(other.path()),
            None => {
                self.0 = other.0.clone();
                Ok(())
            }
        }
    }

    /// Puts the path of `prefix`, which must not end with a slash, before the path; `*` stays as it is.
    /// What was clean before is clean afterwards.
    pub fn prepend(&mut self, prefix: &Self) -> Result<(), BadPath> {
        if self.path().starts_with('/') {
            let text = format!("{}{}", prefix.path(), self.0);
            self.0 = text.try_into().map_err(|_| BadPath)?;
        }
        Ok(())
    }
}

/// The path itself if it is one that cleaning would not change. Every edit of a path passes here.
fn check(escaped: &str) -> Result<&str, BadPath> {
    if escaped.starts_with('/') && path::is_clean(escaped) { Ok(escaped) } else { Err(BadPath) }
}
