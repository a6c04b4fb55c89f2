//! The certificates that resolvers are to obtain, as objects of the API. Traefik: nothing like it.

use serde_json::{Value, json};

use super::View;
use super::certificates::moment;
use super::list::Row;
use crate::tls::acme::{Standing, State};

/// What became of every wanted certificate.
pub(super) fn certificates(view: &View<'_>) -> Vec<Row> {
    view.seen.context.tls.acme().standings().into_iter().map(row).collect()
}

fn row(standing: Standing) -> Row {
    let name = format!("{}@{}.acme", standing.names.join(","), standing.resolver);
    let status = match standing.state {
        State::Valid | State::Renewing => "enabled",
        State::Ordering | State::Waiting => "warning",
        State::Failing => "disabled",
    };
    let mut value = json!({
        "name": name,
        "resolver": &*standing.resolver,
        "sans": standing.names,
        "state": standing.state,
        "status": status,
        "failures": standing.failures,
        "usedBy": standing.used_by,
    });
    let times = [
        ("notAfter", standing.expires),
        ("renewal", standing.renewal),
        ("nextAttempt", standing.next_attempt.filter(|_| standing.failures > 0)),
    ];
    for (field, time) in times {
        if let Some(time) = time {
            value[field] = Value::String(moment(time));
        }
    }
    if let Some(error) = &standing.error {
        value["error"] = json!([error]);
    }
    let mut row = Row::plain(name, value);
    row.searched = standing.names;
    row.searched.push(standing.resolver.to_string());
    row
}
