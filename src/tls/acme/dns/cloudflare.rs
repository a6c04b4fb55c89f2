//! `cloudflare`: zones hosted by Cloudflare.

use futures_util::future::{BoxFuture, FutureExt as _};
use http::{HeaderName, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_config::units::Secret;
use serde_json::{Value, json};

use super::super::environment::Environment;
use super::api::{Api, Call};
use super::look_up::LookUp;
use super::{Provider, Record, Tools};

const BASE: &str = "https://api.cloudflare.com/client/v4";

struct Cloudflare {
    base: String,
    key: Key,
    /// May read zones; without it `key` does.
    zone_token: Option<Secret>,
    time_to_live: u32,
    api: Api,
    look_up: LookUp,
}

/// How the account is shown.
enum Key {
    Token(Secret),
    Global { email: Secret, key: Secret },
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    let token = environment.optional(&["CLOUDFLARE_DNS_API_TOKEN", "CF_DNS_API_TOKEN"])?;
    let email = environment.optional(&["CLOUDFLARE_EMAIL", "CF_API_EMAIL"])?;
    let global = environment.optional(&["CLOUDFLARE_API_KEY", "CF_API_KEY"])?;
    let key = match (token, email, global) {
        (Some(token), _, _) => Key::Token(token),
        (None, Some(email), Some(key)) => Key::Global { email, key },
        _ => {
            let message = "CLOUDFLARE_DNS_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY, \
                           are not set (or their twins with CF_ or _FILE)";
            return Err(message.to_owned());
        }
    };
    Ok(Box::new(Cloudflare {
        base: environment.text("CLOUDFLARE_BASE_URL", BASE)?,
        key,
        zone_token: environment.optional(&["CLOUDFLARE_ZONE_API_TOKEN", "CF_ZONE_API_TOKEN"])?,
        // Cloudflare takes nothing below.
        time_to_live: environment.time_to_live("CLOUDFLARE_TTL", 120)?.max(120),
        api: tools.api.clone(),
        look_up: tools.look_up.clone(),
    }))
}

impl Cloudflare {
    fn call(&self, method: Method, path: &str) -> Call {
        let call = Call::new(method, &self.base, path);
        match &self.key {
            Key::Token(token) => call.with_bearer(token),
            Key::Global { email, key } => call
                .with_secret(HeaderName::from_static("x-auth-email"), &email.0)
                .with_secret(HeaderName::from_static("x-auth-key"), &key.0),
        }
    }

    /// The identifier of the nearest zone above `name` that the account has.
    async fn zone(&self, name: &str) -> Result<String, String> {
        let zone = self.look_up.zone(name).await?;
        self.zone_called(zone.trim_end_matches('.')).await
    }

    async fn zone_called(&self, zone: &str) -> Result<String, String> {
        let path = format!("/zones?name={zone}");
        let call = match &self.zone_token {
            Some(token) => Call::new(Method::GET, &self.base, &path).with_bearer(token),
            None => self.call(Method::GET, &path),
        };
        let found = self.api.json(call).await?;
        let identifier = found.pointer("/result/0/id").and_then(Value::as_str);
        identifier.map(str::to_owned).ok_or_else(|| format!("the account has no zone `{zone}`"))
    }

    async fn add(&self, zone: &str, record: &Record) -> Result<(), String> {
        let body = json!({
            "type": "TXT",
            "name": record.name.trim_end_matches('.'),
            "content": quoted(&record.value),
            "ttl": self.time_to_live,
        });
        let call = self.call(Method::POST, &format!("/zones/{zone}/dns_records"));
        let added = self.api.json(call.with_json(&body)).await;
        match added {
            // It is there already: from an attempt before.
            Err(error) if error.contains("81058") => Ok(()),
            added => added.map(drop),
        }
    }

    async fn remove(&self, zone: &str, record: &Record) -> Result<(), String> {
        let name = utf8_percent_encode(record.name.trim_end_matches('.'), NON_ALPHANUMERIC);
        let list = format!("/zones/{zone}/dns_records?type=TXT&name={name}");
        let found = self.api.json(self.call(Method::GET, &list)).await?;
        let all = found.get("result").and_then(Value::as_array);
        for one in all.into_iter().flatten() {
            let content = one.get("content").and_then(Value::as_str).unwrap_or_default();
            let identifier = one.get("id").and_then(Value::as_str);
            if let Some(identifier) =
                identifier.filter(|_| content.trim_matches('"') == record.value)
            {
                let path = format!("/zones/{zone}/dns_records/{identifier}");
                self.api.json(self.call(Method::DELETE, &path)).await?;
            }
        }
        Ok(())
    }
}

/// Cloudflare wants the text between quotes.
fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

impl Provider for Cloudflare {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.add(&self.zone(&record.name).await?, record).await }.boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.remove(&self.zone(&record.name).await?, record).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Double, record};
    use super::*;

    async fn double() -> Double {
        Double::new(|asked| match asked.line.as_str() {
            "GET /zones?name=a.test" => (200, r#"{"result":[{"id":"z1"}]}"#.into()),
            line if line.starts_with("GET /zones?") => (200, r#"{"result":[]}"#.into()),
            line if line.starts_with("GET ") => (
                200,
                r#"{"result":[{"id":"r1","content":"\"other\""},{"id":"r2","content":"\"v\""}]}"#
                    .into(),
            ),
            _ => (200, r#"{"success":true}"#.into()),
        })
        .await
    }

    fn cloudflare(double: &Double, variables: &[(&str, &str)]) -> Cloudflare {
        let environment = Environment::of(variables);
        let token = environment.optional(&["CF_DNS_API_TOKEN"]).unwrap();
        let key = match token {
            Some(token) => Key::Token(token),
            None => Key::Global { email: Secret("ops@a.test".into()), key: Secret("k".into()) },
        };
        Cloudflare {
            base: double.address.clone(),
            key,
            zone_token: environment.optional(&["CF_ZONE_API_TOKEN"]).unwrap(),
            time_to_live: 120,
            api: Api::new().unwrap(),
            look_up: LookUp::new(&["127.0.0.1:1".to_owned()]).unwrap(),
        }
    }

    #[tokio::test]
    async fn a_record_is_added_and_only_that_one_removed() {
        let double = double().await;
        let cloudflare =
            cloudflare(&double, &[("CF_DNS_API_TOKEN", "t"), ("CF_ZONE_API_TOKEN", "z")]);
        let (zone, record) =
            (cloudflare.zone_called("a.test").await.unwrap(), record("a.test", "v"));
        cloudflare.add(&zone, &record).await.unwrap();
        cloudflare.remove(&zone, &record).await.unwrap();
        assert_eq!(
            double.lines(),
            [
                "GET /zones?name=a.test",
                "POST /zones/z1/dns_records",
                "GET /zones/z1/dns_records?type=TXT&name=%5Facme%2Dchallenge%2Ea%2Etest",
                "DELETE /zones/z1/dns_records/r2",
            ]
        );
        let asked = double.asked();
        let body =
            json!({"type":"TXT","name":"_acme-challenge.a.test","content":"\"v\"","ttl":120});
        assert_eq!(asked[1].json(), body);
        assert_eq!(asked[0].header("authorization"), "Bearer z");
        assert_eq!(asked[1].header("authorization"), "Bearer t");
    }

    #[tokio::test]
    async fn the_global_key_goes_with_its_address() {
        let double = double().await;
        let error = cloudflare(&double, &[]).zone_called("b.test").await.unwrap_err();
        assert_eq!(error, "the account has no zone `b.test`");
        let asked = double.asked();
        assert_eq!(
            (asked[0].header("x-auth-email"), asked[0].header("x-auth-key")),
            ("ops@a.test", "k")
        );
    }
}
