//! `digitalocean`: zones hosted by DigitalOcean.

use futures_util::future::{BoxFuture, FutureExt as _};
use http::Method;
use portcullis_config::units::Secret;
use serde_json::{Value, json};

use super::super::environment::Environment;
use super::api::{Api, Call, relative};
use super::look_up::LookUp;
use super::{Provider, Record, Tools};

const BASE: &str = "https://api.digitalocean.com";

struct DigitalOcean {
    base: String,
    token: Secret,
    time_to_live: u32,
    api: Api,
    look_up: LookUp,
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    Ok(Box::new(DigitalOcean {
        base: environment.text("DO_API_URL", BASE)?,
        token: environment.required(&["DO_AUTH_TOKEN"])?,
        time_to_live: environment.time_to_live("DO_TTL", 30)?,
        api: tools.api.clone(),
        look_up: tools.look_up.clone(),
    }))
}

impl DigitalOcean {
    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(method, &self.base, path).with_bearer(&self.token)
    }

    async fn add(&self, zone: &str, record: &Record) -> Result<(), String> {
        let body = json!({
            "type": "TXT",
            "name": relative(&record.name, zone),
            "data": record.value,
            "ttl": self.time_to_live,
        });
        let call = self.call(Method::POST, &records(zone));
        self.api.json(call.with_json(&body)).await.map(drop)
    }

    async fn remove(&self, zone: &str, record: &Record) -> Result<(), String> {
        let name = record.name.trim_end_matches('.');
        let list = format!("{}?type=TXT&name={name}&per_page=200", records(zone));
        let found = self.api.json(self.call(Method::GET, &list)).await?;
        let all = found.get("domain_records").and_then(Value::as_array);
        for one in all.into_iter().flatten() {
            let data = one.get("data").and_then(Value::as_str).unwrap_or_default();
            let identifier = one.get("id").and_then(Value::as_u64);
            if let Some(identifier) = identifier.filter(|_| data.trim_matches('"') == record.value)
            {
                let path = format!("{}/{identifier}", records(zone));
                self.api.json(self.call(Method::DELETE, &path)).await?;
            }
        }
        Ok(())
    }
}

fn records(zone: &str) -> String {
    format!("/v2/domains/{}/records", zone.trim_end_matches('.'))
}

impl Provider for DigitalOcean {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.add(&self.look_up.zone(&record.name).await?, record).await }.boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.remove(&self.look_up.zone(&record.name).await?, record).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Double, record};
    use super::*;

    #[tokio::test]
    async fn a_record_is_added_and_only_that_one_removed() {
        let double = Double::new(|asked| match asked.line.split(' ').next() {
            Some("GET") => {
                (200, r#"{"domain_records":[{"id":1,"data":"other"},{"id":2,"data":"v"}]}"#.into())
            }
            Some("POST") => (201, r#"{"domain_record":{"id":2}}"#.into()),
            _ => (204, String::new()),
        })
        .await;
        let provider = DigitalOcean {
            base: double.address.clone(),
            token: Secret("t".into()),
            time_to_live: 30,
            api: Api::new().unwrap(),
            look_up: LookUp::new(&["127.0.0.1:1".to_owned()]).unwrap(),
        };
        provider.add("a.test.", &record("b.a.test", "v")).await.unwrap();
        provider.remove("a.test.", &record("b.a.test", "v")).await.unwrap();
        assert_eq!(
            double.lines(),
            [
                "POST /v2/domains/a.test/records",
                "GET /v2/domains/a.test/records?type=TXT&name=_acme-challenge.b.a.test&per_page=200",
                "DELETE /v2/domains/a.test/records/2",
            ]
        );
        let asked = double.asked();
        let body = json!({"type":"TXT","name":"_acme-challenge.b","data":"v","ttl":30});
        assert_eq!(asked[0].json(), body);
        assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer t"));
    }
}
