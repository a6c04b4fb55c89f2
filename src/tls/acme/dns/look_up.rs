//! Looking at zones from outside: whose they are, who serves them, what can be seen.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// Aliases lead no further than this.
const ALIASES: usize = 10;

/// Name servers listen here (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Recursive resolvers, asked anew each time.
#[derive(Clone)]
pub(in super::super) struct LookUp {
    /// The given ones one by one, or the system's as one.
    resolvers: Arc<[TokioResolver]>,
}

impl LookUp {
    /// Asks `servers` (`address` or `address:port`), or the system's without any.
    pub(super) fn new(servers: &[String]) -> Result<Self, String> {
        if servers.is_empty() {
            let system = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
            let mut system = system;
            settle(system.options_mut());
            let built = system.build().map_err(|error| error.to_string())?;
            return Ok(Self { resolvers: [built].into() });
        }
        let one = |text: &String| {
            let address = parse(text).ok_or_else(|| {
                format!("`{text}` is no server; expected an address such as `192.0.2.53:53`")
            })?;
            server(address)
        };
        Ok(Self { resolvers: servers.iter().map(one).collect::<Result<_, _>>()? })
    }

    fn first(&self) -> Result<&TokioResolver, String> {
        self.resolvers.first().ok_or_else(|| "there is no resolver".to_owned())
    }

    /// Where the aliases of `name` lead; `name` itself where there are none.
    pub(super) async fn behind_aliases(&self, name: &str) -> String {
        let mut here = name.to_owned();
        for _ in 0..ALIASES {
            let Ok(resolver) = self.first() else { break };
            let Ok(found) = resolver.lookup(here.as_str(), RecordType::CNAME).await else { break };
            let target = found.answers().iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some(target.0.to_ascii()),
                _ => None,
            });
            let Some(target) = target else { break };
            here = target;
        }
        here
    }

    /// The zone that `name` is in, with a dot at its end: the nearest name upwards that has an SOA record.
    pub(super) async fn zone(&self, name: &str) -> Result<String, String> {
        let resolver = self.first()?;
        let mut name = Name::from_ascii(name).map_err(|error| format!("`{name}`: {error}"))?;
        let asked = name.to_ascii();
        let mut trouble = None;
        while !name.is_root() {
            match resolver.lookup(name.clone(), RecordType::SOA).await {
                Ok(found) => {
                    let own = |it: &&hickory_resolver::proto::rr::Record| {
                        it.record_type() == RecordType::SOA && it.name == name
                    };
                    if let Some(record) = found.answers().iter().find(own) {
                        return Ok(record.name.to_ascii().to_ascii_lowercase());
                    }
                }
                Err(error) if error.is_no_records_found() || error.is_nx_domain() => {}
                Err(error) => trouble = Some(error.to_string()),
            }
            name = name.base_name();
        }
        let trouble = trouble.unwrap_or_else(|| "no name above it has an SOA record".to_owned());
        Err(format!("the zone of `{asked}` is not found: {trouble}"))
    }

    /// Whether every name server of the zone shows the record.
    pub(super) async fn servers_show(&self, name: &str, value: &str) -> Result<(), String> {
        let zone = self.zone(name).await?;
        let resolver = self.first()?;
        let found = resolver.lookup(zone.as_str(), RecordType::NS).await;
        let found = found.map_err(|error| format!("name servers of `{zone}`: {error}"))?;
        let hosts: Vec<String> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::NS(host) => Some(host.0.to_ascii()),
                _ => None,
            })
            .collect();
        if hosts.is_empty() {
            return Err(format!("`{zone}` has no name servers"));
        }
        for host in hosts {
            let addresses = resolver.lookup_ip(host.as_str()).await;
            let addresses = addresses.map_err(|error| format!("name server `{host}`: {error}"))?;
            let address = addresses.iter().next();
            let address = address.ok_or_else(|| format!("name server `{host}` has no address"))?;
            shows(&server(SocketAddr::new(address, PORT))?, name, value)
                .await
                .map_err(|error| format!("name server `{host}`: {error}"))?;
        }
        Ok(())
    }

    /// Whether every resolver shows the record.
    pub(super) async fn resolvers_show(&self, name: &str, value: &str) -> Result<(), String> {
        for resolver in self.resolvers.iter() {
            shows(resolver, name, value).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp").field("resolvers", &self.resolvers.len()).finish()
    }
}

async fn shows(resolver: &TokioResolver, name: &str, value: &str) -> Result<(), String> {
    let found = resolver.lookup(name, RecordType::TXT).await.map_err(|error| error.to_string())?;
    let is_shown = found.answers().iter().any(|record| match &record.data {
        RData::TXT(text) => text.txt_data.concat() == value.as_bytes(),
        _ => false,
    });
    if is_shown { Ok(()) } else { Err("it shows other records".to_owned()) }
}

fn server(address: SocketAddr) -> Result<TokioResolver, String> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    settle(builder.options_mut());
    builder.build().map_err(|error| error.to_string())
}

fn settle(options: &mut ResolverOpts) {
    // What was not there a moment ago may be there now.
    options.cache_size = 0;
    options.timeout = PATIENCE;
    options.attempts = 2;
}

fn parse(text: &str) -> Option<SocketAddr> {
    let bare = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT));
    text.parse().ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn servers_are_addresses_with_or_without_a_port() {
        for good in ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53"] {
            LookUp::new(&[good.to_owned()]).unwrap();
        }
        let error = LookUp::new(&["dns.test".to_owned()]).unwrap_err();
        assert!(error.contains("`dns.test`"), "{error}");
    }
}
