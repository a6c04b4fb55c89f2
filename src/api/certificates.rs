//! The certificates of the store as objects of the API.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::View;
use super::list::Row;
use crate::tls::acme::Standing;
use crate::tls::ocsp;

/// Each with its source and, of those that resolvers obtained, when they are renewed and who uses them.
///
/// Traefik: without that.
pub(super) fn rows(view: &View<'_>) -> Vec<Row> {
    let now = jiff::Timestamp::now().as_second();
    let tls = &view.seen.context.tls;
    let store = tls.store();
    let standings = tls.acme().standings();
    let by_names: HashMap<_, _> =
        standings.iter().map(|it| (key(&it.resolver, &it.names), it)).collect();
    let sources = store.sources();
    sources
        .map(|(facts, names, resolver)| {
            let mut value = super::http::object(facts);
            let good = serde_json::to_value(facts.status(now)).unwrap_or_default();
            value.insert("status".to_owned(), good);
            let source = if resolver.is_some() { "acme" } else { "configuration" };
            value.insert("source".to_owned(), source.into());
            if let Some(resolver) = resolver {
                value.insert("resolver".to_owned(), resolver.into());
                if let Some(standing) = by_names.get(&key(resolver, names)) {
                    show(standing, &mut value);
                }
            }
            if let Some(standing) = tls.ocsp().standing(&facts.name) {
                value.insert("ocsp".to_owned(), status(&standing, now));
            }
            let mut row = Row::plain(facts.name.clone(), Value::Object(value));
            row.searched = facts.sans.clone();
            row.searched.push(facts.common_name.clone());
            row
        })
        .collect()
}

fn key(resolver: &str, names: &[String]) -> (String, Vec<String>) {
    let mut names = names.to_vec();
    names.sort();
    (resolver.to_owned(), names)
}

fn show(standing: &Standing, value: &mut Map<String, Value>) {
    if let Some(renewal) = standing.renewal {
        value.insert("renewal".to_owned(), moment(renewal).into());
    }
    if let Some(error) = &standing.error {
        value.insert("renewalError".to_owned(), error.as_str().into());
    }
    value.insert("usedBy".to_owned(), json!(standing.used_by));
}

/// What its issuer says of a certificate, and whether clients get to see it.
fn status(standing: &ocsp::Standing, now: i64) -> Value {
    let mut value = json!({
        "status": standing.state,
        "stapled": standing.shown_until.is_some_and(|until| now < until),
        "failures": standing.failures,
    });
    for (field, time) in [("nextUpdate", standing.ends), ("nextAttempt", standing.next_attempt)] {
        if let Some(time) = time {
            value[field] = moment(time).into();
        }
    }
    if let Some(error) = &standing.error {
        value["error"] = error.as_str().into();
    }
    value
}

/// Seconds since 1970 as RFC 3339.
pub(super) fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
