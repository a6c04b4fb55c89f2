//! Lists: filtered, sorted and cut into pages as the query says.

use std::cmp::Reverse;
use std::collections::HashMap;

use ::http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use portcullis_middlewares::message::Response;
use serde_json::Value;

use super::answer::{failure, json};

/// Pages hold this many objects unless the query says otherwise.
const PER_PAGE: usize = 100;

const NEXT_PAGE: HeaderName = HeaderName::from_static("x-next-page");

/// One object of a collection.
pub(super) struct Row {
    /// Its name.
    pub(super) name: String,
    /// As `rawdata` shows it.
    pub(super) value: Value,
    /// What lists and details add.
    pub(super) tail: Vec<(&'static str, Value)>,
    /// What `search` looks into, beside the name.
    pub(super) searched: Vec<String>,
    /// The service of a router, and its middlewares, in full.
    pub(super) uses: Vec<String>,
}

impl Row {
    /// A row of which nothing but the name is searched.
    pub(super) fn plain(name: String, value: Value) -> Self {
        Self { name, value, tail: Vec::new(), searched: Vec::new(), uses: Vec::new() }
    }

    /// A configured object, whose name ends with its provider.
    pub(super) fn object(name: &str, value: Value) -> Self {
        let provider = name.rsplit_once('@').map_or("", |(_, provider)| provider);
        let tail = vec![("name", name.into()), ("provider", provider.into())];
        Self { tail, ..Self::plain(name.to_owned(), value) }
    }

    /// The same row with its kind, in lower case.
    pub(super) fn of_type(mut self, kind: &str) -> Self {
        if !kind.is_empty() {
            self.tail.push(("type", kind.to_ascii_lowercase().into()));
        }
        self
    }

    /// The object as lists and details show it.
    pub(super) fn detail(self) -> Value {
        let mut value = self.value;
        if let Value::Object(map) = &mut value {
            map.extend(self.tail.into_iter().map(|(name, it)| (name.to_owned(), it)));
        }
        value
    }

    /// The status that the object shows; empty if it has none.
    pub(super) fn status(&self) -> &str {
        self.value.get("status").and_then(Value::as_str).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&Value> {
        let tail = || self.tail.iter().find(|(it, _)| *it == name).map(|(_, value)| value);
        self.value.get(name).or_else(tail)
    }

    fn key(&self, field: &str) -> Key {
        let found = match field {
            "servers" => {
                let servers = self.value.pointer("/loadBalancer/servers").and_then(Value::as_array);
                return Key(servers.map_or(0, Vec::len) as i64, String::new());
            }
            "issuer" => self.field("issuerCN").or_else(|| self.field("issuerOrg")),
            "validUntil" => self.field("notAfter"),
            field => self.field(field),
        };
        match found {
            Some(Value::String(text)) => Key(0, text.clone()),
            Some(Value::Number(number)) => Key(number.as_i64().unwrap_or_default(), String::new()),
            Some(Value::Array(items)) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                Key(0, items.join(","))
            }
            _ => Key(0, String::new()),
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(i64, String);

/// The parameters of a query, decoded; the first of each name counts.
#[derive(Debug, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let mut query = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.entry(decode(name)).or_insert_with(|| decode(value));
        }
        Self(query)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A number above 0, or its default. Traefik: what is no number counts as 0.
    fn number(&self, name: &str, default: usize) -> Result<usize, Invalid> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(default);
        }
        match text.parse::<i64>().unwrap_or(0) {
            number if number > 0 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            number => Err(Invalid(format!("{name}: {number}"))),
        }
    }

    fn admits(&self, row: &Row) -> bool {
        let search = self.text("search").to_lowercase();
        let status = self.text("status");
        let found = search.is_empty()
            || row.name.to_lowercase().contains(&search)
            || row.searched.iter().any(|text| text.to_lowercase().contains(&search));
        let used = ["serviceName", "middlewareName"].iter().all(|name| {
            let wanted = self.text(name);
            wanted.is_empty() || row.uses.iter().any(|used| used == wanted)
        });
        found && used && (status.is_empty() || row.status().eq_ignore_ascii_case(status))
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// What is wrong with a query.
struct Invalid(String);

/// The page of `rows` that the query asks for.
pub(super) fn list(rows: Vec<Row>, query: &Query) -> Response {
    page(rows, query).unwrap_or_else(|Invalid(what)| {
        failure(StatusCode::BAD_REQUEST, &format!("invalid request: {what}"))
    })
}

fn page(rows: Vec<Row>, query: &Query) -> Result<Response, Invalid> {
    let mut rows: Vec<Row> = rows.into_iter().filter(|row| query.admits(row)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let field = query.text("sortBy");
    if !field.is_empty() {
        rows.sort_by_cached_key(|row| (row.key(field), row.name.clone()));
    }
    if query.text("direction").eq_ignore_ascii_case("desc") {
        rows.reverse();
    }
    let number = query.number("page", 1)?;
    let size = query.number("per_page", PER_PAGE)?;
    let begin = (number - 1).saturating_mul(size);
    if begin >= rows.len() && number > 1 {
        return Err(Invalid(format!("page: {number}, per_page: {size}")));
    }
    let next = if begin.saturating_add(size) < rows.len() { number + 1 } else { 1 };
    let shown = rows.into_iter().skip(begin).take(size).map(Row::detail).collect();
    let next = HeaderValue::from(next);
    Ok(json(&Value::Array(shown)).with(NEXT_PAGE, next))
}

/// Counts of a collection: all, with a warning, not served.
pub(super) fn counts(rows: &[Row]) -> Value {
    let with = |status: &str| rows.iter().filter(|row| row.status() == status).count();
    serde_json::json!({
        "total": rows.len(), "warnings": with("warning"), "errors": with("disabled"),
    })
}

/// The collection by name, as `rawdata` shows it; nothing if it is empty.
pub(super) fn by_name(mut rows: Vec<Row>) -> Option<Value> {
    rows.sort_by_key(|row| Reverse(row.name.clone()));
    let map: serde_json::Map<_, _> = rows.into_iter().map(|row| (row.name, row.value)).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}
