//! The middleware of `CONTRIBUTING.md`, written against the public interface only: what a contributor needs is there.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_config::Name;
use portcullis_config::tree::text::{self, Format};
use portcullis_middlewares::message::{Parts, Target};
use portcullis_middlewares::{
    Body, Build, Chain, Connection, Defect, Exchange, Filter, Kind, Request, Response, Service,
    Settings, Step,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tells clients which gateway they came through.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Signature {
    /// The name to show.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Settings for Signature {
    const KIND: &'static str = "signature";

    fn compile(self, _: &mut dyn Build) -> Result<Vec<Step>, Defect> {
        let value = HeaderValue::from_str(&self.name)
            .map_err(|_| Defect(format!("name: {:?} cannot stand in a header", self.name)))?;
        Ok(vec![Step::filter(Sign { value })])
    }
}

struct Sign {
    value: HeaderValue,
}

impl Filter for Sign {
    fn response(&self, response: &mut Response, _: &Exchange) {
        response.headers.insert(SIGNATURE, self.value.clone());
    }
}

const SIGNATURE: HeaderName = HeaderName::from_static("x-gateway");

struct Alone(Name);

impl Build for Alone {
    fn name(&self) -> &Name {
        &self.0
    }

    fn middleware(&mut self, name: &str) -> Result<Vec<Step>, Defect> {
        Err(Defect(format!("middleware `{name}` does not exist")))
    }
}

struct Ok200;

impl Service for Ok200 {
    async fn call<'a>(&'a self, _: Request, _: &'a Exchange) -> Response {
        Response::new(StatusCode::OK, "")
    }
}

fn request() -> Request {
    Request::new(Parts {
        method: http::Method::GET,
        target: Target::canonical(PathAndQuery::from_static("/")),
        version: http::Version::HTTP_11,
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        body: Body::Empty,
        connection: Arc::new(Connection {
            peer: SocketAddr::from(([192, 0, 2, 1], 5000)),
            local: SocketAddr::from(([192, 0, 2, 254], 80)),
            entry_point: "web".into(),
            tls: None,
            forwarded_for: None,
        }),
    })
}

#[tokio::test]
async fn middleware_needs_nothing_but_the_public_interface() {
    static KIND: Kind = Kind::of::<Signature>();
    let tree = text::parse("name: north", Format::Yaml, "test").unwrap();
    let mut build = Alone(Name::verbatim("signed@file"));
    let chain = Chain::new((KIND.compile)(&tree, &mut build).unwrap());

    let request = request();
    let exchange = Exchange::begin(Arc::clone(&request.connection));
    let response = chain.run(request, &Ok200, &exchange).await;

    assert_eq!(response.headers[SIGNATURE], "north");
    assert_eq!((KIND.show)(&tree).unwrap(), serde_json::json!({"name": "north"}));
}
