//! `httpreq`: a service of the user's puts records in place.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::{BoxFuture, FutureExt as _};
use http::Method;
use http::header::AUTHORIZATION;
use portcullis_config::units::Secret;
use serde_json::json;

use super::super::environment::Environment;
use super::api::{Api, Call};
use super::{Provider, Record, Tools};

struct HttpReq {
    endpoint: String,
    credentials: Option<Secret>,
    api: Api,
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    let endpoint = environment.required(&["HTTPREQ_ENDPOINT"])?.0;
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err("HTTPREQ_ENDPOINT: expected an http or https address".to_owned());
    }
    if environment.text("HTTPREQ_MODE", "")?.eq_ignore_ascii_case("raw") {
        return Err("HTTPREQ_MODE: the mode `RAW` is not served; leave it out".to_owned());
    }
    let name = environment.optional(&["HTTPREQ_USERNAME"])?;
    let password = environment.optional(&["HTTPREQ_PASSWORD"])?.unwrap_or_default();
    let credentials =
        name.map(|name| Secret(BASE64_STANDARD.encode(format!("{}:{}", name.0, password.0))));
    Ok(Box::new(HttpReq { endpoint, credentials, api: tools.api.clone() }))
}

impl HttpReq {
    async fn call(&self, path: &str, record: &Record) -> Result<(), String> {
        let body = json!({ "fqdn": record.name, "value": record.value });
        let mut call = Call::new(Method::POST, &self.endpoint, path).with_json(&body);
        if let Some(Secret(credentials)) = &self.credentials {
            call = call.with_secret(AUTHORIZATION, &format!("Basic {credentials}"));
        }
        let response = self.api.ask(call).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("POST {path} answers {status}")),
        }
    }
}

impl Provider for HttpReq {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.call("/present", record).boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        self.call("/cleanup", record).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Double, provider, record};
    use super::*;

    #[tokio::test]
    async fn the_service_is_asked_with_name_value_and_credentials() {
        let double = Double::new(|_| (200, String::new())).await;
        let variables = [
            ("HTTPREQ_ENDPOINT", double.address.as_str()),
            ("HTTPREQ_USERNAME", "user"),
            ("HTTPREQ_PASSWORD", "pass"),
        ];
        let httpreq = provider(build, &variables);
        httpreq.present(&record("a.test", "v")).await.unwrap();
        httpreq.clean_up(&record("a.test", "v")).await.unwrap();
        assert_eq!(double.lines(), ["POST /present", "POST /cleanup"]);
        for asked in double.asked() {
            assert_eq!(asked.json(), json!({ "fqdn": "_acme-challenge.a.test.", "value": "v" }));
            assert_eq!(asked.header("authorization"), "Basic dXNlcjpwYXNz");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_credentials() {
        let double = Double::new(|_| (403, "go away".into())).await;
        let httpreq = provider(build, &[("HTTPREQ_ENDPOINT", double.address.as_str())]);
        let error = httpreq.present(&record("a.test", "v")).await.unwrap_err();
        assert_eq!(error, "POST /present answers 403 Forbidden");
    }
}
