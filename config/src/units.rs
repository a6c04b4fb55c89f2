//! Values with a unit or a secret: durations, files or their content, secrets, address ranges.

mod duration;

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

pub use self::duration::Duration;

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

/// A set of addresses from single addresses and CIDR ranges. Kept as disjoint ranges in order, so that a list of
/// thousands costs a search little more than a short one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpRanges(Vec<IpNet>);

impl IpRanges {
    /// Parses addresses (`10.0.0.1`, `::1`) and ranges (`10.0.0.0/8`); the message names the bad entry.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for entry in entries {
            let entry = entry.trim();
            let range = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(Into::into));
            ranges.push(range.map(canonical).map_err(|_| {
                format!("`{entry}` is neither an address nor a range such as 10.0.0.0/8")
            })?);
        }
        let mut disjoint = IpNet::aggregate(&ranges);
        disjoint.sort_unstable_by_key(IpNet::network);
        Ok(Self(disjoint))
    }

    /// Whether `address` is in the set; an IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let following = self.0.partition_point(|range| range.network() <= address);
        let nearest = following.checked_sub(1).and_then(|index| self.0.get(index));
        nearest.is_some_and(|range| range.contains(&address))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A range of IPv4-mapped addresses as the IPv4 range that it stands for.
fn canonical(range: IpNet) -> IpNet {
    let IpNet::V6(six) = range else { return range };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    four.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(range, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_addresses_of_both_families() {
        let ranges = IpRanges::parse(["10.0.0.0/8", " 192.168.1.7 ", "2001:db8::/32"]).unwrap();
        for inside in ["10.1.2.3", "192.168.1.7", "2001:db8::1"] {
            assert!(ranges.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.168.1.8", "2001:db9::1"] {
            assert!(!ranges.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!ranges.is_empty());
        assert!(IpRanges::parse([]).unwrap().is_empty());
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        let ranges = IpRanges::parse(["10.0.0.0/8"]).unwrap();
        assert!(ranges.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!ranges.contains("::ffff:11.1.2.3".parse().unwrap()));
        let mapped = IpRanges::parse(["::ffff:10.0.0.0/104", "::ffff:192.168.1.7"]).unwrap();
        assert!(mapped.contains("10.1.2.3".parse().unwrap()));
        assert!(mapped.contains("::ffff:192.168.1.7".parse().unwrap()));
        assert!(!mapped.contains("11.1.2.3".parse().unwrap()));
    }

    #[test]
    fn overlapping_ranges_in_any_order_hold_all_their_addresses() {
        let ranges = ["10.0.5.0/24", "10.0.0.0/16", "10.0.200.7", "::1", "9.0.0.0/8", "::/64"];
        let ranges = IpRanges::parse(ranges).unwrap();
        for inside in ["10.0.5.1", "10.0.6.1", "10.0.255.255", "9.255.255.255", "::1", "::ffff"] {
            assert!(ranges.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["10.1.0.0", "8.255.255.255", "0.0.0.1", "1::"] {
            assert!(!ranges.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_range_counts_whatever_its_host_bits() {
        let ranges = IpRanges::parse(["10.1.2.3/8"]).unwrap();
        assert!(ranges.contains("10.200.0.1".parse().unwrap()));
    }

    #[test]
    fn a_bad_range_is_named() {
        let message = IpRanges::parse(["10.0.0.0/8", "localhost"]).unwrap_err();
        assert_eq!(message, "`localhost` is neither an address nor a range such as 10.0.0.0/8");
        assert!(IpRanges::parse(["10.0.0.0/33"]).is_err());
    }

    #[test]
    fn secrets_and_content_are_never_shown() {
        let secret = Secret("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "REDACTED");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"REDACTED\"");
        assert_eq!(format!("{:?}", Secret::default()), "");
        let key = FileOrContent("-----BEGIN KEY-----\nabc\n".to_owned());
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"REDACTED\"");
        let path = FileOrContent("certs/a.pem".to_owned());
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"certs/a.pem\"");
    }

    #[test]
    fn content_is_read_as_it_stands_and_paths_are_opened() {
        let content = FileOrContent("-----BEGIN X-----".to_owned());
        assert_eq!(content.read().unwrap(), b"-----BEGIN X-----");
        let file = FileOrContent(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned());
        assert!(file.read().unwrap().starts_with(b"[package]"));
        assert!(FileOrContent("no/such/file".to_owned()).read().is_err());
    }
}
