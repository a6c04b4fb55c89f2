//! For the tests of this crate: a chain over a service that echoes what it saw.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use http_body_util::BodyExt;
use portcullis_config::Name;
use portcullis_config::tree::Tree;
use portcullis_config::tree::text::{self, Format};

use crate::message::{Body, Connection, Parts, Request, Response, Target, Tls};
use crate::{Build, Chain, Defect, Exchange, Kind, Service, Settings, Step};

/// Compiles middlewares by kind and settings; `Build::middleware` finds those given to `with`.
pub(crate) struct TestBuild {
    name: Name,
    others: Vec<(String, &'static str, Tree)>,
}

impl TestBuild {
    /// Nothing else is configured.
    pub(crate) fn new() -> Self {
        Self { name: Name::verbatim("tested@file"), others: Vec::new() }
    }

    /// Another middleware that can be named.
    pub(crate) fn with(mut self, name: &str, kind: &'static str, settings: Tree) -> Self {
        self.others.push((name.to_owned(), kind, settings));
        self
    }

    /// Compiles one middleware.
    pub(crate) fn compile(&mut self, kind: &str, settings: &Tree) -> Result<Chain, Defect> {
        let kind = crate::kind(kind).unwrap();
        (kind.compile)(settings, self).map(Chain::new)
    }
}

impl Build for TestBuild {
    fn name(&self) -> &Name {
        &self.name
    }

    fn middleware(&mut self, name: &str) -> Result<Vec<Step>, Defect> {
        let found = self.others.iter().find(|(other, ..)| other == name);
        let Some((_, kind, settings)) = found.cloned() else {
            return Err(Defect(format!("middleware `{name}` does not exist")));
        };
        (crate::kind(kind).unwrap().compile)(&settings, self)
    }
}

/// Compiles one middleware from its settings, on the way that a file takes.
pub(crate) fn compile<S: Settings>(settings: serde_json::Value) -> Result<Chain, Defect> {
    let tree = text::parse(&settings.to_string(), Format::Json, "test").unwrap();
    (Kind::of::<S>().compile)(&tree, &mut TestBuild::new()).map(Chain::new)
}

/// Answers 200 with `X-Method`, `X-Target` and every request header as `Saw-<name>`; a request header
/// `Reply-<name>` comes back as `<name>`.
pub(crate) struct Echo;

impl Service for Echo {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        let mut response = Response::new(StatusCode::OK, "echo");
        let target = HeaderValue::from_str(request.target.as_str()).unwrap();
        response.headers.insert("x-target", target);
        let method = HeaderValue::from_str(request.method.as_str()).unwrap();
        response.headers.insert("x-method", method);
        for (name, value) in &request.headers {
            if let Some(name) = name.as_str().strip_prefix("reply-") {
                response.headers.append(name.parse::<HeaderName>().unwrap(), value.clone());
            }
            let name: HeaderName = format!("saw-{name}").parse().unwrap();
            response.headers.append(name, value.clone());
        }
        response
    }
}

/// A request from 192.0.2.1:5000 without TLS: `request("GET", "example.com", "/a?b", &[("accept", "x")])`.
pub(crate) fn request(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    request_from("192.0.2.1:5000".parse().unwrap(), method, host, target, headers)
}

/// A request from another address.
pub(crate) fn request_from(
    peer: SocketAddr,
    method: &str,
    host: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Request {
    let mut map = HeaderMap::new();
    map.insert("host", HeaderValue::from_str(host).unwrap());
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    Request::new(Parts {
        method: method.parse().unwrap(),
        target: Target::canonical(target.parse().unwrap()),
        version: Version::HTTP_11,
        headers: map,
        extensions: http::Extensions::new(),
        body: Body::Empty,
        connection: Arc::new(Connection {
            peer,
            local: "192.0.2.254:80".parse().unwrap(),
            entry_point: "web".into(),
            tls: None,
            forwarded_for: None,
        }),
    })
}

/// The same request as it comes over TLS.
pub(crate) fn over_tls(mut request: Request) -> Request {
    request.connection = Arc::new(Connection {
        peer: request.connection.peer,
        local: request.connection.local,
        entry_point: Arc::clone(&request.connection.entry_point),
        forwarded_for: request.connection.forwarded_for.clone(),
        tls: Some(Tls {
            server_name: None,
            version: "1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            client_certificates: Vec::new(),
            options: "default".into(),
        }),
    });
    request
}

/// Settings as a user writes them, in YAML.
pub(crate) fn settings(yaml: &str) -> Tree {
    text::parse(yaml, Format::Yaml, "settings").unwrap()
}

/// Runs a request through a chain that never waits.
pub(crate) fn run_now(chain: &Chain, request: Request) -> Response {
    run(chain, request).now_or_never().unwrap()
}

/// Runs a request through a chain over [`Echo`].
pub(crate) async fn run(chain: &Chain, request: Request) -> Response {
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    chain.run(request, &Echo, &exchange).await
}

/// The whole body as text.
pub(crate) async fn text(response: Response) -> String {
    let bytes = response.body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
