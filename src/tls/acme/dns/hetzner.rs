//! `hetzner`: zones hosted by Hetzner, by the interface of its cloud. The older one (`HETZNER_API_KEY`) is gone.

use futures_util::future::{BoxFuture, FutureExt as _};
use http::Method;
use portcullis_config::units::Secret;
use serde_json::json;

use super::super::environment::Environment;
use super::api::{Api, Call, relative};
use super::look_up::LookUp;
use super::{Provider, Record, Tools};

const BASE: &str = "https://api.hetzner.cloud/v1";

struct Hetzner {
    base: String,
    token: Secret,
    time_to_live: u32,
    api: Api,
    look_up: LookUp,
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    let token = environment.optional(&["HETZNER_API_TOKEN"])?;
    let Some(token) = token else {
        let old = environment
            .optional(&["HETZNER_API_KEY"])?
            .map_or("", |_| "; HETZNER_API_KEY is of the interface that was switched off");
        return Err(format!("HETZNER_API_TOKEN (or HETZNER_API_TOKEN_FILE) is not set{old}"));
    };
    Ok(Box::new(Hetzner {
        base: environment.text("HETZNER_BASE_URL", BASE)?,
        token,
        time_to_live: environment.time_to_live("HETZNER_TTL", 120)?,
        api: tools.api.clone(),
        look_up: tools.look_up.clone(),
    }))
}

impl Hetzner {
    /// Adds or removes one record of a set; both leave the others alone.
    async fn change(&self, verb: &str, zone: &str, record: &Record) -> Result<(), String> {
        let name = relative(&record.name, zone);
        let zone = zone.trim_end_matches('.');
        let path = format!("/zones/{zone}/rrsets/{name}/TXT/actions/{verb}");
        let mut body = json!({ "records": [{ "value": format!("\"{}\"", record.value) }] });
        if verb == ADD {
            body["ttl"] = self.time_to_live.into();
        }
        let call = Call::new(Method::POST, &self.base, &path).with_bearer(&self.token);
        self.api.json(call.with_json(&body)).await.map(drop)
    }
}

const ADD: &str = "add_records";
const REMOVE: &str = "remove_records";

impl Provider for Hetzner {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.change(ADD, &self.look_up.zone(&record.name).await?, record).await }
            .boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.change(REMOVE, &self.look_up.zone(&record.name).await?, record).await }
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Double, record};
    use super::*;

    #[tokio::test]
    async fn a_record_is_added_to_its_set_and_removed_from_it() {
        let double =
            Double::new(|_| (201, r#"{"action":{"id":1,"status":"running"}}"#.into())).await;
        let provider = Hetzner {
            base: double.address.clone(),
            token: Secret("t".into()),
            time_to_live: 120,
            api: Api::new().unwrap(),
            look_up: LookUp::new(&["127.0.0.1:1".to_owned()]).unwrap(),
        };
        provider.change(ADD, "a.test.", &record("a.test", "v")).await.unwrap();
        provider.change(REMOVE, "a.test.", &record("a.test", "v")).await.unwrap();
        let set = "POST /zones/a.test/rrsets/_acme-challenge/TXT/actions";
        assert_eq!(double.lines(), [format!("{set}/add_records"), format!("{set}/remove_records")]);
        let asked = double.asked();
        assert_eq!(asked[0].json(), json!({"records":[{"value":"\"v\""}],"ttl":120}));
        assert_eq!(asked[1].json(), json!({"records":[{"value":"\"v\""}]}));
        assert_eq!(asked[0].header("authorization"), "Bearer t");
    }

    #[test]
    fn the_old_key_is_told_to_be_of_no_use() {
        let environment = Environment::of(&[("HETZNER_API_KEY", "k")]);
        let tools = Tools {
            api: Api::new().unwrap(),
            look_up: LookUp::new(&["127.0.0.1".into()]).unwrap(),
        };
        let error = build(&environment, &tools).err().unwrap();
        assert!(error.contains("HETZNER_API_TOKEN") && error.contains("switched off"), "{error}");
    }
}
