//! `dashboard@internal`: a page that leads to the API. This release has no dashboard.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, StatusCode};
use portcullis_middlewares::message::{Request, Response};
use portcullis_middlewares::{Exchange, Service};

/// A page that leads to the API at `base`.
pub struct Dashboard {
    /// Path before `/api`, without a slash at its end; checked by the install configuration.
    pub base: String,
}

impl Service for Dashboard {
    async fn call<'a>(&'a self, request: Request, _: &'a Exchange) -> Response {
        if !matches!(request.target.path(), "/" | "/index.html") {
            return Response::not_found();
        }
        let base = self.base.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let links = ["overview", "rawdata", "http/routers", "http/services", "http/middlewares"];
        let links =
            links.map(|it| format!("<li><a href=\"{base}/api/{it}\">{it}</a></li>\n")).concat();
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Portcullis</title></head>\n\
             <body>\n<h1>Portcullis {}</h1>\n<p>This release has no dashboard yet. The API shows what it would \
             show:</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
        );
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        Response::new(StatusCode::OK, page).with(CONTENT_TYPE, html)
    }
}
