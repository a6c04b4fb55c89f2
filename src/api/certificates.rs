//! The certificates of the store as objects of the API.

use serde_json::Value;

use super::View;
use super::list::Row;

pub(super) fn rows(view: &View<'_>) -> Vec<Row> {
    let now = jiff::Timestamp::now().as_second();
    let store = view.seen.context.tls.store();
    let facts = store.facts();
    facts
        .map(|facts| {
            let mut value = super::http::object(facts);
            let status = serde_json::to_value(facts.status(now)).unwrap_or_default();
            value.insert("status".to_owned(), status);
            let mut row = Row::plain(facts.name.clone(), Value::Object(value));
            row.searched = facts.sans.clone();
            row.searched.push(facts.common_name.clone());
            row
        })
        .collect()
}
