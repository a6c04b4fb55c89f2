//! `Problem`: one defect of one configured object, as data.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One defect of one configured object. Collected, never thrown: the rest keeps working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whom it is about.
    pub about: About,
    /// Whether the object still serves.
    pub severity: Severity,
    /// What is wrong, what was expected and, where we can, what to do; lower case, without a final dot.
    pub message: String,
    /// Where it stands in its source, if known.
    pub at: Option<At>,
}

/// The object that a [`Problem`] is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct About {
    /// What sort of object.
    pub kind: Kind,
    /// Its name as its provider spells it; qualified (`web@file`) once merged.
    pub name: String,
}

/// The sorts of objects a problem can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the noun that it names")]
pub enum Kind {
    HttpRouter,
    HttpService,
    HttpMiddleware,
    HttpServersTransport,
    TcpRouter,
    TcpService,
    TcpMiddleware,
    TcpServersTransport,
    UdpRouter,
    UdpService,
    TlsCertificate,
    TlsOptions,
    TlsStore,
    MeshWorkload,
    MeshService,
    MeshPolicy,
    MeshNode,
    EntryPoint,
    Container,
    File,
    Provider,
    Install,
}

/// Whether an object with a problem still serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// It serves, with the restriction that the message names.
    Warning,
    /// It does not serve, nor does what depends on it.
    Error,
}

/// A place in a source: a file with line and column (both from 1; 0 = unknown), a label, a key, a flag.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct At {
    /// File path, `label traefik.http…`, `flag --x`, `environment variable X`.
    pub source: Arc<str>,
    /// Line from 1, or 0 where lines make no sense.
    pub line: u32,
    /// Column from 1, or 0.
    pub column: u32,
}

impl Problem {
    /// A defect that takes the object out of service.
    pub fn error(kind: Kind, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, kind, name.into(), message.into())
    }

    /// A restriction under which the object still serves.
    pub fn warning(kind: Kind, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, kind, name.into(), message.into())
    }

    /// The same problem with the place where it stands.
    pub fn at(mut self, at: Option<At>) -> Self {
        self.at = at;
        self
    }

    fn new(severity: Severity, kind: Kind, name: String, message: String) -> Self {
        Self { about: About { kind, name }, severity, message, at: None }
    }
}

impl Kind {
    /// The noun for messages: `http router`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::HttpRouter => "http router",
            Self::HttpService => "http service",
            Self::HttpMiddleware => "http middleware",
            Self::HttpServersTransport => "http serversTransport",
            Self::TcpRouter => "tcp router",
            Self::TcpService => "tcp service",
            Self::TcpMiddleware => "tcp middleware",
            Self::TcpServersTransport => "tcp serversTransport",
            Self::UdpRouter => "udp router",
            Self::UdpService => "udp service",
            Self::TlsCertificate => "tls certificate",
            Self::TlsOptions => "tls options",
            Self::TlsStore => "tls store",
            Self::MeshWorkload => "mesh workload",
            Self::MeshService => "mesh service",
            Self::MeshPolicy => "mesh policy",
            Self::MeshNode => "mesh node",
            Self::EntryPoint => "entry point",
            Self::Container => "container",
            Self::File => "file",
            Self::Provider => "provider",
            Self::Install => "install configuration",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at:?}: ")?;
        }
        match self.about.name.as_str() {
            "" => f.write_str(&self.message),
            name => write!(f, "{} `{name}`: {}", self.about.kind.noun(), self.message),
        }
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.source),
            (line, 0) => write!(f, "{}:{line}", self.source),
            (line, column) => write!(f, "{}:{line}:{column}", self.source),
        }
    }
}
