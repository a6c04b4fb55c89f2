//! `route53`: zones hosted by Amazon Route 53.

mod sign;

use futures_util::future::{BoxFuture, FutureExt as _};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use self::sign::Credentials;
use super::super::environment::Environment;
use super::api::{Api, Call};
use super::look_up::LookUp;
use super::{Provider, Record, Tools};
use crate::tls::acme::failure::bounded;

const BASE: &str = "https://route53.amazonaws.com";

/// The version of the interface.
const VERSION: &str = "/2013-04-01";

/// What AWS leaves as it is in queries.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

struct Route53 {
    base: String,
    credentials: Credentials,
    zone: Option<String>,
    time_to_live: u32,
    api: Api,
    look_up: LookUp,
    /// A set is read, changed and written as a whole.
    changing: tokio::sync::Mutex<()>,
}

pub(super) fn build(environment: &Environment, tools: &Tools) -> Result<Box<dyn Provider>, String> {
    let zone = environment.text("AWS_HOSTED_ZONE_ID", "")?;
    Ok(Box::new(Route53 {
        base: environment.text("AWS_ENDPOINT_URL", BASE)?,
        credentials: Credentials {
            key: environment.required(&["AWS_ACCESS_KEY_ID"])?,
            secret: environment.required(&["AWS_SECRET_ACCESS_KEY"])?,
            session: environment.optional(&["AWS_SESSION_TOKEN"])?,
        },
        zone: (!zone.is_empty()).then_some(zone),
        time_to_live: environment.time_to_live("AWS_TTL", 10)?,
        api: tools.api.clone(),
        look_up: tools.look_up.clone(),
        changing: tokio::sync::Mutex::new(()),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zones {
    hosted_zones: ZoneList,
}

#[derive(Default, Deserialize)]
struct ZoneList {
    #[serde(rename = "HostedZone", default)]
    zones: Vec<Zone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Zone {
    id: String,
    name: String,
    #[serde(default)]
    config: ZoneConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ZoneConfig {
    private_zone: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sets {
    resource_record_sets: SetList,
}

#[derive(Default, Deserialize)]
struct SetList {
    #[serde(rename = "ResourceRecordSet", default)]
    sets: Vec<Set>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    name: String,
    r#type: String,
    #[serde(rename = "TTL", default)]
    time_to_live: Option<u32>,
    #[serde(default)]
    resource_records: RecordList,
}

#[derive(Default, Deserialize)]
struct RecordList {
    #[serde(rename = "ResourceRecord", default)]
    records: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    value: String,
}

impl Route53 {
    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: String,
    ) -> Result<T, String> {
        let encoded = |text: &str| utf8_percent_encode(text, QUERY).to_string();
        let mut pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        pairs.sort();
        let (path, query) = (format!("{VERSION}{path}"), pairs.join("&"));
        let mark = if query.is_empty() { "" } else { "?" };
        let what = format!("{method} {path}");
        let now = jiff::Timestamp::now();
        let host = self.base.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
        let asked =
            sign::Asked { method: method.as_str(), host, path: &path, query: &query, body: &body };
        let headers = self.credentials.sign(&asked, now);
        let mut call = Call::new(method, &self.base, &format!("{path}{mark}{query}"));
        for (name, value) in headers {
            call = call.with_secret(name, &value);
        }
        if !body.is_empty() {
            call = call.with_text("application/xml", body);
        }
        let response = self.api.ask(call).await?;
        let text = String::from_utf8_lossy(response.body());
        if !response.status().is_success() {
            return Err(format!("{what} answers {}: {}", response.status(), bounded(&text)));
        }
        quick_xml::de::from_str(&text).map_err(|error| format!("{what}: {error}"))
    }

    /// The identifier of the zone that `name` is in.
    async fn zone(&self, name: &str) -> Result<String, String> {
        match &self.zone {
            Some(zone) => Ok(zone.clone()),
            None => self.zone_called(&self.look_up.zone(name).await?).await,
        }
    }

    async fn zone_called(&self, zone: &str) -> Result<String, String> {
        let found: Zones = self
            .ask(Method::GET, "/hostedzonesbyname", &[("dnsname", zone)], String::new())
            .await?;
        let own = |it: &&Zone| it.name == zone && !it.config.private_zone;
        let found = found.hosted_zones.zones.iter().find(own);
        let found = found.ok_or_else(|| format!("the account has no public zone `{zone}`"))?;
        Ok(found.id.trim_start_matches("/hostedzone/").to_owned())
    }

    /// Changes the texts of the record's set: a set is replaced as a whole.
    async fn change(
        &self,
        zone: &str,
        record: &Record,
        change: impl Fn(&mut Vec<String>, String),
    ) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        let path = format!("/hostedzone/{zone}/rrset");
        let query = [("name", record.name.as_str()), ("type", "TXT"), ("maxitems", "1")];
        let found: Sets = self.ask(Method::GET, &path, &query, String::new()).await?;
        let own = |it: &Set| it.name == record.name && it.r#type == "TXT";
        let old = found.resource_record_sets.sets.into_iter().find(own);
        let time_to_live =
            old.as_ref().and_then(|old| old.time_to_live).unwrap_or(self.time_to_live);
        let before: Vec<String> = old
            .map(|old| old.resource_records.records.into_iter().map(|text| text.value).collect())
            .unwrap_or_default();
        let mut after = before.clone();
        change(&mut after, format!("\"{}\"", record.value));
        let (action, texts) = match (&*before, &*after) {
            (before, after) if before == after => return Ok(()),
            (before, []) => ("DELETE", before),
            (_, after) => ("UPSERT", after),
        };
        let body = batch(action, &record.name, time_to_live, texts);
        let _: serde::de::IgnoredAny =
            self.ask(Method::POST, &format!("{path}/"), &[], body).await?;
        Ok(())
    }
}

fn batch(action: &str, name: &str, time_to_live: u32, texts: &[String]) -> String {
    let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
    let record =
        |text: &String| format!("<ResourceRecord><Value>{}</Value></ResourceRecord>", escape(text));
    let records = texts.iter().map(record).collect::<Vec<_>>().concat();
    format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
         <ChangeBatch><Changes><Change><Action>{action}</Action><ResourceRecordSet>\
         <Name>{}</Name><Type>TXT</Type><TTL>{time_to_live}</TTL>\
         <ResourceRecords>{records}</ResourceRecords></ResourceRecordSet></Change></Changes>\
         </ChangeBatch></ChangeResourceRecordSetsRequest>",
        escape(name)
    )
}

fn add(texts: &mut Vec<String>, text: String) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

fn remove(texts: &mut Vec<String>, text: String) {
    texts.retain(|own| *own != text);
}

impl Provider for Route53 {
    fn present<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.change(&self.zone(&record.name).await?, record, add).await }.boxed()
    }

    fn clean_up<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<(), String>> {
        async move { self.change(&self.zone(&record.name).await?, record, remove).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Double, record};
    use super::*;
    use portcullis_config::units::Secret;

    const ZONES: &str = "<ListHostedZonesByNameResponse><HostedZones><HostedZone><Id>/hostedzone/PRIV</Id>\
        <Name>a.test.</Name><Config><PrivateZone>true</PrivateZone></Config></HostedZone><HostedZone>\
        <Id>/hostedzone/Z1</Id><Name>a.test.</Name><Config><PrivateZone>false</PrivateZone></Config>\
        </HostedZone></HostedZones></ListHostedZonesByNameResponse>";

    fn sets(texts: &[&str]) -> String {
        let record =
            |text: &&str| format!("<ResourceRecord><Value>\"{text}\"</Value></ResourceRecord>");
        let records = texts.iter().map(record).collect::<Vec<_>>().concat();
        format!(
            "<ListResourceRecordSetsResponse><ResourceRecordSets><ResourceRecordSet>\
             <Name>_acme-challenge.a.test.</Name><Type>TXT</Type><TTL>10</TTL><ResourceRecords>{records}\
             </ResourceRecords></ResourceRecordSet></ResourceRecordSets></ListResourceRecordSetsResponse>"
        )
    }

    async fn route53(texts: &'static [&'static str]) -> (Double, Route53) {
        let double = Double::new(move |asked| match asked.line.as_str() {
            line if line.contains("hostedzonesbyname") => (200, ZONES.into()),
            line if line.starts_with("GET") => (200, sets(texts)),
            _ => (200, "<ChangeResourceRecordSetsResponse/>".into()),
        })
        .await;
        let provider = Route53 {
            base: double.address.clone(),
            credentials: Credentials {
                key: Secret("AK".into()),
                secret: Secret("hush".into()),
                session: Some(Secret("st".into())),
            },
            zone: None,
            time_to_live: 10,
            api: Api::new().unwrap(),
            look_up: LookUp::new(&["127.0.0.1:1".to_owned()]).unwrap(),
            changing: tokio::sync::Mutex::new(()),
        };
        (double, provider)
    }

    #[tokio::test]
    async fn a_text_joins_the_set_and_leaves_it() {
        let (double, provider) = route53(&["other"]).await;
        assert_eq!(provider.zone_called("a.test.").await.unwrap(), "Z1");
        provider.change("Z1", &record("a.test", "v"), add).await.unwrap();
        let asked = double.asked();
        assert_eq!(asked[2].line, "POST /2013-04-01/hostedzone/Z1/rrset/");
        let body = &asked[2].body;
        assert!(
            body.contains("<Action>UPSERT</Action>") && body.contains("<TTL>10</TTL>"),
            "{body}"
        );
        assert!(body.contains("&quot;other&quot;") && body.contains("&quot;v&quot;"), "{body}");
        let authorization = asked[2].header("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AK/"), "{authorization}");
        assert_eq!(asked[2].header("x-amz-security-token"), "st");
        assert!(asked.iter().all(|asked| !format!("{asked:?}").contains("hush")));
    }

    #[tokio::test]
    async fn the_last_text_takes_the_set_with_it() {
        let (double, provider) = route53(&["v"]).await;
        provider.change("Z1", &record("a.test", "v"), remove).await.unwrap();
        assert!(double.asked()[1].body.contains("<Action>DELETE</Action>"));
        // What is not there need not be removed.
        provider.change("Z1", &record("a.test", "w"), remove).await.unwrap();
        assert_eq!(double.asked().len(), 3);
    }
}
