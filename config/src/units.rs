//! Values with a unit or a secret: durations, files or their content, secrets, address ranges.

use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time as Traefik writes it: Go text (`1h2m3.5s`, `100ms`) or whole seconds. May be negative.
///
/// Serialises as Go prints it (`1m0s`). Counted in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(pub i64);

impl Duration {
    /// From whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    /// From milliseconds.
    pub const fn milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds * 1_000_000)
    }

    /// The positive span; `None` for zero and negative ones, which mean "none" nearly everywhere.
    pub fn positive(self) -> Option<std::time::Duration> {
        (self.0 > 0).then(|| std::time::Duration::from_nanos(self.0.unsigned_abs()))
    }

    /// Parses Go text or whole seconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let _ = text;
        todo!()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"] })
    }
}

/// The path of a file or, where no such file exists, the content itself (PEM text).
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FileOrContent(pub String);

impl FileOrContent {
    /// The content: of the file if the text names an existing one, otherwise the text.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        if self.is_content() { Ok(self.0.clone().into_bytes()) } else { std::fs::read(&self.0) }
    }

    /// Whether the text is the content itself rather than a path.
    pub fn is_content(&self) -> bool {
        self.0.contains("-----BEGIN") || self.0.contains('\n')
    }
}

/// Shows paths but never content, which may be a key.
impl fmt::Debug for FileOrContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_content() { "REDACTED" } else { &self.0 })
    }
}

impl Serialize for FileOrContent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// Text that is never shown: not in logs, not by the API, not by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "REDACTED" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

/// An IPv4-mapped IPv6 range is one of IPv4, since addresses are unfolded before they are compared.
fn canonical(range: ipnet::IpNet) -> ipnet::IpNet {
    match (range.addr().to_canonical(), range.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(length)) if range.addr().is_ipv6() => {
            ipnet::IpNet::new(address, length).unwrap_or(range)
        }
        _ => range,
    }
}

/// A set of addresses from single addresses and CIDR ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpRanges(Vec<ipnet::IpNet>);

impl IpRanges {
    /// Parses addresses (`10.0.0.1`, `::1`) and ranges (`10.0.0.0/8`); the message names the bad entry.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for entry in entries {
            let entry = entry.trim();
            let range =
                entry.parse::<ipnet::IpNet>().or_else(|_| entry.parse::<IpAddr>().map(Into::into));
            ranges.push(canonical(range.map_err(|_| {
                format!("`{entry}` is neither an address nor a range such as 10.0.0.0/8")
            })?));
        }
        Ok(Self(ranges))
    }

    /// Whether `address` is in the set; an IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
